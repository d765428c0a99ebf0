"""Spans of time as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A span of time as people say it: "40 s", "12 min", "1.8 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def time_left(seconds: float) -> str:
    """ "about 40 s left", "about 12 min left"."""
    return f"about {duration(seconds)} left"
