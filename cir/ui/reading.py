"""Check what a browser or a program sends, and turn it into the nouns of `cir.types`.

Limits of input fields hold in the browser only, so nothing that arrives is trusted here: not its type, not
its range, not its path. This module knows neither gradio nor the retriever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cir.composers.parameters import is_number
from cir.errors import BadImage, BadQuery

MAX_RESULTS = 60
Offered = TypeVar("Offered")


def read_number(name: str, value: object) -> float:
    """`value` as a finite float.

    Raises:
        BadQuery: anything else: text, a bool, None, NaN.
    """
    if not is_number(value):
        raise BadQuery(f"{name} has to be a number, not {str(value)[:40]!r}.", "Give a number from 0 to 1.")
    return float(value)


def read_top_k(value: object) -> tuple[int, list[str]]:
    """How many results, kept within 1 and MAX_RESULTS and made whole, with a note when it was changed.

    Raises:
        BadQuery: not a number.
    """
    asked = read_number("The number of results", value)
    top_k = int(min(max(asked, 1), MAX_RESULTS))
    if top_k == asked:
        return top_k, []
    return top_k, [f"The number of results is {top_k}: a whole number from 1 to {MAX_RESULTS} is possible."]


def read_threshold(value: object) -> float:
    """The score that results have to reach, from 0 to 1.

    Raises:
        BadQuery: not a number, or out of its range.
    """
    number = read_number("The least score", value)
    if not 0.0 <= number <= 1.0:
        raise BadQuery(f"The least score is {number:g}.", "Give a number from 0 to 1.")
    return number


def read_method(methods: Sequence[str], value: object) -> str:
    """The method by its name, whatever its case.

    Raises:
        BadQuery: there is none of that name.
    """
    for method in methods:
        if isinstance(value, str) and value.casefold() == method.casefold():
            return method
    raise BadQuery(f"There is no method {str(value)[:40]!r}.", f"Choose one of: {', '.join(methods)}.")


def read_index(offered: Sequence[Offered], index: object) -> Offered:
    """What is behind an index that a click sent: an id, a method, an example, a preset.

    Raises:
        BadQuery: no whole number, negative, or beyond the list.
    """
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(offered):
        raise BadQuery("That is not on the page any more.", "Choose one of those that are shown.")
    return offered[index]


def read_picked(value: object, galleries: Collection[str]) -> str:
    """The id of a picture that was picked on the page; "" for anything else.

    Args:
        value: as the page sends it.
        galleries: the names of the gallery that is searched: its present one, and those that it had.

    Raises:
        BadQuery: it was picked from another gallery than the one that is searched.
    """
    meta = value.get("meta") if isinstance(value, Mapping) else None
    picked = meta.get("picked") if isinstance(meta, Mapping) else None
    if not isinstance(meta, Mapping) or not isinstance(picked, str) or not picked:
        return ""
    if meta.get("gallery") not in galleries:
        raise BadQuery("The reference is a picture of another gallery.", "Pick one of this gallery.")
    return picked


def read_upload(value: object) -> Path | None:
    """The file behind a picture as the page sends it: {"path": ...}, an upload or a copy of a thumbnail.

    Raises:
        BadImage: something came that is no upload.
    """
    if value is None:
        return None
    path = value.get("path") if isinstance(value, Mapping) else None
    if not isinstance(path, str) or not path:
        raise BadImage(
            "The picture did not arrive as a file.", "Upload it, paste it, or pick one from the gallery."
        )
    return Path(path)
