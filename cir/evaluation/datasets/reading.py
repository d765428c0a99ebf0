"""JSON files of others, read strictly: what is damaged or ambiguous is refused, with its place.

It knows no benchmark, only what a JSON file may do wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cir.errors import DatasetError
from cir.files import read_text

Kind = TypeVar("Kind")


def read_json(path: Path, kind: type[Kind], what: str) -> Kind:
    """A whole JSON file whose outermost value is a list or an object.

    Args:
        path: the file.
        kind: `list` or `dict`.
        what: what it should hold, for the error.

    Raises:
        CirError: it is not there, not whole, not in UTF-8, names a key twice, or holds something else.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DatasetError(f"{path} cannot be read: {reason}.", f"Give the file with {what}.") from error
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, path))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path.name} is not whole: {error.msg} in line {error.lineno}, column {error.colno}.",
            "Write or fetch it again.",
        ) from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number of thousands of digits, or lists in lists in lists
        raise DatasetError(f"{path.name} cannot be read: {error}.", f"Give the file with {what}.") from error
    if not isinstance(value, kind):
        raise DatasetError(
            f"{path.name} holds {_named(value)}, not {_named(kind())}.", f"Give the file with {what}."
        )
    return value


def _object(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DatasetError(f"{path.name} has an entry for {key[:60]} twice.", "Keep one of them.")
        found[key] = value
    return found


def _named(value: object) -> str:
    """What a value of JSON is, as people call it."""
    return _NAMES[type(value)]


class Record:
    """One record of an annotation file, whose fields are checked as they are asked for.

    Args:
        value: what the file holds at this place.
        place: how the record is named in errors, such as "query 12060 of cap.rc2.val.json".
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise DatasetError(f"{_capital(place)} is {_named(value)}, not an object.", _PUBLISHED)
        self.value, self.place = value, place

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        return key in self.value

    def text(self, key: str, *, blank: bool = False) -> str:
        """A field that is text, and not blank unless that is allowed."""
        found = self._field(key)
        if not isinstance(found, str) or not (blank or found.strip()):
            raise self._wrong(key, found, "text")
        return found

    def number(self, key: str) -> int:
        """A field that is a whole number, not negative."""
        found = self._field(key)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise self._wrong(key, found, "a whole number")
        return found

    def items(self, key: str, kind: type[Kind]) -> list[Kind]:
        """A field that is a list of one kind of values."""
        found = self._field(key)
        if not isinstance(found, list) or any(type(one) is not kind for one in found):
            raise self._wrong(key, found, f"a list of {_PLURALS[kind]}")
        return found

    def record(self, key: str) -> Record:
        """A field that is an object itself."""
        return Record(self._field(key), f"{key} of {self.place}")

    def labels(self, key: str) -> dict[str, float]:
        """A field that is an object of numbers from -1 to 1."""
        found = self.record(key).value
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not -1.0 <= value <= 1.0:
                raise self._wrong(f"{key}.{name}", value, "a number from -1 to 1")
        return {name: float(value) for name, value in found.items()}

    def _field(self, key: str) -> object:
        if key not in self.value:
            raise DatasetError(f"{_capital(self.place)} has no {key!r}.", _PUBLISHED)
        return self.value[key]

    def _wrong(self, key: str, found: object, wanted: str) -> DatasetError:
        said = _NAMES[type(found)] if found is None else repr(str(found)[:60])
        return DatasetError(f"{_capital(self.place)}: {key!r} is {said}, not {wanted}.", _PUBLISHED)


_NAMES = {
    list: "a list",
    dict: "an object",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_PLURALS = {str: "texts", int: "whole numbers", dict: "objects"}
_PUBLISHED = "Take the file as it was published, or correct it there."


def _capital(place: str) -> str:
    return place[:1].upper() + place[1:]


def first_file(candidates: Iterable[Path], what: str) -> Path:
    """The first of several places where a file may lie.

    Raises:
        DatasetError: none of them is a file.
    """
    tried = list(candidates)
    for path in tried:
        if path.is_file():
            return path
    places = ", ".join(str(path) for path in tried)
    raise DatasetError(
        f"There are no {what}: looked for {places}.", "Lay the benchmark out as it was published."
    )


def split_beside(annotations: Path) -> Path | None:
    """The image split of a `cap.*.json`, when it lies where it was published or in the same folder; else None."""
    name = annotations.name.replace("cap.", "split.", 1)
    beside = (annotations.with_name(name), annotations.parent.parent / "image_splits" / name)
    return next((path for path in beside if path != annotations and path.is_file()), None)
