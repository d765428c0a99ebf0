"""The Search tab's stages after the first answer: explaining, changing, going on, keeping."""
