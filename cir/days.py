"""A day, a month or a year as people type it -> its first and last day. What may be read in two ways is asked back."""

from __future__ import annotations

import calendar
import re
from datetime import date

from cir.errors import BadQuery

REMEDY = "Write a year, a month or a day: 2024, 2024-05 or 2024-05-17."
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero gennaio janeiro januari",
            "february feb februar février febrero febbraio fevereiro februari",
            "march mar märz mär maerz mars marzo março maart mrt",
            "april apr avril abril aprile",
            "may mai mayo maggio maio mei",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août agosto augustus",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre diciembre dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
_WORD = r"(?P<word>[^\W\d_]+)\.?"
_YEAR_FIRST = re.compile(r"(?P<y>\d{4})(?:(?P<s>[-/.])(?P<m>\d{1,2})(?:(?P=s)(?P<d>\d{1,2}))?\.?)?")
_COMPACT = re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)")
_WITH_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[t ]\d\d:\d\d.*")
_DAY_FIRST = re.compile(r"(?P<a>\d{1,2})(?P<s>[-/.])\s?(?P<b>\d{1,2})(?P=s)\s?(?P<y>\d{4})")
_MONTH_YEAR = re.compile(r"(?P<m>\d{1,2})[-/. ](?P<y>\d{4})")
_WEEK = re.compile(r"(?P<y>\d{4})-?[wW](?P<w>\d{1,2})")
_IN_WORDS = (
    re.compile(rf"{_WORD},? (?P<y>\d{{4}})"),
    re.compile(rf"(?P<y>\d{{4}})[ -]{_WORD}(?:[ -](?P<d>\d{{1,2}})\.?)?"),
    re.compile(
        rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?[ -]?(?:of |de |di )?{_WORD},?[ -](?:de )?(?P<y>\d{{4}})"
    ),
    re.compile(rf"{_WORD} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})"),
)


def read_span(text: str) -> tuple[date, date]:
    """The first and the last day of what was typed.

    Raises:
        BadQuery: no day, one that does not exist, or one that may be two.
    """
    text = " ".join(text.split()).casefold()
    found = _WITH_TIME.fullmatch(text)
    text = found[1] if found else text
    shown = text[:40]
    week = _WEEK.fullmatch(text)
    try:
        if week is not None:
            year, number = int(week["y"]), int(week["w"])
            return date.fromisocalendar(year, number, 1), date.fromisocalendar(year, number, 7)
        parts = _parts(text)
        if parts is not None:
            return _span(*parts)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise BadQuery(f"There is no day {shown!r}.", REMEDY) from error
    raise BadQuery(f"{shown!r} is no day.", REMEDY)


def _parts(text: str) -> tuple[int, int | None, int | None] | None:
    """(year, month, day) of what was typed; None where it is no date."""
    for pattern in (_YEAR_FIRST, _COMPACT, _MONTH_YEAR, *_IN_WORDS):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        told = found.groupdict()
        if told.get("word") is not None and told["word"] not in _MONTHS:
            continue
        month = _MONTHS[told["word"]] if told.get("word") else told.get("m")
        day = told.get("d")
        return int(told["y"]), None if month is None else int(month), None if day is None else int(day)
    found = _DAY_FIRST.fullmatch(text)
    return None if found is None else _day_first(text, found)


def _day_first(text: str, found: re.Match[str]) -> tuple[int, int, int]:
    """01.02.2024 has the day first wherever it is written; with slashes and dashes it depends on the country."""
    first, second, year = int(found["a"]), int(found["b"]), int(found["y"])
    if found["s"] == "." or first > 12 or first == second:
        return year, second, first
    if second > 12:
        return year, first, second
    day, other = date(year, second, first), date(year, first, second)
    readings = f"{day.day} {day:%B} or {other:%B} {other.day}"
    raise BadQuery(f"{text} may be {readings}.", f"Write {day} or {other}.")


def _span(year: int, month: int | None, day: int | None) -> tuple[date, date]:
    if month is None:
        return date(year, 1, 1), date(year, 12, 31)
    if day is not None:
        return date(year, month, day), date(year, month, day)
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])
