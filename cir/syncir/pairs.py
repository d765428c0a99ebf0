"""Images -> subgroups of six alike, but not too alike -> nine ordered pairs of each.

Knows no images: everything here is an index into the rows whose neighbours it was given. What is costly (the
neighbours) is computed once, by an engine; mining with other thresholds takes milliseconds.

Source: HyCIR, "Image pair extraction", which follows CIRR (Liu et al., ICCV 2021, section 3).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cir.errors import CirError
from cir.ranking.engines.neighbours import Neighbours

Reading = Literal["similarity", "distance"]
READINGS: tuple[str, ...] = get_args(Reading)
MEMBERS = 6
# (rank of the reference, rank of the target) in the subgroup, the seed being rank 0: a directed ring of six,
# and the seed to each but the last. Counted in CIRR's annotations; HyCIR says only that there are nine.
PAIR_RANKS: tuple[tuple[int, int], ...] = (
    (0, 1),
    (1, 2),
    (2, 3),
    (3, 4),
    (4, 5),
    (5, 0),
    (0, 2),
    (0, 3),
    (0, 4),
)


@dataclass(frozen=True, slots=True)
class Subgroup:
    """Six images by rank, the seed first.

    Attributes:
        members: six rows of the features.
        similarities: their cosine with the seed; its own 1 first.
    """

    members: tuple[int, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mined:
    """What mining found: one subgroup for each image that has one, and how many images have none."""

    subgroups: tuple[Subgroup, ...]
    ungrouped: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and a target, as rows of the features, with where they come from."""

    reference: int
    target: int
    ranks: tuple[int, int]
    subgroup: Subgroup


def mine_subgroups(
    neighbours: Neighbours,
    *,
    near_duplicate: float = 0.94,
    gap: float = 0.002,
    reading: Reading = "similarity",
) -> Mined:
    """A subgroup of six for each image that has five neighbours which are neither too alike nor too even.

    The ranked neighbours are walked once; one is taken when it is allowed and its similarity is more than
    `gap` below that of the last one taken (first: the seed's own, 1), until there are five.

    Args:
        neighbours: from `Engine.neighbours`.
        near_duplicate: the reading "similarity" leaves out images with this cosine or more, as CIRR does;
            "distance" takes HyCIR at its word and leaves out those whose distance (1 - cosine) is not below
            it: that keeps near duplicates and drops only what has nothing to do with the seed.
        gap: what two subsequent similarities (or distances: the same) have to differ by.
        reading: of the paper's "distance".

    Raises:
        CirError: no such reading.
    """
    check_reading(reading)
    similarities = neighbours.similarities.astype(np.float64)
    count, width = similarities.shape
    alike = similarities if reading == "similarity" else 1.0 - similarities
    allowed = alike < near_duplicate
    chosen = np.zeros((count, MEMBERS), np.int64)
    chosen_similarities = np.ones((count, MEMBERS))
    chosen[:, 0] = np.arange(count)
    size, last = np.ones(count, np.int64), np.ones(count)
    for rank in range(width):
        take = np.flatnonzero(allowed[:, rank] & (last - similarities[:, rank] > gap) & (size < MEMBERS))
        chosen[take, size[take]] = neighbours.ids[take, rank]
        chosen_similarities[take, size[take]] = last[take] = similarities[take, rank]
        size[take] += 1
    whole = np.flatnonzero(size == MEMBERS)
    members, values = chosen[whole].tolist(), chosen_similarities[whole].tolist()
    groups = tuple(Subgroup(tuple(m), tuple(v)) for m, v in zip(members, values, strict=True))
    return Mined(groups, count - len(groups))


def check_reading(reading: str) -> None:
    """Refuse what is neither "similarity" nor "distance"."""
    if reading not in READINGS:
        raise CirError(f"There is no reading called {reading!r}.", f"Choose one of: {', '.join(READINGS)}.")


def shuffled(subgroups: Sequence[Subgroup], seed: int) -> list[Subgroup]:
    """The subgroups in an order that depends on the seed alone, so that the first few cover the gallery."""
    order = list(subgroups)
    random.Random(seed).shuffle(order)
    return order


def pairs_of(subgroups: Sequence[Subgroup]) -> list[Pair]:
    """The nine pairs of each subgroup, in its order; a (reference, target) that was there already is left out.

    How many were left out is 9 * len(subgroups) - len(pairs).
    """
    seen: set[tuple[int, int]] = set()
    pairs: list[Pair] = []
    for group in subgroups:
        for ranks in PAIR_RANKS:
            key = (group.members[ranks[0]], group.members[ranks[1]])
            if key not in seen:
                seen.add(key)
                pairs.append(Pair(*key, ranks, group))
    return pairs
