"""When a picture was taken: by its EXIF, its XMP, its name. What none of them says is unknown, and never guessed.

A file's own time is not asked: it is the day of a copy as often as not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

from PIL import Image

EARLIEST = date(1826, 1, 1)  # no photograph is older
_LOADED = date.today()  # no day before it has to be compared with today's
EARLIEST_COMPACT = date(1990, 1, 1)  # eight digits in a name that are a day
_EXIF_FOLDER, _TAKEN_TAGS, _CHANGED_TAG = 0x8769, (0x9003, 0x9004), 0x0132
_MOST_XMP = 1 << 20
_XMP = re.compile(
    r"""(?:exif:DateTimeOriginal|photoshop:DateCreated|xmp:CreateDate)\s*(?:=\s*["']|>\s*)([^"'<]{4,40})"""
)
# What clocks show that were never set; EXIF has no word for it.
_UNSET = ("1904-01-01T00:00:00", "1970-01-01T00:00:00", "1980-01-01T00:00:00", "2002-12-08T12:00:00")

_TIME = r"(?:[T_, -]{0,3}(\d{1,2})[: ._-]?(\d{2})(?:[: ._-]?(\d{2}))?)?"
_WRITTEN = re.compile(rf"(\d{{4}})([:/.\- ])\s?(\d{{1,2}})\2\s?(\d{{1,2}}){_TIME}.*", re.DOTALL)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:[T_ -]?(\d{2}):?(\d{2}):?(\d{2})?)?(?:\D.*)?", re.DOTALL)
_DAY_FIRST = re.compile(rf"(\d{{1,2}})([/.\-])(\d{{1,2}})\2(\d{{4}}){_TIME}.*", re.DOTALL)
_BY_NAME = re.compile(r"(?:[A-Z][a-z]{2},? )?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_IN_NAMES = (
    re.compile(r"(?<!\d)(?P<y>\d{4})(?P<s>[-_.])(?P<m>\d{2})(?P=s)(?P<d>\d{2})(?!\d)"),
    re.compile(
        r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<m>\d{2})(?P<d>\d{2})(?:(?!\d)|(?=[0-2]\d[0-5]\d[0-5]\d(?:\d{3})?(?!\d)))"
    ),
    re.compile(r"(?<!\d)(?P<d>\d{2})(?P<s>[-_.])(?P<m>\d{2})(?P=s)(?P<y>(?:19|20)\d\d)(?!\d)"),
)
_FOUR_DIGITS = re.compile(r"\d{4}")  # none of these has fewer in a row
_TELEGRAM = re.compile(r"@\d\d-\d\d-\d{4}_")  # "photo_1@17-05-2024_18-30-00": always day, month, year
_MOMENT_NAMES = re.compile(r"(?:FB_IMG_|mmexport|wx_camera_|IMG_E?)(\d{13})(?!\d)")
_HASH = re.compile(r"(?=[^a-f]*[a-f])[0-9a-f-]{20,}")


def taken_at(image: Image.Image, xmp: str = "", changed: str = "") -> str:
    """When a decoded image was taken by what is written in it, as ISO 8601 in the camera's local time.

    Args:
        image: a decoded image.
        xmp, changed: its XMP and when it was changed, where the image does not bring them itself.

    Returns:
        "2024-05-17T18:30:00", "2024-05-17" where no time is told, or "" where nothing is.
    """
    return next((day for day in map(iso_time, _told(image, xmp, changed)) if day), "")


def iso_time(value: object) -> str:
    """A date as cameras and programs write it, as ISO 8601; "" for zeros, blanks, and what cannot be."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    parts = _parts(text.strip("\0 \t\r\n"))
    if parts is None:
        return ""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        told = date(year, month, day)
        written = datetime(year, month, day, hour, minute, min(second, 59)).isoformat()
    except ValueError:
        try:
            told = date(year, month, day)  # "24:00:00" and the like: the day may be right all the same
        except ValueError:
            return ""
        parts, written = (*parts[:3], None), ""
    if not _is_possible(told) or written in _UNSET:
        return ""
    return written if parts[3] else told.isoformat()


def _parts(text: str) -> tuple[str | None, ...] | None:
    """(year, month, day, hour, minute, second) as digits, as far as they are told."""
    found = _WRITTEN.fullmatch(text)
    if found is not None:
        return found.group(1, 3, 4, 5, 6, 7)
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        return compact.groups()
    day_first = _DAY_FIRST.fullmatch(text)
    if day_first is not None:
        first, second = int(day_first[1]), int(day_first[3])
        if first <= 12 and second <= 12 and first != second:
            return None  # day and month may be either
        day, month = (first, second) if second <= 12 else (second, first)
        return (day_first[4], str(month), str(day), *day_first.group(5, 6, 7))
    by_name = _BY_NAME.fullmatch(text)
    if by_name is not None and by_name[1] in _MONTHS:
        month = str(_MONTHS.index(by_name[1]) + 1)
        return (by_name[6], month, *by_name.group(2, 3, 4, 5))
    return None


def day_of_name(name: bytes) -> date | None:
    """The day that a file's name tells, as messengers, phones and programs for screenshots write it; else None."""
    stem = os.fsdecode(name)
    if not _FOUR_DIGITS.search(stem):
        return None
    stem = os.path.splitext(stem)[0]
    if _HASH.fullmatch(stem.lower()):
        return None
    for pattern in _IN_NAMES:
        for found in pattern.finditer(stem):
            day_first = found.start("d") < found.start("y")
            compact = "s" not in pattern.groupindex
            telegram = day_first and bool(_TELEGRAM.search(stem))
            day = _day_of(found["y"], found["m"], found["d"], day_first, telegram, compact)
            if day is not None and _is_possible(day):
                return day
    moment = _MOMENT_NAMES.search(stem)
    if moment is not None:
        day = datetime.fromtimestamp(int(moment[1]) / 1000).date()
        return day if day >= EARLIEST_COMPACT and _is_possible(day) else None
    return None


def _told(image: Image.Image, xmp: str, changed: str) -> Iterator[object]:
    """What an image says of its time, the best first."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(_EXIF_FOLDER)
        yield from (details.get(tag, exif.get(tag)) for tag in _TAKEN_TAGS)
        changed = exif.get(_CHANGED_TAG) or changed
    except Exception:  # damaged metadata: then the others may say it
        pass
    inside = image.info.get("xmp", xmp)
    text = inside[:_MOST_XMP].decode("utf-8", "replace") if isinstance(inside, bytes) else str(inside)
    yield from _XMP.findall(text[:_MOST_XMP])
    yield changed


@lru_cache(50_000)
def _day_of(y: str, m: str, d: str, day_first: bool, is_telegram: bool, compact: bool) -> date | None:
    """A day by its numbers; None where they are none, or may be another. Many pictures are of the same days."""
    year, month, day = int(y), int(m), int(d)
    if day_first and not is_telegram and month <= 12 and day <= 12 and month != day:
        return None  # it may as well be the month first
    if day_first and not is_telegram and month > 12:
        month, day = day, month
    try:
        told = date(year, month, day)
    except ValueError:
        return None
    return told if told >= (EARLIEST_COMPACT if compact else EARLIEST) else None


def _is_possible(day: date) -> bool:
    return day >= EARLIEST and (day < _LOADED or day <= date.today() + timedelta(days=1))
