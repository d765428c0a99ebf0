"""Check what the triplet tab's fields send. Knows neither gradio nor the table."""

from __future__ import annotations

from cir.errors import BadQuery
from cir.ui.reading import read_number
from cir.ui.triplets.source import EDGES, Thresholds
from cir.ui.triplets.table import ANY_REASON, SORTS, VERDICTS, Filters

PAGE_SIZES = (12, 24, 48, 96)
_WORDS_LIMIT = 200


def read_filters(verdict: object, reason: object, low: object, high: object, words: object) -> Filters:
    """The filters as the fields sent them; a range that is the wrong way round is turned.

    Raises:
        BadQuery: a value of the wrong type, or one that is no choice.
    """
    if not isinstance(verdict, str) or verdict not in VERDICTS:
        raise BadQuery(f"There is no verdict {str(verdict)[:40]!r}.", "Choose one of the list.")
    if reason is not None and not isinstance(reason, str):
        raise BadQuery("The reason has to be text.", "Choose one of the list.")
    if words is not None and not isinstance(words, str):
        raise BadQuery("The words to look for have to be text.", "Type them into the field.")
    ends = sorted((_cosine("The lowest score", low), _cosine("The highest score", high)))
    wanted = (words or "").replace("\0", "")[:_WORDS_LIMIT]
    return Filters(verdict, reason or ANY_REASON, ends[0], ends[1], wanted)


def read_sort(value: object) -> str:
    """One of SORTS.

    Raises:
        BadQuery: anything else.
    """
    if not isinstance(value, str) or value not in SORTS:
        raise BadQuery(f"There is no order {str(value)[:40]!r}.", "Choose one of the list.")
    return value


def read_page_size(value: object) -> int:
    """One of PAGE_SIZES.

    Raises:
        BadQuery: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value not in PAGE_SIZES:
        raise BadQuery(f"{str(value)[:40]} to a page is no choice.", "Choose one of the list.")
    return value


def read_thresholds(consistency: object, near_duplicate: object, gap: object) -> Thresholds:
    """The three thresholds.

    Raises:
        BadQuery: not a number, or outside [-1, 1].
    """
    return Thresholds(
        _cosine("The lowest score", consistency),
        _cosine("Near duplicate", near_duplicate),
        _cosine("The gap", gap),
    )


def read_place(count: int, value: object) -> int:
    """The place of a card on the page.

    Raises:
        BadQuery: no whole number, negative, or beyond the page.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise BadQuery("That triplet is not on the page any more.", "Choose one of those that are shown.")
    return value


def read_edge(value: object) -> tuple[int, int]:
    """The ranks of one of the nine edges, by its number.

    Raises:
        BadQuery: there is no such edge.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(EDGES):
        raise BadQuery("There is no such pair in the group.", "Choose one of the arrows.")
    return EDGES[value]


def _cosine(name: str, value: object) -> float:
    number = read_number(name, value)
    if not -1.0 <= number <= 1.0:
        raise BadQuery(f"{name} is {number:g}, which no cosine can reach.", "Give a number from -1 to 1.")
    return round(number, 5)  # as many decimals as a file of triplets has
