"""What is known of the thousand classes of ImageNet: where they lie among sentences, and what they tell of a scene.

Made by `python -m cir train photographs` of WordNet and a sentence encoder, and shipped. Knows no network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.cache_keys import digest_of
from cir.errors import MissingModel, UnsafeFile

ARRAYS_FILE, WORDS_FILE, TRUNK_FILE = "knowledge.safetensors", "classes.json", "trunk.safetensors"
CLASSES = 1000
ARRAYS = ("concepts", "centre", "basis", "groups", "gate")
_REMEDY = "Restore assets/models/photographs from the repository, or make it: python -m cir train photographs"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Knowledge:
    """What is known of the classes.

    Attributes:
        concepts: (1000, C) where each class lies among sentences, without what all have in common.
        centre: (S,) the mean of the classes' names among the sentence encoder's unit rows: what short texts have in common.
        basis: (S, C) the directions in which classes differ most.
        groups: (1000, A) which attributes of `lexicon.ATTRIBUTES` a class tells of, 0 or 1.
        gate: (F + 1,) logistic regression on the network's pooled features: is this a photograph? The last is its bias.
        names: 1000 names.
        kinds: name of a kind of thing -> the classes that are one.
    """

    concepts: Floats
    centre: Floats
    basis: Floats
    groups: Floats
    gate: Floats
    names: tuple[str, ...]
    kinds: Mapping[str, tuple[int, ...]]

    @cached_property
    def members(self) -> Mapping[str, NDArray[np.intp]]:
        """Name of a class or a kind -> its classes."""
        alone: dict[str, list[int]] = {}
        for i, name in enumerate(self.names):  # two classes are called "crane"
            alone.setdefault(name, []).append(i)
        return {name: np.array(rows) for name, rows in {**self.kinds, **alone}.items()}

    @cached_property
    def digest(self) -> str:
        """Of everything in it."""
        return digest_of(
            self.concepts,
            self.centre,
            self.basis,
            self.groups,
            self.gate,
            self.names,
            sorted(self.kinds.items()),
        )


def read_knowledge(folder: Path) -> Knowledge:
    """From the two files of a folder.

    Raises:
        MissingModel: they are not there.
        UnsafeFile: they do not hold what they should.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    arrays, words = folder / ARRAYS_FILE, folder / WORDS_FILE
    if not (arrays.is_file() and words.is_file()):
        raise MissingModel("What is known of photographs is not here.", _REMEDY)
    try:
        found = {name: array.astype(np.float32) for name, array in load_file(arrays).items()}
        said = json.loads(words.read_text(encoding="utf-8"))
        kinds = {name: tuple(rows) for name, rows in said["kinds"].items()}
        made = Knowledge(**{name: found[name] for name in ARRAYS}, names=tuple(said["names"]), kinds=kinds)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise UnsafeFile(f"What is known of photographs cannot be read: {error}", _REMEDY) from error
    if not len(made.concepts) == len(made.groups) == len(made.names) == CLASSES:
        raise UnsafeFile(f"What is known of photographs is not of {CLASSES} classes.", _REMEDY)
    return made
