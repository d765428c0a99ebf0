"""Queries -> runs -> measures: benchmarks, scores, submissions and tables."""
