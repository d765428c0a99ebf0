"""One result looked at closely: its captions, what its score is made of, and what would lift it.

Plain functions; no gradio, no HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cir.errors import BadQuery
from cir.ranking.explaining import Why, why
from cir.ui.search import handlers

if TYPE_CHECKING:
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Answer, Session


@dataclass(frozen=True, slots=True)
class Inspected:
    """One result of the present query.

    Attributes:
        image_id, rank, score: as ranked.
        file: its path inside the gallery.
        captions: of the image.
        why: what the score is made of.
        weighted: whether there are sliders that could lift it.
        similar: how many near-identical results stand behind it.
        unfolded: whether those are shown.
        selected: whether it is chosen for the download.
        called: as of the query.
    """

    image_id: str
    rank: int
    score: float
    captions: tuple[str, ...]
    why: Why
    weighted: bool
    similar: int
    unfolded: bool
    selected: bool
    file: str = ""
    called: Mapping[str, str] = field(default_factory=dict)


def inspect(retriever: Retriever, session: Session, image_id: str, found: Answer | None = None) -> Inspected:
    """Look closely at one result of the present query.

    Args:
        retriever, session: as in `handlers.answer`.
        image_id: one of `session.result_ids`.
        found: the answer on the screen, when the caller has it.

    Raises:
        BadQuery: nothing was searched for, or the image is not among the results.
    """
    found = handlers.answer(retriever, session) if found is None else found
    result = next((r for r in found.results if r.image_id == image_id), None)
    if result is None:
        raise BadQuery(
            "That picture is not among the results any more.", "Choose one of those that are shown."
        )
    session.inspected_id = image_id
    hidden = handlers.hidden(retriever, session)
    parameters = retriever.composers[found.method].parameters
    return Inspected(
        image_id,
        result.rank,
        result.score,
        tuple(retriever.gallery.captions(image_id)),
        why(retriever, found.composed, parameters, found.settings.values, image_id, hidden=hidden),
        bool(parameters),
        len(found.similar.get(image_id, ())),
        image_id in session.unfolded,
        image_id in session.selected,
        retriever.gallery.label(image_id),
        found.composed.called,
    )
