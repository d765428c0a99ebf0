"""Why an image stands where it stands: shares of its score, its rank under each part, the move that would lift it.

Arithmetic on dot products that the retriever keeps; no model is called. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cir.composers.parameters import Parameter, Values, moved, steps
from cir.gallery.searchable import Among
from cir.ranking.retriever import Retriever, scoring_of
from cir.ranking.scoring import Linear, Scoring
from cir.types import ComposedQuery

STEPS = 20  # a slider is tried at so many places and one more, from end to end


@dataclass(frozen=True, slots=True)
class Move:
    """One slider moved, and the rank that the image would then have."""

    parameter: Parameter
    before: float
    after: float
    rank: int


@dataclass(frozen=True, slots=True)
class Why:
    """One image of one ranking, explained.

    Attributes:
        shares: row of the query -> {"image": ..., "captions": ...}, what each adds; their sum is the score.
        weights: row of the query -> the weight that counted.
        ranks_alone: part -> rank from 1, were the query that part alone; up to `Engine.far`.
        move: the single slider move that lifts the image most; None when no move lifts it.
    """

    shares: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    ranks_alone: Mapping[str, int]
    move: Move | None


def why(
    retriever: Retriever,
    composed: ComposedQuery,
    parameters: Sequence[Parameter],
    values: Values,
    image_id: str,
    *,
    among: Among = None,
    exclude: Sequence[str] = (),
) -> Why:
    """Explain one image.

    Args:
        retriever: what was searched.
        composed: the query.
        parameters, values: the numbers of the method, and where they stood in the ranking.
        image_id: which image.
        among: which images may be found; None for all.
        exclude: ids that the ranking leaves out.

    Raises:
        BadQuery: the gallery has no such image.
    """
    index = retriever.gallery.find(image_id)
    explanation = retriever.explain(composed, values, image_id)
    captions = scoring_of(composed, values).captions
    alone = [Linear({name: 1.0}, captions) for name in composed.parts]
    return Why(
        explanation.shares,
        explanation.weights,
        dict(zip(composed.parts, _ranks(retriever, composed, index, alone, among, exclude), strict=True)),
        best_move(retriever, composed, parameters, values, image_id, among=among, exclude=exclude),
    )


def best_move(
    retriever: Retriever,
    composed: ComposedQuery,
    parameters: Sequence[Parameter],
    values: Values,
    image_id: str,
    *,
    among: Among = None,
    exclude: Sequence[str] = (),
) -> Move | None:
    """The move of one slider that gives the image its best rank; of equal ones the shortest. None if none lifts it.

    As on the page, where shares would pass 1 those that are not moved give way.
    """
    index = retriever.gallery.find(image_id)
    places = [(parameter, after) for parameter in parameters for after in steps(parameter, STEPS)]
    tried = [values, *(moved(parameters, values, parameter.name, after) for parameter, after in places)]
    now, *found = _ranks(
        retriever, composed, index, [scoring_of(composed, one) for one in tried], among, exclude
    )
    moves = [
        Move(parameter, values[parameter.name], after, rank)
        for (parameter, after), rank in zip(places, found, strict=True)
        if 0 < rank < now
    ]
    return min(moves, key=lambda move: (move.rank, abs(move.after - move.before)), default=None)


def _ranks(
    retriever: Retriever,
    composed: ComposedQuery,
    index: int,
    scorings: Sequence[Scoring],
    among: Among,
    exclude: Sequence[str],
) -> list[int]:
    places = [retriever.gallery.find(image_id) for image_id in exclude]
    rows, engine = retriever.rows_of(composed), retriever.engine_of(composed)
    return engine.ranks(rows, [index], scorings, among=among, exclude=places)[0].tolist()
