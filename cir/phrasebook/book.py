"""The book: wordings of every order, with stand-ins for what they name, as text and as a sentence encoder sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cir.cache_keys import digest_of
from cir.models.protocols import SentenceEncoder
from cir.world.reading import nouns_in
from cir.world.vocabulary import BACKGROUNDS, COLOURS, TIMES, WORLD_FOLDER, load_nouns, words

STAND_INS = (("apple", "apples"), ("bicycle", "bicycles"))  # for the first and the second thing that is named
# The book as the set's sentence encoder sees it: scripts/encode_wordings.py makes it.
ENCODED = WORLD_FOLDER / "wordings.safetensors"
TOKEN = re.compile(r"[a-z0-9]+(?:[-']+[a-z]+)*|[,;.:&+]")
DEFINITE = frozenset("the this that these those my your his her its their our both all each every".split())  # noqa: SIM905
MANY = frozenset(["both", "all", "each", "every"])  # stand for "the"
BEFORE = DEFINITE | frozenset(["a", "an", "some", "any", "another"])
IT = frozenset(["it", "them", "they"])
# In what is said of a place or a time, such make a sentence of it.
_CLAUSE = frozenset(
    "is are has have had was it's there's we're we've you you'd came went tower roll rise swim float".split()  # noqa: SIM905
)
_BARE = frozenset(
    "a an one no any that zero single same red {c} big bigger small smaller huge tiny little large larger".split()  # noqa: SIM905
)


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
        phrases: several words -> those that say the same and are read.
        courtesies: words that ask for nothing.
    """

    wordings: tuple[Wording, ...]
    colours: Mapping[str, str]
    numbers: Mapping[str, int]
    sizes: Mapping[str, str]
    places: Mapping[str, set[str]] = field(default_factory=dict)
    phrases: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    courtesies: frozenset[str] = frozenset()

    def shortened(self, tokens: Sequence[str]) -> list[str]:
        """Without courtesies, and with simpler words for some phrases."""
        found, at = [], 0
        while at < len(tokens):
            longest = next((n for n in (4, 3, 2, 1) if tuple(tokens[at : at + n]) in self.phrases), 0)
            if longest:
                found += self.phrases[tuple(tokens[at : at + longest])]
            elif tokens[at] not in self.courtesies:
                found.append(tokens[at])
            at += longest or 1
        return found


@cache
def written() -> Mapping[str, Any]:
    """The file, as it is written."""
    return json.loads((WORLD_FOLDER / "wordings.json").read_text(encoding="utf-8"))


@cache
def read_book() -> Book:
    """The shipped book."""
    rows = written()
    first, second = (f"the {one}" for one, _ in STAND_INS)
    found: list[Wording] = []
    for kind in (
        "remove", "add", "count", "count_of_it", "colour", "colour_of_it", "larger", "smaller", "nothing_of",
    ):  # fmt: skip
        for text in rows[kind]:
            filled = text.format(
                a=_article(text, "{a}"),
                b=f"an {STAND_INS[0][0]}",
                x=STAND_INS[0][0],
                s=STAND_INS[0][1],
                n="two",
                c="red",
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
    taught = {**BACKGROUNDS, **TIMES}
    for kind, values, slot in (("background", rows["places"], "p"), ("time", rows["times"], "t")):
        for value, others in values.items():
            phrases = list(dict.fromkeys([*others, *taught[value]]))
            for phrase in phrases:
                told = (phrase, f"the same but {phrase}", f"the same scene {phrase}", f"it is {phrase}")
                found += [Wording(kind, text, value) for text in told]
                if _CLAUSE.isdisjoint(phrase.split()):  # "the apple", but not "the apple the sun is shining"
                    of_one = (text.format(a=first, p=phrase) for text in rows["background_of"][:2])
                    found += [Wording(f"{kind}_of", text, value) for text in of_one]
            found += [Wording(kind, text.format(**{slot: phrases[0]}), value) for text in rows[kind]]
    named = {value: nouns_in(" , ".join(p)) for value, p in {**rows["places"], **rows["times"]}.items()}
    colours = {word: colour for colour, others in rows["colours"].items() for word in (colour, *others)}
    numbers = {word: int(number) for number, others in rows["numbers"].items() for word in others}
    plain = {"large": "big", "small": "small"}
    sizes = {word: plain[size] for size, others in rows["sizes"].items() for word in others}
    phrases = {tuple(words.split()): tuple(others.split()) for words, others in rows["phrases"].items()}
    book = Book((), colours, numbers, sizes, named, phrases, frozenset(rows["courtesies"]))
    return replace(book, wordings=tuple(dict.fromkeys(_as_edits_are(wording, book) for wording in found)))


def _as_edits_are(wording: Wording, book: Book) -> Wording:
    """In small letters, without marks, shortened, and sizes by one word each: an edit comes to it so."""
    tokens = [token for token in TOKEN.findall(wording.text.lower()) if token[0].isalnum()]
    short = book.shortened(tokens)
    if wording.kind in ("larger", "smaller"):
        short = [book.sizes.get(token, token) for token in short]
    return replace(wording, text=" ".join(short or tokens))


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
    """The stand-in for a thing: without an article where the wording has its own, or a word that an article stands before."""
    before = text.split(slot)[0].split()
    with_own = before and (before[-1] in _BARE or before[0] in {"a", "an"})
    return STAND_INS[0][0] if with_own else f"the {STAND_INS[0][0]}"


@cache
def nouns() -> Mapping[str, tuple[str, bool]]:
    """Every name of a thing -> (noun, whether it is plural)."""
    found: dict[str, tuple[str, bool]] = {}
    for noun in load_nouns().values():
        for singular, plural in noun.names:
            found.setdefault(plural.lower(), (noun.name, True))
            found[singular.lower()] = noun.name, False
    for name, others in written()["things"].items():
        for singular, plural in others:
            found.setdefault(singular, (name, False))
            found.setdefault(plural, (name, True))
    return found


@cache
def book_words() -> frozenset[str]:
    """The words of all wordings, and those that stand before things."""
    book = read_book()
    said = {token for wording in book.wordings for token in TOKEN.findall(wording.text.lower())}
    said |= {token for words in book.phrases for token in words} | book.courtesies
    return frozenset(said | set(book.colours) | set(book.numbers) | set(book.sizes) | BEFORE | IT)


@cache
def telling() -> Mapping[str, frozenset[str]]:
    """Words that are said of places and times alone -> the places and times that they are said of."""
    book, values = read_book(), {**written()["places"], **written()["times"]}
    elsewhere = {
        token
        for wording in book.wordings
        if not wording.kind.startswith(("background", "time"))
        for token in wording.text.split()
    }
    elsewhere |= {*BEFORE, *IT, *book.colours, *book.sizes, *book.numbers, *nouns()}
    elsewhere |= {
        token for kind in ("background", "time") for text in written()[kind] for token in text.split()
    }
    said: dict[str, set[str]] = {}
    for value, phrases in values.items():
        for token in {token for phrase in phrases for token in TOKEN.findall(phrase.lower())} - elsewhere:
            said.setdefault(token, set()).add(value)
    return {token: frozenset(of) for token, of in said.items() if len(of) < 4}


@cache
def all_words() -> frozenset[str]:
    """These, and those that name things, places and colours."""
    named = {token for name in (*nouns(), *words(), *COLOURS) for token in name.lower().split()}
    return book_words() | named
