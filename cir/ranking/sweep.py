"""The ranks of some images under many numbers at once: arithmetic on a query's dot products, no model.

What a slider does one move at a time is done here for a whole grid: CVSI's Figure 4, for a benchmark or for a query of
one's own. Knows nothing of texts, pictures or methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cir.composers.parameters import Parameter, Values, steps
from cir.ranking.engines import Engine
from cir.ranking.retriever import Retriever, rows_of
from cir.ranking.scoring import GalleryTerms, Linear, QueryTerms, Scoring, query_length, rank_of
from cir.types import ComposedQuery

Ranks = NDArray[np.int64]
STEPS = 10
MANY = 20_000  # images, from which on a compiled pass is worth its compiling
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


def ranks(
    terms: QueryTerms,
    gallery: GalleryTerms,
    targets: Sequence[int],
    scorings: Sequence[Scoring],
    *,
    excluded: Sequence[int] | NDArray[np.int64] = (),
) -> Ranks:
    """Ranks of some images, from 1, under each of many scorings of one query.

    Args:
        terms, gallery: dot products and norms.
        targets: rows of the T images.
        scorings: S of them.
        excluded: rows that are left out.

    Returns:
        (T, S)
    """
    hidden = np.zeros(len(terms.image), dtype=bool)
    hidden[np.asarray(excluded, dtype=np.int64)] = True
    if len(hidden) >= MANY and find_spec("numba") is not None:
        linear = [one for one in scorings if isinstance(one, Linear) and one.cosine]
        if len(linear) == len(scorings):
            return _ranks_among_many(terms, gallery, targets, linear, hidden)
    out = np.empty((len(targets), len(scorings)), dtype=np.int64)
    for s, scoring in enumerate(scorings):
        scores = scoring.scores(terms, gallery)
        out[:, s] = [rank_of(scores, target, hidden) for target in targets]
    return out


def _ranks_among_many(
    terms: QueryTerms,
    gallery: GalleryTerms,
    targets: Sequence[int],
    scorings: Sequence[Linear],
    hidden: NDArray[np.bool_],
) -> Ranks:
    """The same in one pass for all scorings with the same weight of captions: these share the lengths of the images."""
    from cir.ranking.engines.kernels import count_better

    image, captions = (np.ascontiguousarray(dots.T) for dots in (terms.image, terms.captions))
    norms = np.stack([gallery.tv_tv, gallery.tv_tc, gallery.tc_tc]).astype(np.float64)
    out = np.empty((len(targets), len(scorings)), np.int64)
    for gamma in {one.captions for one in scorings}:
        chosen = [s for s, one in enumerate(scorings) if one.captions == gamma]
        weights = np.array([[scorings[s].weights.get(name, 0.0) for name in terms.names] for s in chosen])
        for row in weights:
            row *= query_length(terms.gram, row) > 0.0  # rows that cancel: then all scores are 0
        gammas = np.full(hidden.shape, gallery.captions_count(gamma))
        found = np.empty((len(targets), len(chosen)), np.int64)
        count_better(
            image,
            captions,
            norms,
            gammas,
            weights,
            np.asarray(targets, np.int64),
            hidden,
            found,
        )
        out[:, chosen] = found + 1
    return out


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
    engine, find = retriever.engine, retriever.gallery.find
    terms = engine.terms(rows_of(composed))
    left_out = [find(image_id) for image_id in exclude]
    return ranks(terms, engine.norms, [find(i) for i in image_ids], scorings, excluded=left_out)


def terms_of(engine: Engine, composed: Iterable[ComposedQuery]) -> Iterator[QueryTerms]:
    """The dot products of many queries, in order, taken for some of them at once."""
    waiting: list[ComposedQuery] = []
    for query in composed:
        waiting.append(query)
        if len(waiting) == AT_ONCE:
            yield from _terms(engine, waiting)
            waiting = []
    if waiting:
        yield from _terms(engine, waiting)


def _terms(engine: Engine, queries: Sequence[ComposedQuery]) -> Iterator[QueryTerms]:
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
