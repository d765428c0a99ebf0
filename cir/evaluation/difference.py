"""In what two scenes differ: the kinds of near misses."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

from cir.world.scene import ObjectGroup, Scene

ATTRIBUTES = ("object", "count", "colour", "size", "background", "time", "missing", "extra")


def differences(wanted: Scene, found: Scene) -> tuple[str, ...]:
    """Each attribute that is wrong in what was found, by name: one name is a near miss, none says the same.

    Groups are compared in the order in which least is wrong. "missing" and "extra" are whole groups.
    """
    around = [
        name
        for name, a, b in (
            ("background", wanted.background, found.background),
            ("time", wanted.time, found.time),
        )
        if a != b
    ]
    return (*_of_groups(wanted.groups, found.groups), *around)


def _of_groups(wanted: tuple[ObjectGroup, ...], found: tuple[ObjectGroup, ...]) -> list[str]:
    few, many = sorted((wanted, found), key=len)
    left_over = ["missing" if many is wanted else "extra"] * (len(many) - len(few))
    if len(few) == len(many):
        few, many = wanted, found
    pairings = (zip(few, chosen, strict=True) for chosen in permutations(many, len(few)))
    least = min(([name for a, b in pairs for name in _of_group(a, b)] for pairs in pairings), key=len)
    return [*least, *left_over]


def _of_group(a: ObjectGroup, b: ObjectGroup) -> Iterable[str]:
    pairs = (
        ("object", a.noun, b.noun),
        ("count", a.count, b.count),
        ("colour", a.colour, b.colour),
        ("size", a.size, b.size),
    )
    return [name for name, one, other in pairs if one != other]
