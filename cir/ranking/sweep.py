"""The ranks of some images under many weights at once: arithmetic on a query's dot products, no model.

What a slider does one move at a time is done here for a whole grid: CVSI's Figure 4, for a benchmark or for a query of
one's own. Knows nothing of texts, pictures or methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.gallery.gallery import Gallery
from cir.ranking.scoring import (
    Floats,
    GalleryTerms,
    Linear,
    QueryTerms,
    Scoring,
    gallery_terms,
    query_terms,
    rank_of,
)
from cir.types import PARTS, ComposedQuery, Weights

Ranks = NDArray[np.int64]
GAMMAS = tuple(round(0.1 * i, 1) for i in range(11))
AT_ONCE = 64  # queries whose dot products are taken by one matrix product


def simplex(step: float = 0.1) -> list[tuple[float, float]]:
    """All (alpha, beta) in steps with alpha + beta at most 1: 66 of them by default."""
    n = round(1 / step)
    return [(round(a * step, 4), round(b * step, 4)) for a in range(n + 1) for b in range(n + 1 - a)]


def shares(points: Iterable[tuple[float, float]]) -> Floats:
    """(W, 3) the weights of PARTS at each (alpha, beta). Source: CVSI, section III-D, Eq. 8."""
    return np.array([[a, b, max(0.0, round(1.0 - a - b, 6))] for a, b in points])


def rows_for(composed: ComposedQuery, weights: Floats) -> Floats:
    """(W, 3) weights of PARTS -> (W, P) weights of the parts that this query has, in its order.

    A missing part counts as 0; where nothing is left, the others count equally, as in `cir.ranking.retriever.part_weights`.
    """
    there = [PARTS.index(name) for name in composed.parts]
    rows = np.asarray(weights, dtype=np.float64)[:, there]
    empty = rows.sum(axis=1) <= 1e-9
    rows[empty] = 1.0
    return rows / rows.sum(axis=1, keepdims=True)


def ranks(
    terms: QueryTerms,
    gallery: GalleryTerms,
    targets: Sequence[int],
    scorings: Sequence[Scoring],
    *,
    excluded: Sequence[int] = (),
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
    hidden[list(excluded)] = True
    out = np.empty((len(targets), len(scorings)), dtype=np.int64)
    for s, scoring in enumerate(scorings):
        scores = scoring.scores(terms, gallery)
        out[:, s] = [rank_of(scores, target, hidden) for target in targets]
    return out


def grid(names: Sequence[str], weights: Floats, gammas: Sequence[float]) -> list[Linear]:
    """The scorings of (W, P) weights of the rows `names` at each gamma: gamma by gamma, each with all weights."""
    return [
        Linear(dict(zip(names, row, strict=True)), float(gamma))
        for gamma in gammas
        for row in weights.tolist()
    ]


def sweep(
    gallery: Gallery,
    composed: ComposedQuery,
    image_ids: Sequence[str],
    weights: Floats,
    gammas: Sequence[float],
    *,
    exclude: Sequence[str] = (),
) -> list[Ranks]:
    """The (G, W) ranks of each image for one query.

    Args:
        gallery: what is searched.
        composed: the query; one whose method has no weights is ranked by its pixels alone, whatever they are.
        image_ids: whose ranks.
        weights: (W, 3) in the order of PARTS.
        gammas: G values.
        exclude: ids that are left out.
    """
    rows = rows_for(composed, weights if composed.weighted else np.ones_like(weights))
    terms = query_terms(composed.parts, gallery.image_features, gallery.caption_features)
    norms = gallery_terms(gallery.image_features, gallery.caption_features, gallery.captioned)
    counted = gammas if composed.weighted else [0.0] * len(gammas)
    left_out = [gallery.find(image_id) for image_id in exclude]
    scorings = grid(terms.names, rows, counted)
    found = ranks(terms, norms, [gallery.find(i) for i in image_ids], scorings, excluded=left_out)
    return list(found.reshape(len(image_ids), len(counted), len(rows)))


def terms_of(
    composed: Iterable[ComposedQuery], image_features: Floats, caption_features: Floats
) -> Iterator[QueryTerms]:
    """The dot products of many queries, in order, taken for some of them at once."""
    waiting: list[ComposedQuery] = []
    for query in composed:
        waiting.append(query)
        if len(waiting) == AT_ONCE:
            yield from _terms(waiting, image_features, caption_features)
            waiting = []
    if waiting:
        yield from _terms(waiting, image_features, caption_features)


def _terms(queries: Sequence[ComposedQuery], images: Floats, captions: Floats) -> Iterator[QueryTerms]:
    rows = np.concatenate([np.stack(list(q.parts.values())) for q in queries]).astype(images.dtype)
    by_image, by_captions = images @ rows.T, captions @ rows.T
    start = 0
    for query in queries:
        end = start + len(query.parts)
        own = rows[start:end]
        yield QueryTerms(tuple(query.parts), by_image[:, start:end], by_captions[:, start:end], own @ own.T)
        start = end


@dataclass(frozen=True, slots=True)
class Fit:
    """The weights that put the marked images highest.

    Attributes:
        weights: the best on the grid.
        ranks: of the marked images under them.
        before: of the same images under the weights that were there.
    """

    weights: Weights
    ranks: tuple[int, ...]
    before: tuple[int, ...]


def fit(found: Sequence[Ranks], before: Sequence[int], present: Weights, step: float = 0.1) -> Fit:
    """Weights from ranks on the whole grid: the smallest product of ranks; of equals, those nearest to the present ones.

    Args:
        found: for each marked image the (11, 66) ranks over GAMMAS and `simplex(step)`.
        before: the ranks under the present weights.
        present: the present weights.
        step: of the simplex.

    Returns:
        The present weights themselves where nothing on the grid is better.
    """
    points = simplex(step)
    cost = np.sum([np.log(ranks) for ranks in found], axis=0)
    if float(np.sum(np.log(before))) <= cost.min() + 1e-9:
        return Fit(present, tuple(before), tuple(before))
    near = np.abs(shares(points) - np.array(present.parts)).sum(axis=1)
    far = near[None, :] + np.abs(np.array(GAMMAS) - present.gamma)[:, None]
    best = np.where(cost <= cost.min() + 1e-9, far, np.inf)
    g, w = np.unravel_index(int(best.argmin()), best.shape)
    weights = Weights(*points[w], GAMMAS[g])
    return Fit(weights, tuple(int(ranks[g, w]) for ranks in found), tuple(before))
