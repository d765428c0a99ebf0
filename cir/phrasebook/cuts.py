"""The ways to cut an edit into orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

MOST_CUTS, MOST_PLACES = 3, 6
_KEEPS = frozenset(["plus", "also", "but", "with"])  # words that cut, and say something themselves
# These cut between a place and a time.
_PREPOSITIONS = frozenset(["at", "in", "on", "by", "under", "during", "after"])
JOINING = frozenset([",", ";", ".", ":", "and", "then", "&", "+"])  # that cut, and say nothing


def is_clear(parts: Sequence[Sequence[str]]) -> bool:
    """Whether the cuts between parts are at marks and at words that only join: "in" and "with" may belong to what is before them."""
    return not any(part[0] in _KEEPS | _PREPOSITIONS for part in parts[1:])


def cuts(tokens: Sequence[str]) -> Iterator[list[list[str]]]:
    """The ways to cut an edit into orders at commas and at words such as "and" and "at": none, one, some.

    None at all where it has more commas and such words than orders that the world can be given: every way takes time.
    """
    inside = range(1, len(tokens) - 1)
    places = [i for i in inside if tokens[i] in _KEEPS | JOINING]
    weak = [i for i in inside if tokens[i] in _PREPOSITIONS]
    places = sorted({*places, *weak}) if len(places) + len(weak) <= MOST_PLACES else places
    if len(places) > MOST_PLACES:
        return
    for count in range(min(MOST_CUTS, len(places)) + 1):
        for chosen in combinations(places, count):
            starts, ends = [0, *chosen], [*chosen, len(tokens)]
            parts = [_trimmed(tokens[start:end]) for start, end in zip(starts, ends, strict=True)]
            if all(parts):
                yield parts


def _trimmed(tokens: Sequence[str]) -> list[str]:
    """Without marks, and without words at its ends that only join."""
    part = [token for token in tokens if token[0].isalnum()]
    while part and part[0] in JOINING:
        part = part[1:]
    while part and part[-1] in JOINING:
        part = part[:-1]
    return part
