"""The book: wordings of every order, with stand-ins for what they name, as text and as a sentence encoder sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cir.cache_keys import digest_of
from cir.models.protocols import SentenceEncoder
from cir.world.reading import nouns_in
from cir.world.vocabulary import COLOURS, WORLD_FOLDER, load_nouns, words

STAND_INS = (("apple", "apples"), ("bicycle", "bicycles"))  # for the first and the second thing that is named
# The book as the set's sentence encoder sees it: scripts/encode_wordings.py makes it.
ENCODED = WORLD_FOLDER / "wordings.safetensors"
TOKEN = re.compile(r"[a-z0-9]+(?:[-'’][a-z]+)*|[,;.:&+]")
BEFORE = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "my",
        "your",
        "his",
        "her",
        "its",
        "their",
        "our",
        "some",
        "any",
        "another",
    ]
)
IT = frozenset(["it", "them", "they"])


@dataclass(frozen=True, slots=True)
class Wording:
    """A line of the book with stand-ins in it: its kind, its words, the place or time that it names, the order of its things."""

    kind: str
    text: str
    value: str = ""
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that was written down.

    Attributes:
        wordings: of every kind, with stand-ins.
        colours, numbers, sizes: another word -> the plain one.
        places: place or time -> what its wordings name as things: trees are no thing of their own in a forest.
    """

    wordings: tuple[Wording, ...]
    colours: Mapping[str, str]
    numbers: Mapping[str, int]
    sizes: Mapping[str, str]
    places: Mapping[str, set[str]] = field(default_factory=dict)


@cache
def read_book() -> Book:
    """The shipped book."""
    rows: dict[str, Any] = json.loads((WORLD_FOLDER / "wordings.json").read_text(encoding="utf-8"))
    first, second = (f"the {one}" for one, _ in STAND_INS)
    found: list[Wording] = []
    for kind in ("remove", "add", "count", "count_of_it", "colour", "colour_of_it", "larger", "smaller"):
        for text in rows[kind]:
            filled = text.format(
                a=_article(text, "{a}"), b=f"an {STAND_INS[0][0]}", s=STAND_INS[0][1], n="two", c="red"
            )
            found.append(Wording(kind, filled))
    for text in rows["replace"]:
        swapped = text.index("{b}") < text.index("{a}")
        a, b = (second, f"an {STAND_INS[0][0]}") if swapped else (first, f"a {STAND_INS[1][0]}")
        found.append(Wording("replace", text.format(a=a, b=b), swapped=swapped))
    found += [Wording(kind, text) for kind in ("nothing", "other") for text in rows[kind]]
    for kind in ("other_of_one", "other_of_two"):
        found += [
            Wording(kind, text.format(a=_article(text, "{a}"), b=f"a {STAND_INS[1][0]}"))
            for text in rows[kind]
        ]
    for kind, values, slot in (("background", rows["places"], "p"), ("time", rows["times"], "t")):
        for value, phrases in values.items():
            for phrase in phrases:
                told = (phrase, f"the same but {phrase}", f"the same scene {phrase}")
                found += [Wording(kind, text, value) for text in told]
                of_one = (text.format(a=first, p=phrase) for text in rows["background_of"][:2])
                found += [Wording(f"{kind}_of", text, value) for text in of_one]
            found += [Wording(kind, text.format(**{slot: phrases[0]}), value) for text in rows[kind]]
    named = {value: nouns_in(" , ".join(p)) for value, p in {**rows["places"], **rows["times"]}.items()}
    colours = {word: colour for colour, others in rows["colours"].items() for word in (colour, *others)}
    numbers = {word: int(number) for number, others in rows["numbers"].items() for word in others}
    plain = {"large": "big", "small": "small"}
    sizes = {word: plain[size] for size, others in rows["sizes"].items() for word in others}
    return Book(tuple(dict.fromkeys(found)), colours, numbers, sizes, named)


def wordings_digest() -> str:
    """Of everything that is written in the book."""
    book = read_book()
    return digest_of(
        book.wordings, *(sorted(found.items()) for found in (book.colours, book.numbers, book.sizes))
    )


def book_key(encoder_fingerprint: str) -> str:
    """Of the rows of the book: other for other wordings, other names of things, and another encoder."""
    return digest_of([wording.text for wording in read_book().wordings], list(nouns()), encoder_fingerprint)


def encode_book(encoder: SentenceEncoder) -> dict[str, NDArray[np.float32]]:
    """(N, D) unit rows of all "wordings", and of all names of "nouns"."""
    return {
        "wordings": encoder.encode([wording.text for wording in read_book().wordings]),
        "nouns": encoder.encode(list(nouns())),
    }


def read_encoded(encoder_fingerprint: str) -> dict[str, NDArray[np.float32]] | None:
    """The shipped rows; None where they are not of this encoder and this book."""
    try:
        with safe_open(ENCODED, "numpy") as file:
            if (file.metadata() or {}).get("key") != book_key(encoder_fingerprint):
                return None
            return {name: file.get_tensor(name).astype(np.float32) for name in ("wordings", "nouns")}
    except (OSError, SafetensorError):
        return None


def _article(text: str, slot: str) -> str:
    """The stand-in for a thing: without an article where the wording has its own."""
    before = text.split(slot)[0].split()
    with_own = before and before[-1] in {
        "a",
        "an",
        "no",
        "single",
        "bigger",
        "larger",
        "smaller",
        "red",
        "{c}",
        "same",
        "more",
    }
    return STAND_INS[0][0] if with_own or (before and before[0] in {"a", "an"}) else f"the {STAND_INS[0][0]}"


@cache
def nouns() -> Mapping[str, tuple[str, bool]]:
    """Every name of a thing -> (noun, whether it is plural)."""
    found: dict[str, tuple[str, bool]] = {}
    for noun in load_nouns().values():
        for singular, plural in noun.names:
            found.setdefault(plural.lower(), (noun.name, True))
            found[singular.lower()] = noun.name, False
    return found


@cache
def book_words() -> frozenset[str]:
    """The words of all wordings, and those that stand before things."""
    book = read_book()
    said = {token for wording in book.wordings for token in TOKEN.findall(wording.text.lower())}
    return frozenset(said | set(book.colours) | set(book.numbers) | set(book.sizes) | BEFORE | IT)


@cache
def all_words() -> frozenset[str]:
    """These, and those that name things, places and colours."""
    named = {token for name in (*nouns(), *words(), *COLOURS) for token in name.lower().split()}
    return book_words() | named
