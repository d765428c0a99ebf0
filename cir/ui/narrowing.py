"""Search "only in": a folder of the gallery, or a span of days. What arrives is checked here.

This module knows neither gradio nor models; which images that leaves, the gallery says (`Gallery.select`).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cir.errors import BadQuery
from cir.files import display_name
from cir.text import counted

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery

MOST_FOLDERS = 500
EVERYWHERE = "Every folder"
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


@dataclass(frozen=True, slots=True)
class Only:
    """Where a search is to look. `folder` b"" and None for a day mean no such bound."""

    folder: bytes = b""
    since: date | None = None
    until: date | None = None

    def __bool__(self) -> bool:
        return bool(self.folder or self.since or self.until)


def can_narrow(gallery: Gallery) -> bool:
    """Whether the gallery is made from a folder of one's own: only then folders and days mean something."""
    return bool(getattr(gallery, "relatives", ())) and not gallery.packed


def folder_choices(gallery: Gallery) -> list[tuple[str, int]]:
    """What a visitor may choose among: (words, number), 0 for everywhere."""
    choices = [(EVERYWHERE, 0)]
    if can_narrow(gallery):
        for number, (folder, images) in enumerate(gallery.folders.items(), start=1):
            choices.append((f"{display_name(folder)} ({images:,})", number))
    return choices[: MOST_FOLDERS + 1]


def read_only(gallery: Gallery, folder: object, since: object, until: object) -> Only:
    """What was chosen and typed.

    Args:
        gallery: what is searched.
        folder: a number of `folder_choices`.
        since, until: "2024", "2024-05" or "2024-05-17"; nothing for no bound.

    Raises:
        BadQuery: no such folder, no such day, or the days are in the wrong order.
    """
    first, last = read_day(since), read_day(until, last=True)
    if first and last and first > last:
        raise BadQuery(f"{first} is later than {last}.", "Exchange the two days.")
    return Only(_read_folder(list(gallery.folders) if can_narrow(gallery) else [], folder), first, last)


def read_day(value: object, *, last: bool = False) -> date | None:
    """A day, or the first (or last) day of a year or a month.

    Raises:
        BadQuery: something else.
    """
    text = value.strip() if isinstance(value, str) else value
    if text in (None, ""):
        return None
    remedy = "Write a year, a month or a day: 2024, 2024-05 or 2024-05-17."
    found = _DAY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise BadQuery(f"{str(value)[:40]!r} is no day.", remedy)
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        assert year is not None
        month = (12 if last else 1) if month is None else month
        ends = calendar.monthrange(year, month)[1] if last else 1
        return date(year, month, ends if day is None else day)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise BadQuery(f"There is no day {str(text)[:40]!r}.", remedy) from error


def among(gallery: Gallery, only: Only) -> NDArray[np.bool_] | None:
    """(K,) bool, which images may be found; None for all.

    Raises:
        BadQuery: no image is left.
    """
    if not only:
        return None
    mask = gallery.select(folder=only.folder, since=only.since, until=only.until)
    if not mask.any():
        raise BadQuery(f"No picture is {in_words(only)}.", "Choose another folder, or other days.")
    return mask


def note(only: Only, mask: NDArray[np.bool_] | None) -> str:
    """A sentence about how much was searched; "" for everything."""
    if mask is None:
        return ""
    return f"Searched only {in_words(only)}: {int(mask.sum()):,} of {counted(len(mask), 'picture')}."


def in_words(only: Only) -> str:
    """A narrowing as part of a sentence: "in holiday/rome, from 2024-05-01 to 2024-05-31"."""
    pieces = [f"in {display_name(only.folder)}"] if only.folder else []
    days = [f"from {only.since}"] if only.since else []
    days += [f"to {only.until}"] if only.until else []
    return ", ".join([*pieces, *([" ".join(days)] if days else [])]) or "everywhere"


def _read_folder(folders: Sequence[bytes], number: object) -> bytes:
    if number in (None, ""):
        return b""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= len(folders):
        raise BadQuery("That folder is not in this gallery.", "Choose one from the list.")
    return folders[number - 1] if number else b""
