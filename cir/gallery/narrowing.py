"""Search "only in": a folder of the gallery, or a span of days. What arrives is checked here.

This module knows neither gradio nor models; which images that leaves, the gallery says (`Gallery.select`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from cir.days import REMEDY, read_span
from cir.errors import BadQuery
from cir.files import display_name, image_id_of
from cir.gallery.gallery import TOP
from cir.text import counted

if TYPE_CHECKING:
    from cir.gallery.searchable import Among, Searchable

MOST_FOLDERS = (
    3000  # of which a browser still makes a list that can be searched; more than that, the deep ones go
)
EVERYWHERE, EVERYWHERE_CHOICE = "Every folder", ""
AT_THE_TOP, TOP_CHOICE = "In no folder", "top"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Where a search is to look. `folder` b"" and None for a day mean no such bound.

    `with_undated`: whether pictures of an unknown day are among those of the days.
    """

    folder: bytes = b""
    since: date | None = None
    until: date | None = None
    with_undated: bool = False

    def __bool__(self) -> bool:
        return bool(self.folder or self.since or self.until)


def can_narrow(gallery: Searchable) -> bool:
    """Whether the gallery is made from a folder of one's own: only then folders and days mean something."""
    return bool(getattr(gallery, "has_files", False)) and not gallery.packed


def folder_choices(gallery: Searchable) -> list[tuple[str, str]]:
    """What a visitor may choose among: (words, key); a key stays the folder's when others come and go.

    Every folder is offered up to `MOST_FOLDERS`; of more than that the shallow ones, and `cut_note` says so.
    """
    choices = [(EVERYWHERE, EVERYWHERE_CHOICE)]
    if not can_narrow(gallery):
        return choices
    top = len(gallery) - sum(images for folder, images in gallery.folders.items() if b"/" not in folder)
    if top and gallery.folders:
        choices.append((f"{AT_THE_TOP} ({top:,})", TOP_CHOICE))
    for folder in _offered(gallery):
        choices.append((f"{display_name(folder)} ({gallery.folders[folder]:,})", image_id_of(folder)))
    return choices


def folder_key(only: Narrowing) -> str:
    """The key of `folder_choices` that stands for a bound."""
    if not only.folder:
        return EVERYWHERE_CHOICE
    return TOP_CHOICE if only.folder == TOP else image_id_of(only.folder)


def cut_note(gallery: Searchable) -> str:
    """A sentence about folders that are not offered; "" when all are."""
    folders = len(gallery.folders) if can_narrow(gallery) else 0
    if folders <= MOST_FOLDERS:
        return "Type to find one." if folders > 10 else ""
    return f"This list has {MOST_FOLDERS:,} of {counted(folders, 'folder')}. Of the others, choose the folder that holds them."


def _offered(gallery: Searchable) -> list[bytes]:
    """The folders on offer, in order of their paths."""
    if len(gallery.folders) <= MOST_FOLDERS:
        return list(gallery.folders)
    shallow = set(sorted(gallery.folders, key=lambda folder: folder.count(b"/"))[:MOST_FOLDERS])
    return [folder for folder in gallery.folders if folder in shallow]


def read_only(
    gallery: Searchable, folder: object, since: object, until: object, with_undated: object = False
) -> Narrowing:
    """What was chosen and typed.

    Args:
        gallery: what is searched.
        folder: a key of `folder_choices`.
        since, until: a year, a month, a week or a day as `cir.days` reads it; nothing for no bound.
        with_undated: whether pictures of an unknown day count.

    Raises:
        BadQuery: no such folder, no such day, or the days are in the wrong order.
    """
    first, last = read_only_days(since, until)
    return Narrowing(_read_folder(gallery, folder), first, last, with_undated is True)


def read_only_days(since: object, until: object) -> tuple[date | None, date | None]:
    """The first and the last day of a span; None for no bound.

    Raises:
        BadQuery: no such day, or the days are in the wrong order.
    """
    first, last = read_day(since), read_day(until, last=True)
    if first and last and first > last:
        raise BadQuery(f"{first} is later than {last}.", "Exchange the two days.")
    return first, last


def folder_at(gallery: Searchable, value: object) -> bytes:
    """A folder by its path below the gallery's: "holiday/rome"; "/" for no folder, b"" where nothing is given.

    Raises:
        BadQuery: there is no such folder.
    """
    if value in (None, ""):
        return b""
    folders = gallery.folders if can_narrow(gallery) else {}
    if isinstance(value, str):
        if value == "/" and folders:
            return TOP
        for folder in folders:
            if display_name(folder) == value.strip("/"):
                return folder
    named = ", ".join(display_name(folder) for folder in list(folders)[:5])
    remedy = f"It has, among others: {named}." if named else "Leave it out: this gallery has no folders."
    raise BadQuery(f"folder: there is no folder {str(value)[:40]!r} in this gallery.", remedy)


def read_day(value: object, *, last: bool = False) -> date | None:
    """A day, or the first (or last) day of a year, a month or a week.

    Raises:
        BadQuery: something else, or what may be read in two ways.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadQuery(f"{str(value)[:40]!r} is no day.", REMEDY)
    return read_span(value)[last]


def among(gallery: Searchable, only: Narrowing) -> Among:
    """Which images may be found, as `select` of the gallery says it; None for all.

    Raises:
        BadQuery: no image is left.
    """
    if not only:
        return None
    chosen = _select(gallery, only)
    if not gallery.count(chosen):
        unknown = undated(gallery, only)
        told = f" Of {counted(unknown, 'more picture')} the day is not known." if unknown else ""
        too = " Or search those of an unknown day, too." if unknown else ""
        raise BadQuery(
            f"No picture is {in_words(only)}.{told}", f"Choose another folder, or other days.{too}"
        )
    return chosen


def undated(gallery: Searchable, only: Narrowing) -> int:
    """How many pictures are left out because their day is not known."""
    if only.with_undated or not (only.since or only.until):
        return 0
    return gallery.count(_select(gallery, replace(only, with_undated=True))) - gallery.count(
        _select(gallery, only)
    )


def note(gallery: Searchable, only: Narrowing, chosen: Among) -> str:
    """A sentence about how much was searched; "" for everything."""
    if chosen is None:
        return ""
    told = f"Searched only {in_words(only)}: {gallery.count(chosen):,} of {counted(len(gallery), 'picture')}."
    return " ".join(filter(None, (told, undated_note(gallery, only))))


def undated_note(gallery: Searchable, only: Narrowing) -> str:
    """A sentence about pictures that are left out because their day is not known; "" when none are."""
    unknown = undated(gallery, only)
    return f"Of {counted(unknown, 'more picture')} the day is not known: not searched." if unknown else ""


def undated_label(gallery: Searchable) -> str:
    """What the choice to have them all the same is called."""
    return f"Also pictures of an unknown day ({gallery.undated:,})"


def _select(gallery: Searchable, only: Narrowing) -> Among:
    return gallery.select(
        folder=only.folder, since=only.since, until=only.until, with_undated=only.with_undated
    )


def in_words(only: Narrowing) -> str:
    """A narrowing as part of a sentence: "in holiday/rome, from 2024-05-01 to 2024-05-31"."""
    pieces = []
    if only.folder:
        pieces = ["in no folder" if only.folder == TOP else f"in {display_name(only.folder)}"]
    days = []
    if only.since:
        days = [f"from {only.since} {f'to {only.until}' if only.until else 'on'}"]
    elif only.until:
        days = [f"up to {only.until}"]
    days += ["or of an unknown day"] if days and only.with_undated else []
    return ", ".join([*pieces, *([" ".join(days)] if days else [])]) or "everywhere"


def _read_folder(gallery: Searchable, key: object) -> bytes:
    if key in (None, EVERYWHERE_CHOICE):
        return b""
    if can_narrow(gallery) and isinstance(key, str):
        if key == TOP_CHOICE:
            return TOP
        for folder in gallery.folders:
            if image_id_of(folder) == key:
                return folder
    raise BadQuery("That folder is not in this gallery.", "Choose one from the list.")
