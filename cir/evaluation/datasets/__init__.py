"""Benchmarks in their official layouts: annotation files -> queries, and the images that are searched."""
