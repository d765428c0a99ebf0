"""Which pictures a server is asked among: the filters of its questions, in the place of lists of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from cir.gallery.served.points import folder_key


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which pictures may be found: what the server is asked instead of a list of them.

    Attributes:
        folder: below which they lie; TOP for those in none; b"" for all.
        since, until: their first and last day; None for no such end.
        with_undated: whether pictures of an unknown day are among those of certain days.
    """

    folder: bytes = b""
    since: date | None = None
    until: date | None = None
    with_undated: bool = False


def filter_of(
    chosen: Chosen | None, *, without: Sequence[int] = (), only: Sequence[int] | None = None
) -> Any:
    """The server's filter; None for everything.

    Args:
        chosen: which pictures may be found.
        without: places that may not.
        only: places besides which nothing may.
    """
    from qdrant_client import models

    must: list[Any] = []
    if chosen is not None and chosen.folder:
        must.append(_matches("folders", folder_key(chosen.folder)))
    if chosen is not None and (chosen.since or chosen.until):
        since = None if chosen.since is None else chosen.since.toordinal()
        until = None if chosen.until is None else chosen.until.toordinal()
        days = models.FieldCondition(key="day", range=models.Range(gte=since, lte=until))
        must.append(models.Filter(should=[days, _is_empty("day")]) if chosen.with_undated else days)
    if only is not None:
        must.append(models.HasIdCondition(has_id=list(only)))
    must_not: Any = [models.HasIdCondition(has_id=list(without))] if len(without) else None
    return models.Filter(must=must or None, must_not=must_not) if must or must_not else None


def captioned_only() -> Any:
    """The server's filter for pictures with captions."""
    return of_value("captioned", True)


def of_value(field: str, value: str | bool) -> Any:
    """The server's filter for pictures of which a field has a value."""
    return _must(_matches(field, value))


def of_none(field: str) -> Any:
    """The server's filter for pictures of which a field is not known."""
    return _must(_is_empty(field))


def _must(condition: Any) -> Any:
    from qdrant_client import models

    return models.Filter(must=[condition])


def _matches(field: str, value: str | bool) -> Any:
    from qdrant_client import models

    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def _is_empty(field: str) -> Any:
    from qdrant_client import models

    return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
