"""The committed files of the benchmark: what is in each photograph, what is asked, and which half it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HALVES = ("tune", "untouched")
FOLDER_VARIABLE = "PHOTOGRAPHS"  # of the environment


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in a package."""

    id: str
    package: str  # name==version
    member: str  # path inside the package; of a Qt resource file, PATH!PATH INSIDE
    sha256: str  # of the original file


@dataclass(frozen=True, slots=True)
class Photograph(Picture):
    """One photograph of the benchmark, with what a person would say of it."""

    licence: str
    author: str
    group: str  # pictures of the same scene
    half: str
    caption: str
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cutout(Picture):
    """The photograph of one thing, cut out, and what people call it."""

    name: str
    half: str


@dataclass(frozen=True, slots=True)
class Shippable(Picture):
    """A photograph that may be given away: public domain, CC0, or CC-BY with its author named. None is of the untouched half."""

    licence: str
    author: str
    caption: str
    quote: str  # of what the package says
    half: str  # "tune", or "" for a photograph that is not in the benchmark


@dataclass(frozen=True, slots=True)
class NaturalTriplet:
    """A photograph, what a person wants different, and every photograph that would be right."""

    id: str
    reference: str
    text: str
    targets: tuple[str, ...]
    half: str


def photographs() -> tuple[Photograph, ...]:
    """Every photograph of the benchmark."""
    return tuple(Photograph(**row | {"queries": tuple(row["queries"])}) for row in _rows("photographs.jsonl"))


def triplets() -> tuple[NaturalTriplet, ...]:
    """Every natural composed query."""
    return tuple(
        NaturalTriplet(**row | {"targets": tuple(row["targets"])}) for row in _rows("triplets.jsonl")
    )


def cutouts() -> tuple[Cutout, ...]:
    """Every cut-out that has to be named."""
    return tuple(Cutout(**row) for row in _rows("cutouts.jsonl"))


def shippables() -> tuple[Shippable, ...]:
    """Every photograph that may be given away."""
    return tuple(Shippable(**row) for row in _rows("shippable.jsonl"))


def half_of(group: str) -> str:
    """The half that a group of pictures belongs to, by its name alone."""
    return HALVES[int(hashlib.sha256(f"photographs {group}".encode()).hexdigest(), 16) % 2]


def folder() -> Path:
    """Where the photographs lie: the environment's PHOTOGRAPHS, or photographs/ beside the code, which git ignores."""
    return Path(os.environ.get(FOLDER_VARIABLE) or HERE.parents[1] / "photographs")


def _rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]
