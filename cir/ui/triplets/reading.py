"""Check what the triplet tab's fields send. Knows neither gradio nor the table."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from cir.errors import BadQuery
from cir.syncir.consistency import Thresholds
from cir.syncir.table import ANY_REASON, VERDICTS, Filters
from cir.ui.reading import read_number
from cir.ui.triplets.cards import ShownTriplet

PAGE_SIZES = (12, 24, 48, 96)
_WORDS_LIMIT = 200


def read_filters(verdict: object, reason: object, low: object, high: object, words: object) -> Filters:
    """The filters as the fields sent them; a range that is the wrong way round is turned.

    Raises:
        BadQuery: a value of the wrong type, or one that is no choice.
    """
    chosen = read_choice("verdict", verdict, VERDICTS)
    if reason is not None and not isinstance(reason, str):
        raise BadQuery("The reason has to be text.", "Choose one of the list.")
    if words is not None and not isinstance(words, str):
        raise BadQuery("The words to look for have to be text.", "Type them into the field.")
    ends = sorted((read_cosine("The lowest score", low), read_cosine("The highest score", high)))
    wanted = (words or "").replace("\0", "")[:_WORDS_LIMIT]
    return Filters(chosen, reason or ANY_REASON, ends[0], ends[1], wanted)


def read_choice(what: str, value: object, offered: Collection[Any]) -> Any:
    """What was chosen of a list.

    Raises:
        BadQuery: it is not on the list.
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or value not in offered:
        raise BadQuery(f"There is no {what} {str(value)[:40]!r}.", "Choose one of the list.")
    return value


def read_thresholds(consistency: object, near_duplicate: object, gap: object) -> Thresholds:
    """The three thresholds.

    Raises:
        BadQuery: not a number, or outside [-1, 1].
    """
    return Thresholds(
        read_cosine("The lowest score", consistency),
        read_cosine("Near duplicate", near_duplicate),
        read_cosine("The gap", gap),
    )


def read_cosine(name: str, value: object) -> float:
    """A score or a threshold, with as many decimals as a file of triplets has.

    Raises:
        BadQuery: not a number, or outside [-1, 1].
    """
    number = read_number(name, value)
    if not -1.0 <= number <= 1.0:
        raise BadQuery(f"{name} is {number:g}, which no cosine can reach.", "Give a number from -1 to 1.")
    return round(number, 5)


def read_shown(value: object) -> ShownTriplet:
    """Which triplet the page showed, as it sent it along (see `render.sent`).

    Raises:
        BadQuery: it showed none, or something else was sent.
    """
    try:
        key, row, triplet_id, verdict = json.loads(value if isinstance(value, str) else "")
    except (ValueError, TypeError, RecursionError) as error:
        raise BadQuery("No triplet is chosen.", "Choose one of the cards.") from error
    if type(row) is not int or not all(isinstance(text, str) for text in (key, triplet_id, verdict)):
        raise BadQuery("No triplet is chosen.", "Choose one of the cards.")
    return ShownTriplet(key, row, triplet_id, verdict)
