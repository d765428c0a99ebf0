"""The arguments of programs' calls, read by name: whatever arrives is either understood or refused in a sentence.

A sentence names the argument, says what arrived and what is expected. Nothing is trusted: neither type nor range nor
path. Knows neither gradio nor models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cir.composers.parameters import Parameter, Values, read_values
from cir.composers.revision import THOUGHTS
from cir.errors import BadImage, BadQuery
from cir.gallery import narrowing
from cir.text import clean_text
from cir.ui.reading import MAX_RESULTS

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery
    from cir.shelf import ShelfEntry

MOST_WISHES = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """Something of which more or less is wanted: `what` is the id of a gallery image, or a text; `weight` signed."""

    kind: str
    what: str
    weight: float


def shown(value: object) -> str:
    """What arrived, for a sentence: 'many', 2.5, a list, nothing."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    if isinstance(value, bool | int | float):
        return str(value)[:40]
    return {dict: "an object", list: "a list"}.get(type(value), type(value).__name__)


def named(name: str, value: object, old_name: str, old: object) -> tuple[str, object]:
    """An argument that has an old name beside its own: the name that was used, and the value.

    Raises:
        BadQuery: both are given.
    """
    if old in (None, ""):
        return name, value
    if value not in (None, ""):
        message = f"{old_name} is the old name of {name}, and both are given."
        raise BadQuery(message, f"Leave out {old_name}.")
    return old_name, old


@contextmanager
def about(name: str, remedy: str) -> Iterator[None]:
    """Let a refusal from further inside name the argument that it is about, with a remedy for programs."""
    try:
        yield
    except BadQuery as error:
        raise BadQuery(f"{name}: {error.message}", remedy) from error


def read_text(name: str, value: object) -> tuple[str, list[str]]:
    """A text, cleaned, with the notes on what was taken out.

    Raises:
        BadQuery: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise BadQuery(f"{name} has to be a text, not {shown(value)}.", f'Send a string: {name}="at night".')
    return clean_text(value)


def read_number(name: str, value: object, low: float = 0.0, high: float = 1.0) -> float:
    """A number within its range.

    Raises:
        BadQuery: anything else: text, a bool, NaN, a number out of its range.
    """
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or not low <= value <= high:  # type: ignore[operator]
        raise BadQuery(
            f"{name} has to be a number from {low:g} to {high:g}, not {shown(value)}.",
            f"Send a number: {name}={(low + high) / 2:g}.",
        )
    return float(value)  # type: ignore[arg-type]


def read_top_k(name: str, value: object, default: int) -> tuple[int, list[str]]:
    """How many results: made whole and kept within 1 and MAX_RESULTS, with a note when it was changed.

    Raises:
        BadQuery: not a number.
    """
    if value is None:
        return default, []
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not numeric or math.isnan(value):  # type: ignore[arg-type]
        raise BadQuery(
            f"{name} has to be a whole number from 1 to {MAX_RESULTS}, not {shown(value)}.",
            f"Send a number: {name}=12.",
        )
    top_k = int(min(max(value, 1), MAX_RESULTS))  # type: ignore[type-var]
    note = f"{name} is {top_k}: a whole number from 1 to {MAX_RESULTS} is possible."
    return top_k, [] if top_k == value else [note]


def read_numbers(
    parameters: Sequence[Parameter], given: Mapping[str, object], values: object, before: Values
) -> dict[str, float]:
    """The numbers of a method, those of `before` where none is given.

    Args:
        parameters: the method's.
        given: "alpha", "beta", "gamma" -> what arrived; of no meaning for a method that has no such number.
        values: an object of numbers by the names that `/methods` lists, or None.
        before: the method's own, or those of the search that is ranked again.

    Raises:
        BadQuery: no number, out of range, a name that the method does not have, or shares that sum to more than 1.
    """
    listed = ", ".join(parameter.name for parameter in parameters) or "none"
    if values is not None and not isinstance(values, Mapping):
        raise BadQuery(
            f"values has to be an object of numbers by name, not {shown(values)}.",
            f'For example values={{"alpha": 0.5}}; the names of this method: {listed}.',
        )
    numbers = {name: value for name, value in {**given, **(values or {})}.items() if value is not None}
    known = {name: p for p in parameters for name in (p.formerly, p.name) if name}
    for name in values or ():
        if name not in known:
            raise BadQuery(
                f"values: this method has no number {shown(name)}.", f"Choose among its names: {listed}."
            )
    checked = {
        name: read_number(name, value, known[name].low, known[name].high)
        for name, value in numbers.items()
        if name in known
    }
    return read_values(parameters, checked, before)


def read_flag(name: str, value: object, default: bool) -> bool:
    """True or False.

    Raises:
        BadQuery: anything else.
    """
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadQuery(
            f"{name} has to be true or false, not {shown(value)}.", f"Send {name}=True or {name}=False."
        )
    return value


def read_choice(name: str, value: object, offered: Sequence[str], kind: str) -> str:
    """One of the names on offer, whatever its case; the first for none.

    Raises:
        BadQuery: there is none of that name.
    """
    if value in (None, ""):
        return offered[0]
    if not isinstance(value, str):
        raise BadQuery(
            f"{name} has to be a text, not {shown(value)}.", f"Choose one of: {', '.join(offered)}."
        )
    for choice in offered:
        if value.casefold() == choice.casefold():
            return choice
    raise BadQuery(f"{name}: there is no {kind} {shown(value)}.", f"Choose one of: {', '.join(offered)}.")


def read_gallery(value: object, entries: Sequence[ShelfEntry]) -> ShelfEntry:
    """The gallery that is meant, by the name under which `/galleries` lists it; the page's first for none.

    Raises:
        BadQuery: there is none of that name.
    """
    if value in (None, ""):
        return entries[0]
    title = read_choice("gallery", value, [entry.title for entry in entries], "gallery")
    return next(entry for entry in entries if entry.title == title)


def read_reference(image: object, image_id: object, names: tuple[str, str]) -> tuple[object, str]:
    """The reference: (an upload as it arrived or None, the id of a gallery image or "").

    Args:
        image: what arrived as an upload.
        image_id: what arrived as an id.
        names: of the two arguments, as the caller wrote them.

    Raises:
        BadImage: something came in the place of an upload.
        BadQuery: both are given, or something came in the place of an id.
    """
    if image not in (None, "") and image_id not in (None, ""):
        raise BadQuery(
            f"The reference is either a picture ({names[0]}) or the id of a gallery image ({names[1]}), not both.",
            "Leave out one of them.",
        )
    if image_id not in (None, "") and not isinstance(image_id, str):
        raise BadQuery(
            f"{names[1]} has to be the id of a gallery image, either an `image_id` of an earlier answer or nothing, "
            f"not {shown(image_id)}.",
            "Send the text that stands there.",
        )
    return None if image in (None, "") else image, str(image_id or "")


def refuse_upload(name: str, value: object) -> BadImage:
    """Why something is no uploaded picture, and how to send one."""
    if isinstance(value, str) and "://" in value:
        return BadImage(
            f"{name} is an address ({shown(value)}), and addresses are not fetched.",
            f'Save the picture, then send the file: {name}=handle_file("photo.jpg"), from gradio_client.',
        )
    example = value if isinstance(value, str) and len(value) <= 40 else "photo.jpg"
    return BadImage(
        f"{name} has to be an uploaded picture, not {shown(value)}.",
        f'Send the file itself: {name}=handle_file("{Path(example).name}"), from gradio_client.',
    )


def read_wishes(name: str, value: object, weight: float) -> list[Wish]:
    """What is wanted more or less: one text or a list of them, each alone or with a weight of its own.

    Args:
        name: "more", "less" (ids of gallery images) or "without" (texts).
        value: "id", ["id", ...] or [{"of": "id", "weight": 0.5}, ...]; weights are positive for all three.
        weight: of those that bring none, signed.

    Raises:
        BadQuery: something else, or too many.
    """
    items = [] if value in (None, "") else value if isinstance(value, list | tuple) else [value]
    if len(items) > MOST_WISHES:
        raise BadQuery(f"{name} has {len(items)} entries.", f"Send at most {MOST_WISHES}.")
    return [_read_wish(name, item, weight) for item in items]


def _read_wish(name: str, item: object, weight: float) -> Wish:
    of, own = item, None
    if isinstance(item, Mapping) and set(item) <= {"of", "weight"}:
        of, own = item.get("of"), item.get("weight")
    if not isinstance(of, str) or not of.strip():
        what = "texts" if name == "without" else "ids of gallery images"
        example = '["people"]' if name == "without" else 'found["results"][0]["image_id"]'
        raise BadQuery(
            f"{name} has to be a list of {what}, not of {shown(item)}.", f"For example {name}={example}."
        )
    if own is not None:
        weight = math.copysign(read_number(f"A weight in {name}", own), weight)
    return Wish(name, of.strip(), weight)


def read_only(
    gallery: Gallery, folder: object, since: object, until: object, with_undated: object
) -> narrowing.Only:
    """Where a search is to look: a folder by its path below the gallery's ("/" for no folder), and days.

    Raises:
        BadQuery: there is no such folder or day, or the days are in the wrong order.
    """
    days = []
    for name, value, last in (("since", since, False), ("until", until, True)):
        if value is not None and not isinstance(value, str):
            raise BadQuery(
                f"{name} has to be a day as a text, not {shown(value)}.",
                f'Send a string: {name}="2024-05-17".',
            )
        with about(name, 'Send a year, a month or a day: "2024", "2024-05" or "2024-05-17".'):
            days.append(narrowing.read_day(value, last=last))
    if days[0] and days[1] and days[0] > days[1]:
        raise BadQuery(f"since is {days[0]}, later than until, {days[1]}.", "Exchange the two days.")
    undated = read_flag("with_undated", with_undated, False)
    return narrowing.Only(narrowing.folder_at(gallery, folder), days[0], days[1], undated)


def read_thoughts(value: object) -> dict[str, tuple[str, ...]]:
    """Texts in the place of the machine's: kind -> texts.

    Raises:
        BadQuery: another kind, or no texts.
    """
    if value is None:
        return {}
    remedy = f'For example trace={{"{THOUGHTS[0]}": ["a red boat"]}}; the names are {", ".join(THOUGHTS)}.'
    if not isinstance(value, Mapping):
        raise BadQuery(f"trace has to be an object of lists of texts, not {shown(value)}.", remedy)
    for kind, texts in value.items():
        if kind not in THOUGHTS:
            raise BadQuery(f"trace: there are no texts called {shown(kind)}.", remedy)
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise BadQuery(f"trace: {kind} has to be a list of texts, not {shown(texts)}.", remedy)
    return {kind: tuple(filter(None, (clean_text(t)[0] for t in texts))) for kind, texts in value.items()}
