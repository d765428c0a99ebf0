"""Image and text -> named features: one published method per file."""
