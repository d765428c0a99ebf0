"""Which things a text names, and whether two names may be of the same thing: by WordNet (Debian's wordnet-base).

A word counts where WordNet's own texts use it as a noun more often than otherwise, and where one of its two commonest
meanings is a physical thing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from cir.errors import MissingModel
from cir.training.photographs import TOO_GENERAL
from cir.training.wordnet import FOLDER, levels_above, read_nouns

PHYSICAL = "n00001930"  # physical entity
COMMONEST = 2  # meanings
LONGEST = 3  # words of a name
IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child", "leaves": "leaf"}
ENDINGS = (("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""))
_SILENT = (  # nouns that name no thing in a picture, colours (they are counted apart), and words that are no nouns
    "his her its front pair background top side back group row bottom part piece view scene photograph picture kind rest "
    "close lot left right edge way one two three a an the in on of at with and i s by under among red orange yellow green "
    "blue purple pink brown black white grey gray silver gold golden"
)
SILENT = frozenset(_SILENT.split())


class Nouns:
    """WordNet's nouns.

    Args:
        folder: of its files.
        meanings: how many of each name count, the commonest first; None: all.

    Raises:
        MissingModel: they are not there.
    """

    def __init__(self, folder: Path = FOLDER, meanings: int | None = None) -> None:
        self.synsets = read_nouns(folder)
        self.counted = slice(meanings)
        self.folder = folder
        self._above: dict[str, frozenset[str]] = {}

    def named(self, text: str) -> list[str]:
        """The things that a text names, in the singular, each once; of "hot air balloon" the longest name that is one."""
        words, found = re.findall(r"[a-z]+", text.lower()), []
        while words:
            for length in range(min(LONGEST, len(words)), 0, -1):
                name = self._singular(" ".join(words[:length]))
                if name and (length > 1 or words[0] not in SILENT):
                    found.append(name)
                    break
            words = words[length:]
        return list(dict.fromkeys(found))

    def same(self, one: str, other: str) -> bool:
        """Whether one thing may be the other, or a kind of it."""
        pairs = ((a, b) for a in self._meanings(one) for b in self._meanings(other))
        return any(self._is_a(a, b) or self._is_a(b, a) for a, b in pairs)

    def _is_a(self, one: str, kind: str) -> bool:
        return kind in self.above(one) and not TOO_GENERAL.intersection(self.synsets[kind].names)

    def above(self, meaning: str) -> frozenset[str]:
        """A meaning and all that it is a kind of."""
        if meaning not in self._above:
            levels = levels_above(self.synsets, meaning)
            self._above[meaning] = frozenset([meaning, *(one for level in levels for one in level)])
        return self._above[meaning]

    def _meanings(self, name: str) -> list[str]:
        return [one for one in self.senses.get(name, ())[self.counted] if PHYSICAL in self.above(one)]

    def _singular(self, name: str) -> str | None:
        """The name as WordNet has it, if it is a thing's."""
        forms = [IRREGULAR.get(name, name)]
        forms += [name.removesuffix(plural) + one for plural, one in ENDINGS if name.endswith(plural)]
        return next((form for form in forms if self._is_thing(form)), None)

    def _is_thing(self, name: str) -> bool:
        used = self.uses.get(name, Counter())
        if used["n"] < used.total() - used["n"]:
            return False
        return any(PHYSICAL in self.above(one) for one in self.senses.get(name, ())[:COMMONEST])

    @cached_property
    def senses(self) -> Mapping[str, tuple[str, ...]]:
        """Name -> its meanings, the commonest first."""
        fields = (line.split() for line in _lines(self.folder / "index.noun") if not line.startswith(" "))
        return {f[0].replace("_", " "): tuple(f"n{offset}" for offset in f[6 + int(f[3]) :]) for f in fields}

    @cached_property
    def uses(self) -> Mapping[str, Counter[str]]:
        """Word -> how often WordNet's own texts use it as a noun ("n"), and as something else ("")."""
        found: dict[str, Counter[str]] = {}
        for line in _lines(self.folder / "cntlist.rev"):
            key, _, count = line.split()
            word, _, rest = key.partition("%")
            found.setdefault(word.replace("_", " "), Counter())["n" if rest[0] == "1" else ""] += int(count)
        return found


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise MissingModel(
            f"There is no file {path}.", "Install Debian's wordnet-base, or say where: --wordnet DIR"
        )
    yield from path.read_text(encoding="utf-8").splitlines()
