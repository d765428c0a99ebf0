"""Nouns of WordNet 3.0 from its file data.noun (Debian's package wordnet-base): names, kinds of things, meanings.

Source: Princeton University, "About WordNet", 2010; the layout is described in its manual page wndb(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cir.errors import MissingModel, UnsafeFile

FOLDER = Path("/usr/share/wordnet")
HYPERNYMS = ("@", "@i")


@dataclass(frozen=True, slots=True)
class Synset:
    """Words of one meaning.

    Attributes:
        names: the commonest first.
        parents: ids of what it is a kind of.
        gloss: what it means, without examples.
    """

    names: tuple[str, ...]
    parents: tuple[str, ...]
    gloss: str


def read_nouns(folder: Path = FOLDER) -> dict[str, Synset]:
    """Id ("n" and eight digits, as ImageNet writes it) -> synset.

    Raises:
        MissingModel: WordNet is not there.
        UnsafeFile: the file is not in its layout.
    """
    path = folder / "data.noun"
    if not path.is_file():
        raise MissingModel(
            f"There is no WordNet in {folder}.", "Install Debian's wordnet-base, or say where: --wordnet DIR"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return dict(_synset(line) for line in lines if line and not line.startswith(" "))
    except (ValueError, IndexError) as error:
        raise UnsafeFile(
            f"{path} is not a file of WordNet 3.0: {error}", "Take Debian's wordnet-base."
        ) from error


def _synset(line: str) -> tuple[str, Synset]:
    """One line: offset, file, type, count of words (hexadecimal), words, count of pointers, pointers | gloss."""
    data, _, gloss = line.partition(" | ")
    fields = data.split()
    words = int(fields[3], 16)
    names = tuple(name.replace("_", " ") for name in fields[4 : 4 + 2 * words : 2])
    first = 5 + 2 * words
    pointers = [fields[i : i + 4] for i in range(first, first + 4 * int(fields[first - 1]), 4)]
    parents = tuple(f"n{offset}" for kind, offset, part, _ in pointers if kind in HYPERNYMS and part == "n")
    return f"n{fields[0]}", Synset(names, parents, gloss.strip().split('; "')[0])


def levels_above(nouns: Mapping[str, Synset], start: str) -> list[list[str]]:
    """What something is a kind of: its parents, theirs, and so on; each id once, at its nearest level."""
    levels, seen, here = [], {start}, [start]
    while here := [p for p in dict.fromkeys(q for one in here for q in nouns[one].parents) if p not in seen]:
        seen.update(here)
        levels.append(here)
    return levels


def is_below(nouns: Mapping[str, Synset], one: str, others: Iterable[str]) -> bool:
    """Whether something is one of others, or a kind of one."""
    wanted = set(others)
    return one in wanted or any(wanted.intersection(level) for level in levels_above(nouns, one))
