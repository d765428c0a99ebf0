"""The line over the query in Search: which gallery is searched, and "Only in …" a folder or a span of days."""
