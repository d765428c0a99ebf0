"""Which of the ranked images are shown: those above a score, near-identical ones behind the best of them.

Plain functions on ids and features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cir.types import RetrievedImage

if TYPE_CHECKING:
    from cir.ranking.retriever import Retriever

NEAR_IDENTICAL = 0.97  # cosine of two images' features


def fold(
    retriever: Retriever, results: Sequence[RetrievedImage], unfolded: Collection[str] = ()
) -> tuple[tuple[RetrievedImage, ...], dict[str, tuple[str, ...]]]:
    """Put near-identical images behind the best ranked one of them.

    Args:
        retriever: over the gallery whose images are compared.
        results: ranked, best first.
        unfolded: ids whose near-identical images are shown after them all the same.

    Returns:
        What is shown, in order; and id -> the ids that stand, or stood, behind it.
    """
    rows = retriever.engine.features([retriever.gallery.find(result.image_id) for result in results]).image
    cosines = rows @ rows.T
    leaders: list[int] = []
    behind: dict[int, list[int]] = {}
    for place in range(len(results)):
        leader = next((other for other in leaders if cosines[place, other] >= NEAR_IDENTICAL), None)
        if leader is None:
            leaders.append(place)
        else:
            behind.setdefault(leader, []).append(place)
    shown: list[RetrievedImage] = []
    for leader in leaders:
        shown.append(results[leader])
        if results[leader].image_id in unfolded:
            shown += [results[place] for place in behind.get(leader, ())]
    similar = {
        results[i].image_id: tuple(results[p].image_id for p in places) for i, places in behind.items()
    }
    return tuple(shown), similar
