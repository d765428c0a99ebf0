"""The arguments of programs' calls, read by name: whatever arrives is either understood or refused in a sentence.

A sentence names the argument, says what arrived and what is expected. Nothing is trusted: neither type nor range nor
path. No models are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.composers.parameters import Parameter, Values, is_number, read_values
from cir.composers.revision import THOUGHTS
from cir.errors import BadImage, BadQuery
from cir.gallery import narrowing
from cir.text import clean_text
from cir.ui.reading import MAX_RESULTS
from cir.ui.server import gradio_private

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable
    from cir.shelf import Shelf, ShelfEntry

MOST_WISHES = 8
CVSI_NUMBERS = ("alpha", "beta", "gamma")  # may stand beside `values`
# Argument -> its type, and what the API page says of it. What is left out has its usual value, or stays as it was.
ARGUMENTS: dict[str, tuple[Any, str]] = {
    "reference_image": (gr.FileData, 'the reference image, uploaded: handle_file("photo.jpg"); or none.'),
    "text": (str, 'the modification text, what should be different: "at night".'),
    "method": (str, "a name that /methods lists, in capitals or not; the page's first for none."),
    "alpha": (float, "CVSI's weight of the described edit, from 0 to 1."),
    "beta": (float, "CVSI's weight of the image word with the edit, from 0 to 1."),
    "gamma": (float, "CVSI's weight of the captions of gallery images, from 0 to 1."),
    "values": (dict, 'numbers of any method, by the names that /methods lists: {"t": 0.3} for Slerp.'),
    "top_k": (int, "how many results, from 1 to 60; 30 for none."),
    "reference_id": (str, "a gallery image as the reference, by the image_id of an earlier result."),
    "gallery": (str, "a name that /galleries lists; the page's first for none."),
    "folder": (str, 'search only in this folder, by its path below the gallery\'s: "holiday/rome"; "/" for no folder, "" for all.'),
    "since": (str, 'search only from this day on: "2024", "2024-05" or "2024-05-17"; "" for no such bound.'),
    "until": (str, 'search only up to this day; "" for no such bound.'),
    "with_undated": (bool, "whether pictures of an unknown day are searched beside those of the days; false for none."),
    "without": (list[str], 'texts of what should not be there: ["people"], or [{"of": "people", "weight": 0.5}]; [] for none.'),
    "more": (list[str], "gallery images, by id, of whose looks more is wanted; weights as of without."),
    "less": (list[str], "gallery images, by id, of whose looks less is wanted; weights as of without."),
    "at_least": (float, "the score that results have to reach, from 0 to 1; 0 hides none."),
    "leave_out_reference": (bool, "whether a gallery image that is the reference may not be a result; true for none."),
    "trace": (dict, 'texts in the place of the machine\'s, by the names that they have in the answer: {"modified_captions": ["a red boat"]}.'),
    "search_id": (str, "of the search that is meant; the caller's last for none."),
    "image_id": (str, "of a result of the search."),
    "image": (gr.FileData, "old name of reference_image."),
    "k": (int, "old name of top_k."),
    "gallery_image_id": (str, "old name of reference_id."),
}  # fmt: skip
FORMERLY = {"image": "reference_image", "k": "top_k", "gallery_image_id": "reference_id"}


def shown(value: object) -> str:
    """What arrived, for a sentence: 'many', 2.5, a list, nothing."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    if isinstance(value, bool | int | float):
        return str(value)[:40]
    return {dict: "an object", list: "a list"}.get(type(value), type(value).__name__)


def unfit(name: str, kind: str, value: object, remedy: str) -> BadQuery:
    """An argument that is not of its kind, with what arrived in its place."""
    return BadQuery(f"{name} has to be {kind}, not {shown(value)}.", remedy)


@contextmanager
def about(name: str, remedy: str) -> Iterator[None]:
    """Let a refusal from further inside name the argument that it is about, with a remedy for programs."""
    try:
        yield
    except BadQuery as error:
        raise BadQuery(f"{name}: {error.message}", remedy) from error


@dataclass(frozen=True, slots=True)
class Wish:
    """Something of which more or less is wanted: the id of a gallery image, or a text; its weight is None for the usual."""

    what: str
    weight: float | None


class Arguments:
    """What arrived for a call. Each reader raises BadQuery where that cannot be what it reads.

    Args:
        sent: argument -> value; None is as good as left out.
        formerly: old name -> name; a sentence speaks of the one that was used.

    Raises:
        BadQuery: both an argument and its old name are given.
    """

    def __init__(self, sent: Mapping[str, object], formerly: Mapping[str, str] = FORMERLY) -> None:
        self._values = {name: value for name, value in sent.items() if value is not None}
        self._used: dict[str, str] = {}
        for old, name in formerly.items():
            value = self._values.pop(old, "")
            if value == "":
                continue
            if self._values.get(name, "") != "":
                raise BadQuery(f"{old} is the old name of {name}, and both are given.", f"Leave out {old}.")
            self._values[name], self._used[name] = value, old

    def get(self, name: str) -> Any:
        """What arrived under a name; None for nothing."""
        return self._values.get(name)

    def used(self, name: str) -> str:
        """The name by which the caller speaks of an argument."""
        return self._used.get(name, name)

    def text(self, name: str) -> tuple[str, list[str]]:
        """A text, cleaned, with the notes on what was taken out."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise unfit(name, "a text", value, f'Send a string: {name}="at night".')
        return clean_text(value)

    def number(self, name: str, default: float) -> float:
        """A number from 0 to 1."""
        value = self.get(name)
        return default if value is None else _number(name, value)

    def flag(self, name: str, default: bool) -> bool:
        """True or False."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise unfit(name, "true or false", value, f"Send {name}=True or {name}=False.")
        return default if value is None else value

    def top_k(self, default: int) -> tuple[int, list[str]]:
        """How many results: made whole and kept within 1 and MAX_RESULTS, with a note when it was changed."""
        name, value = self.used("top_k"), self.get("top_k")
        if value is None:
            return default, []
        if not is_number(value):
            kind = f"a whole number from 1 to {MAX_RESULTS}"
            raise unfit(name, kind, value, f"Send a number: {name}=12.")
        top_k = int(min(max(value, 1), MAX_RESULTS))
        note = f"{name} is {top_k}: a whole number from 1 to {MAX_RESULTS} is possible."
        return top_k, [] if top_k == value else [note]

    def choice(self, name: str, offered: Sequence[str]) -> str:
        """One of the names on offer, whatever its case; the first for none."""
        value, remedy = self.get(name), f"Choose one of: {', '.join(offered)}."
        if value in (None, ""):
            return offered[0]
        if not isinstance(value, str):
            raise unfit(name, "a text", value, remedy)
        for choice in offered:
            if value.casefold() == choice.casefold():
                return choice
        raise BadQuery(f"{name}: there is no {name} {shown(value)}.", remedy)

    def gallery(self, shelf: Shelf) -> ShelfEntry:
        """The gallery that is meant, by the name under which `/galleries` lists it, or had before; the page's first for none."""
        entries, name = shelf.entries(), self.get("gallery")
        if isinstance(name, str) and (renamed := shelf.renamed_entry(name)):
            return renamed
        title = self.choice("gallery", [entry.title for entry in entries])
        return next(entry for entry in entries if entry.title == title)

    def numbers(self, parameters: Sequence[Parameter], before: Values) -> dict[str, float]:
        """The numbers of a method; those of `before` where none is given.

        CVSI's three may stand beside `values`; they are of no meaning for a method that has no such number.
        """
        values, listed = self.get("values"), ", ".join(parameter.name for parameter in parameters) or "none"
        if values is not None and not isinstance(values, Mapping):
            remedy = f'For example values={{"alpha": 0.5}}; the names of this method: {listed}.'
            raise unfit("values", "an object of numbers by name", values, remedy)
        known = {name: p for p in parameters for name in (p.formerly, p.name) if name}
        for name in values or ():
            if name not in known:
                raise BadQuery(
                    f"values: this method has no number {shown(name)}.", f"Choose among its names: {listed}."
                )
        given = {**{name: self.get(name) for name in CVSI_NUMBERS}, **(values or {})}
        checked = {
            name: _number(name, value, known[name].low, known[name].high)
            for name, value in given.items()
            if name in known and value is not None
        }
        return read_values(parameters, checked, before)

    @property
    def has_numbers(self) -> bool:
        """Whether any number of a method arrived."""
        return bool(self.get("values")) or any(self.get(name) is not None for name in CVSI_NUMBERS)

    def bounds(self, gallery: Searchable, before: narrowing.Narrowing) -> narrowing.Narrowing:
        """Where a search is to look: a folder by its path below the gallery's ("/" for no folder), and days."""
        since, until = self._day("since", before.since), self._day("until", before.until)
        if since and until and since > until:
            raise BadQuery(f"since is {since}, later than until, {until}.", "Exchange the two days.")
        folder = self.get("folder")
        where = before.folder if folder is None else narrowing.folder_at(gallery, folder)
        return narrowing.Narrowing(where, since, until, self.flag("with_undated", before.with_undated))

    def _day(self, name: str, before: date | None) -> date | None:
        value = self.get(name)
        if value is None:
            return before
        if not isinstance(value, str):
            raise unfit(name, "a day as a text", value, f'Send a string: {name}="2024-05-17".')
        with about(name, 'Send a year, a month or a day: "2024", "2024-05" or "2024-05-17".'):
            return narrowing.read_day(value, last=name == "until")

    def reference(self) -> tuple[object, str]:
        """The reference: (an upload or None, the id of a gallery image or "").

        Raises:
            BadImage: something came in the place of an upload.
        """
        name, id_name = self.used("reference_image"), self.used("reference_id")
        upload, image_id = self.get("reference_image"), self.get("reference_id")
        upload, image_id = None if upload == "" else upload, "" if image_id is None else image_id
        if upload is not None and image_id != "":
            raise BadQuery(
                f"The reference is either a picture ({name}) or the id of a gallery image ({id_name}), not both.",
                "Leave out one of them.",
            )
        if not isinstance(image_id, str):
            kind = "the id of a gallery image, either an `image_id` of an earlier answer or nothing"
            raise unfit(id_name, kind, image_id, "Send the text that stands there.")
        if upload is not None and not is_upload(upload):
            raise refuse_upload(name, upload)
        return upload, image_id

    def wishes(self, name: str) -> list[Wish] | None:
        """What is wanted "more", "less" (ids of gallery images) or "without" (texts); None where nothing was sent.

        One text or a list of them, each alone or with a positive weight of its own: {"of": "id", "weight": 0.5}.
        """
        value = self.get(name)
        if value is None:
            return None
        items = [] if value == "" else value if isinstance(value, list | tuple) else [value]
        if len(items) > MOST_WISHES:
            raise BadQuery(f"{name} has {len(items)} entries.", f"Send at most {MOST_WISHES}.")
        return [_wish(name, item) for item in items]

    def thoughts(self) -> dict[str, tuple[str, ...]]:
        """Texts in the place of the machine's: kind -> texts."""
        value = self.get("trace")
        remedy = (
            f'For example trace={{"{THOUGHTS[0]}": ["a red boat"]}}; the names are {", ".join(THOUGHTS)}.'
        )
        if value is not None and not isinstance(value, Mapping):
            raise unfit("trace", "an object of lists of texts", value, remedy)
        for kind, texts in (value or {}).items():
            if kind not in THOUGHTS:
                raise BadQuery(f"trace: there are no texts called {shown(kind)}.", remedy)
            if not isinstance(texts, list | tuple):
                raise unfit(f"trace: {kind}", "a list of texts", texts, remedy)
            for text in texts:
                if not isinstance(text, str):
                    raise BadQuery(f"trace: {kind} has to be a list of texts, not of {shown(text)}.", remedy)
        cleaned = {k: [clean_text(text)[0] for text in texts] for k, texts in (value or {}).items()}
        return {kind: tuple(filter(None, texts)) for kind, texts in cleaned.items()}


def _number(name: str, value: Any, low: float = 0.0, high: float = 1.0) -> float:
    if not is_number(value) or not low <= value <= high:
        remedy = f"Send a number: {name}={(low + high) / 2:g}."
        raise unfit(name, f"a number from {low:g} to {high:g}", value, remedy)
    return float(value)


def _wish(name: str, item: object) -> Wish:
    what, weight = item, None
    if isinstance(item, Mapping) and set(item) <= {"of", "weight"}:
        what, weight = item.get("of"), item.get("weight")
    if not isinstance(what, str) or not what.strip():
        kind = "texts" if name == "without" else "ids of gallery images"
        example = '["people"]' if name == "without" else 'found["results"][0]["image_id"]'
        raise BadQuery(
            f"{name} has to be a list of {kind}, not of {shown(item)}.", f"For example {name}={example}."
        )
    return Wish(what.strip(), None if weight is None else _number(f"A weight in {name}", weight))


def is_upload(value: object) -> bool:
    """Whether a value is a file as gradio's client sends it after the upload, where uploads are kept."""
    meta = value.get("meta") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(meta, Mapping):
        return False
    try:
        gr.FileData(**value)
        uploads = gradio_private.upload_folder().resolve()
        return meta.get("_type") == "gradio.FileData" and Path(value["path"]).resolve().is_relative_to(
            uploads
        )
    except (OSError, TypeError, ValueError):  # a NUL, a name that is too long, a field of another type
        return False


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
