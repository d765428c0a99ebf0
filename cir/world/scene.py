"""A scene as a value: what is where, on which background, at what time. No pixels, no words.

Two scenes with the same `key` say the same thing; `layout_seed` only chooses the drawing (which sprite,
where exactly, mirrored or not), so that a target is never a pixel copy of its reference.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from cir.world.vocabulary import BACKGROUNDS, OUTDOOR, PLACES, SIZES, TIMES, load_nouns

TINT_SHARE = 0.30  # of the groups whose noun may be tinted
MAX_INSTANCES = 5  # more would be drawn too small to be named
HELD_OUT_SHARE = (
    20  # one key in so many is kept from training: galleries and benchmarks are made of these alone
)


@dataclass(frozen=True, slots=True)
class ObjectGroup:
    """`count` objects of one kind, colour and size. `colour` None is the natural one."""

    noun: str
    count: int = 1
    colour: str | None = None
    size: str = "normal"


@dataclass(frozen=True, slots=True)
class Scene:
    """1 to 3 object groups from left to right on a background; `time` is "" where there is none.

    With two groups the places are left and right, with three left, middle and right; a single group
    stands in the middle and its place is never said.
    """

    groups: tuple[ObjectGroup, ...]
    background: str
    time: str = ""
    layout_seed: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What the scene says, whatever its drawing: equal for two drawings of the same content."""
        return (tuple(sorted(map(repr, self.groups))), self.background, self.time)

    @property
    def is_held_out(self) -> bool:
        """Whether this content is reserved for galleries and benchmarks. Training never draws it."""
        return zlib.crc32(repr(self.key).encode()) % HELD_OUT_SHARE == 0

    @property
    def places(self) -> tuple[str, ...]:
        """The place of each group, in order."""
        return {1: ("middle",), 2: ("left", "right"), 3: PLACES}[len(self.groups)]


def sample_group(
    rng: np.random.Generator, *, exclude: frozenset[str] = frozenset(), max_count: int = 3
) -> ObjectGroup:
    """Draw a group whose noun is not in `exclude`."""
    nouns = load_nouns()
    names = [n for n in nouns if n not in exclude]
    noun = nouns[names[int(rng.integers(len(names)))]]
    count = min(max_count, int(rng.choice((1, 2, 3), p=(0.62, 0.22, 0.16))))
    colour = None
    if noun.colours and rng.random() < TINT_SHARE:
        colour = str(rng.choice(noun.colours))
    size = str(rng.choice(tuple(SIZES), p=(0.2, 0.55, 0.25)))
    return ObjectGroup(noun.name, count, colour, size)


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: 1, 2 or 3 groups (45, 43, 12 %), at most five objects in all."""
    groups: list[ObjectGroup] = []
    for index in range(int(rng.choice((1, 2, 3), p=(0.45, 0.43, 0.12)))):
        room = MAX_INSTANCES - sum(g.count for g in groups) - (2 - index if index < 2 else 0)
        groups.append(
            sample_group(rng, exclude=frozenset(g.noun for g in groups), max_count=max(1, min(3, room)))
        )
    background = str(rng.choice(tuple(BACKGROUNDS)))
    time = str(rng.choice(tuple(TIMES), p=(0.5, 0.25, 0.25))) if background in OUTDOOR else ""
    return Scene(tuple(groups), background, time, int(rng.integers(2**31)))
