"""The wordings that the illustrated world's models were taught, with stand-ins: those that `cir.world.edits` writes."""

from __future__ import annotations

from functools import cache

from cir.world.vocabulary import BACKGROUNDS, TIMES

_OF_THINGS = (
    "replace the apple with a bicycle",
    "an apple instead of the bicycle",
    "swap the apple for a bicycle",
    "change the apple to a bicycle",
    "has an apple in place of the bicycle",
    "add an apple",
    "with an apple too",
    "there is also an apple",
    "there are also an apple",
    "put an apple next to it",
    "has an apple as well",
    "remove the apple",
    "without the apple",
    "take away the apple",
    "no apple",
    "the apple is gone",
    "the apple are gone",
    "two apples instead of one",
    "make it two apples",
    "there is two apples now",
    "there are two apples now",
    "only two apples",
    "make the apple red",
    "the apple is red",
    "the apple are red",
    "paint the apple red",
    "change the colour of the apple to red",
    "a red apple instead",
    "an red apple instead",
    "red apple instead",
    "make the apple big",
    "the apple is big",
    "the apple are big",
    "the apple is much big",
    "the apple are much big",
    "make the apple small",
    "the apple is small",
    "the apple are small",
    "the apple is much small",
    "the apple are much small",
)
_OF_PLACES = (
    "move it {}",
    "the same but {}",
    "now {}",
    "{} instead",
    "show this {}",
    "the scene is {}",
)
JOINS = (", also ", ", ")  # the join of two that says something itself, and one that does not
_OF_TIMES = ("the same {}", "make it {}", "{} instead", "now {}", "the same scene but {}")


@cache
def taught() -> frozenset[str]:
    """All of them, as `Said.texts` has them."""
    places = {wording.format(place) for of in BACKGROUNDS.values() for place in of for wording in _OF_PLACES}
    times = {wording.format(time) for of in TIMES.values() for time in of for wording in _OF_TIMES}
    return frozenset({*_OF_THINGS, *places, *times})
