"""The ranks of some images under many numbers at once: arithmetic on a query's dot products, no model.

What a slider does one move at a time is done here for a whole grid: CVSI's Figure 4, for a benchmark or for a query of
one's own. Knows nothing of texts, pictures or methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from cir.composers.parameters import Parameter, Values, steps
from cir.ranking.engines.counting import Ranks, ranks
from cir.ranking.engines.protocol import WholeEngine
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import QueryTerms, Scoring
from cir.types import ComposedQuery

__all__ = ["Fit", "Ranks", "fit", "grid", "ranks", "sweep", "terms_of"]
STEPS = 10
AT_ONCE = 64  # queries whose dot products are taken by one matrix product


def grid(parameters: Sequence[Parameter], count: int = STEPS) -> list[dict[str, float]]:
    """All numbers of a method at `count` + 1 places of each parameter, the last one changing first.

    Shares sum to at most 1: CVSI's three parameters have 66 times 11 places.
    """
    names, shared = [p.name for p in parameters], [bool(p.part) for p in parameters]
    places = product(*([round(place, 4) for place in steps(p, count)] for p in parameters))
    return [
        dict(zip(names, place, strict=True))
        for place in places
        if sum(v for v, is_share in zip(place, shared, strict=True) if is_share) <= 1.0 + 1e-6
    ]


def sweep(
    retriever: Retriever,
    composed: ComposedQuery,
    image_ids: Sequence[str],
    scorings: Sequence[Scoring],
    *,
    exclude: Sequence[str] = (),
) -> Ranks:
    """(T, S) ranks of each of T images for one query under S scorings.

    Args:
        retriever: what is searched with.
        composed: the query.
        image_ids: whose ranks.
        scorings: of the query's rows.
        exclude: ids that are left out.
    """
    find = retriever.gallery.find
    return retriever.engine_of(composed).ranks(
        retriever.rows_of(composed),
        [find(i) for i in image_ids],
        scorings,
        exclude=[find(i) for i in exclude],
    )


def terms_of(engine: WholeEngine, composed: Iterable[ComposedQuery]) -> Iterator[QueryTerms]:
    """The dot products of many queries, in order, taken for some of them at once."""
    waiting: list[ComposedQuery] = []
    for query in composed:
        waiting.append(query)
        if len(waiting) == AT_ONCE:
            yield from _terms(engine, waiting)
            waiting = []
    if waiting:
        yield from _terms(engine, waiting)


def _terms(engine: WholeEngine, queries: Sequence[ComposedQuery]) -> Iterator[QueryTerms]:
    rows = np.concatenate([np.stack(list(q.parts.values())) for q in queries]).astype(np.float32)
    by_image, by_captions = engine.dots(rows)
    start = 0
    for query in queries:
        end = start + len(query.parts)
        own = rows[start:end]
        yield QueryTerms(tuple(query.parts), by_image[:, start:end], by_captions[:, start:end], own @ own.T)
        start = end


@dataclass(frozen=True, slots=True)
class Fit:
    """The numbers that put the marked images highest.

    Attributes:
        values: the best of those that were tried.
        ranks: of the marked images under them.
        before: of the same images under the numbers that were there.
    """

    values: Values
    ranks: tuple[int, ...]
    before: tuple[int, ...]


def fit(found: Ranks, before: Sequence[int], present: Values, tried: Sequence[Values]) -> Fit:
    """The numbers with the smallest product of ranks; of equals, those nearest to the present ones.

    Args:
        found: (T, S) ranks of the marked images under what was tried.
        before: the ranks under the present numbers.
        present: the present numbers.
        tried: S of them.

    Returns:
        The present numbers themselves where nothing that was tried is better.
    """
    cost = np.log(found).sum(axis=0)
    if float(np.sum(np.log(before))) <= cost.min() + 1e-9:
        return Fit(present, tuple(before), tuple(before))
    far = np.array([sum(abs(values[name] - present[name]) for name in values) for values in tried])
    best = int(np.where(cost <= cost.min() + 1e-9, far, np.inf).argmin())
    return Fit(tried[best], tuple(found[:, best].tolist()), tuple(before))
