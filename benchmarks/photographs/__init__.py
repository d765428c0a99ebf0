"""A benchmark of natural photographs that packages bring: fetched, looked at, and never committed."""
