"""Why an image stands where it stands: shares of its score, its rank under each part, the move that would lift it.

Arithmetic on dot products that the retriever keeps; no model is called. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.ranking.retriever import Retriever
from cir.ranking.scoring import rank_of
from cir.types import ComposedQuery, Weights

STEPS = 20  # a slider is tried at 0, 0.05, ..., 1


@dataclass(frozen=True, slots=True)
class Move:
    """One slider moved, and the rank that the image would then have."""

    name: str
    before: float
    after: float
    rank: int


@dataclass(frozen=True, slots=True)
class Why:
    """One image of one ranking, explained.

    Attributes:
        shares: row of the query -> {"image": ..., "captions": ...}, what each adds; their sum is the score.
        weights: row of the query -> the weight that counted.
        closeness: row of the query -> its cosine with the image's pixels.
        ranks_alone: part -> rank from 1, were the query that part alone.
        move: the single slider move that lifts the image most; None when no move lifts it.
    """

    shares: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    closeness: Mapping[str, float]
    ranks_alone: Mapping[str, int]
    move: Move | None


def why(
    retriever: Retriever,
    composed: ComposedQuery,
    weights: Weights,
    image_id: str,
    *,
    hidden: NDArray[np.bool_] | None = None,
) -> Why:
    """Explain one image.

    Args:
        retriever: what was searched.
        composed: the query.
        weights: those of the ranking.
        image_id: which image.
        hidden: (K,) images that the ranking leaves out; None for none.

    Raises:
        BadQuery: the gallery has no such image.
    """
    index = retriever.gallery.find(image_id)
    explanation = retriever.explain(composed, weights, image_id)
    weighted = composed.weighted and not composed.spherical
    alone = {
        name: rank_of(retriever.scores(ComposedQuery({name: row}, weighted=weighted), weights), index, hidden)
        for name, row in composed.parts.items()
    }
    return Why(
        explanation.shares,
        explanation.weights,
        {name: dots["image"] for name, dots in explanation.terms.items()},
        alone,
        best_move(retriever, composed, weights, image_id, hidden=hidden),
    )


def best_move(
    retriever: Retriever,
    composed: ComposedQuery,
    weights: Weights,
    image_id: str,
    *,
    hidden: NDArray[np.bool_] | None = None,
) -> Move | None:
    """The move of one slider that gives the image its best rank; of equal ones the shortest. None if none lifts it.

    As on the page, where alpha + beta would pass 1 the one that is not moved gives way.
    """
    if not composed.weighted:
        return None
    index = retriever.gallery.find(image_id)
    now = rank_of(retriever.scores(composed, weights), index, hidden)
    found = []
    for name, after, moved in _moves(weights):
        rank = rank_of(retriever.scores(composed, moved), index, hidden)
        if rank < now:
            found.append(Move(name, getattr(weights, name), after, rank))
    return min(found, key=lambda move: (move.rank, abs(move.after - move.before)), default=None)


def _moves(weights: Weights) -> Iterator[tuple[str, float, Weights]]:
    for name in ("alpha", "beta", "gamma"):
        for step in range(STEPS + 1):
            value = step / STEPS
            changed = {**{n: getattr(weights, n) for n in ("alpha", "beta", "gamma")}, name: value}
            other = {"alpha": "beta", "beta": "alpha"}.get(name)
            if other is not None:
                changed[other] = min(changed[other], 1.0 - value)
            yield name, value, Weights(**changed)


def hidden_rows(
    retriever: Retriever, image_ids: Iterable[str], among: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """(K,) True for the images named and for those outside `among`: what `why` takes as `hidden`."""
    rows = np.zeros(len(retriever.gallery.image_ids), dtype=bool) if among is None else ~among
    rows[[retriever.gallery.find(image_id) for image_id in image_ids]] = True
    return rows
