"""The models behind the protocols, and which there are: the only place that knows their libraries."""
