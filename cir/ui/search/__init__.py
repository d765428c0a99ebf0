"""The Search tab: the query, its answers, and what is done with them: explaining, changing, going on, keeping."""
