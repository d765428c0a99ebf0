"""What the page does, as plain functions: checked values in, values out.

Ids stay on the server: a click arrives as an index into a list that the session keeps. What arrives is
checked by `cir.ui.reading`. This module knows neither gradio nor HTML.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cir.errors import BadQuery, CirError
from cir.images import read_image
from cir.retriever import weight_note
from cir.text import clean_text
from cir.types import ComposedQuery, Query, RetrievedImage, Weights
from cir.ui.reading import read_method, read_top_k, read_upload, read_weights

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery
    from cir.retriever import Retriever

BROWSE_PAGE = 24
TRACE = ("captions", "modified_captions", "added_objects")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What re-orders results without a new query: weights, how many, and whether the reference may appear."""

    weights: Weights = field(default_factory=Weights)
    top_k: int = 30
    leave_out_reference: bool = True


@dataclass(slots=True)
class Session:
    """What the server remembers of one page between two events: the parts of one query, and ids. Small.

    Attributes:
        composed: the query as far as it is composed; a few rows of features.
        method: how it was composed.
        settings: as last sent; results that come in later are ranked by these.
        notes: what was noticed while the query was read.
        picked_id: the gallery image chosen as the reference, "" for an own picture.
        reference_id: the same, of the query in `composed`.
        result_ids, browsed_ids: what is on the screen, in order.
        inspected_id: the result looked at closely.
        searches: how many were begun; an older one stops when a newer one has begun.
        seed, page: which page of which order of the gallery is shown.
        gallery: the gallery that is searched; "" for the one that the page began with.
        intended_id: the image that ought to be found, where a triplet or a person named one; its rank is told.
    """

    composed: ComposedQuery | None = None
    method: str = ""
    settings: Settings = field(default_factory=Settings)
    notes: tuple[str, ...] = ()
    picked_id: str = ""
    reference_id: str = ""
    result_ids: tuple[str, ...] = ()
    browsed_ids: tuple[str, ...] = ()
    inspected_id: str = ""
    searches: int = 0
    seed: int = 0
    page: int = 0
    gallery: str = ""
    intended_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Results and all that is said about them."""

    method: str
    settings: Settings
    results: tuple[RetrievedImage, ...]
    composed: ComposedQuery
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One result looked at closely. `closeness`: part of the query -> cosine with the image's pixels."""

    image_id: str
    rank: int
    score: float
    captions: tuple[str, ...]
    closeness: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Example:
    """A query that is known to work: a gallery image and an edit."""

    image_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about what went wrong, and one about the way out."""

    message: str
    remedy: str


# --- searching ------------------------------------------------------------------------------------------


def read_settings(values: Sequence[object], before: Weights | None = None) -> tuple[Settings, list[str]]:
    """Settings and notes.

    Args:
        values: what (alpha, beta, gamma, top_k, leave_out) sent.
        before: the weights on the page until now; see `read_weights`.

    Raises:
        BadQuery: one of them cannot be read.
    """
    alpha, beta, gamma, top_k, leave_out = values
    count, notes = read_top_k(top_k)
    return Settings(read_weights(alpha, beta, gamma, before), count, leave_out is not False), notes


def search(
    retriever: Retriever,
    session: Session,
    *,
    image: object,
    text: object,
    method: object,
    settings: Settings,
    notes: Sequence[str] = (),
) -> Iterator[Answer]:
    """Compose the query and yield an answer at each stage, each ranked by the settings of that moment.

    Args:
        retriever: what is searched.
        session: takes the composed query, for `rerank`. When a newer search of the same session begins, this
            one ends at its next stage.
        image: {"path": ...} of an upload or of a thumbnail, or None.
        text: what was typed.
        method: its name.
        settings: the settings to begin with.
        notes: what was noticed while the settings were read.

    Raises:
        CirError: what cannot be searched for.
    """
    session.searches += 1
    turn = session.searches
    edit, text_notes = clean_text(text)
    chosen = read_method(retriever.methods, method)
    path = read_upload(image)
    reference_id = session.picked_id if is_picked(retriever.gallery, session, path) else ""
    query = Query(None if path is None else read_image(path), edit)
    session.settings = settings
    for composed in retriever.compose(query, chosen):
        if session.searches != turn:
            return
        session.composed, session.method, session.reference_id = composed, chosen, reference_id
        session.notes = (*notes, *text_notes)
        yield answer(retriever, session)


def is_picked(gallery: Gallery, session: Session, path: Path | None) -> bool:
    """Whether the reference still is the gallery image that was picked, with no upload over it."""
    if not session.picked_id or path is None:
        return False
    return path.resolve() == Path(gallery.thumbnail_path(session.picked_id)).resolve()


def answer(retriever: Retriever, session: Session) -> Answer:
    """Rank the composed query by the session's settings. No model is called.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    composed, settings = session.composed, session.settings
    if composed is None:
        raise BadQuery("There is nothing to rank yet.", "Search first; then weights can be changed.")
    exclude = (session.reference_id,) if session.reference_id and settings.leave_out_reference else ()
    results = tuple(retriever.rank(composed, settings.weights, top_k=settings.top_k, exclude=exclude))
    session.result_ids = tuple(result.image_id for result in results)
    notes = (*session.notes, *composed.notes, weight_note(composed, settings.weights))
    if not composed.weighted:
        notes = (*notes, f"{session.method} has no weights: the sliders do not change its order.")
    notes = tuple(dict.fromkeys(note for note in notes if note))
    return Answer(session.method, settings, results, composed, notes)


def rerank(
    retriever: Retriever, session: Session, *, weights: Weights, top_k: int, leave_out: object = True
) -> Answer:
    """The same query in the order of other weights. Milliseconds: only arithmetic on what was composed.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    session.settings = Settings(weights, top_k, leave_out is not False)
    return answer(retriever, session)


def as_json(found: Answer, retriever: Retriever, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """An answer for programs, with the keys of `python -m cir search --json`."""
    weights = found.settings.weights
    return {
        "method": found.method,
        "weights": {"alpha": weights.alpha, "beta": weights.beta, "gamma": weights.gamma},
        "gallery": {"name": retriever.gallery.name, "images": len(retriever.gallery.image_ids)},
        "models": dict(fingerprints),
        "trace": {name: list(found.composed.trace.get(name, ())) for name in TRACE},
        "notes": [*retriever.gallery.notes, *found.notes],
        "timings_ms": {stage: float(ms) for stage, ms in found.composed.timings_ms.items()},
        "pending": found.composed.pending,
        "results": [
            {
                "rank": r.rank,
                "image_id": r.image_id,
                "score": float(r.score),
                "label": retriever.gallery.label(r.image_id),
            }
            for r in found.results
        ],
    }


# --- looking at pictures --------------------------------------------------------------------------------


def inspect(retriever: Retriever, session: Session, image_id: str, found: Answer | None = None) -> Inspected:
    """Look closely at one result of the present query.

    Args:
        retriever, session: as in `answer`.
        image_id: one of `session.result_ids`.
        found: the answer on the screen, when the caller has it.

    Raises:
        BadQuery: nothing was searched for, or the image is not among the results.
    """
    found = answer(retriever, session) if found is None else found
    result = next((r for r in found.results if r.image_id == image_id), None)
    if result is None:
        raise BadQuery(
            "That picture is not among the results any more.", "Choose one of those that are shown."
        )
    session.inspected_id = image_id
    explanation = retriever.explain(found.composed, found.settings.weights, image_id)
    closeness = {part: float(terms["image"]) for part, terms in explanation.terms.items()}
    captions = tuple(retriever.gallery.captions(image_id))
    return Inspected(image_id, result.rank, result.score, captions, closeness)


def browse(gallery: Gallery, session: Session, *, step: int = 0, shuffle: bool = False) -> tuple[str, ...]:
    """The ids on the next page of the gallery, in an order that mixes it.

    Args:
        gallery: what is browsed.
        session: remembers the order and the page.
        step: pages to go on (or back, below 0); past either end it goes on at the other.
        shuffle: begin again in a new order.
    """
    ids = gallery.image_ids
    if shuffle:
        session.seed, session.page = session.seed + 1, 0
    pages = max(1, math.ceil(len(ids) / BROWSE_PAGE))
    session.page = (session.page + step) % pages
    order = np.random.default_rng(session.seed).permutation(len(ids))
    shown = order[session.page * BROWSE_PAGE : (session.page + 1) * BROWSE_PAGE]
    session.browsed_ids = tuple(ids[i] for i in shown)
    return session.browsed_ids


def pick(gallery: Gallery, session: Session, image_id: str) -> Path:
    """Make a gallery image the reference; its thumbnail is what the page shows and what is searched with.

    Raises:
        BadQuery: the gallery has no such image.
        GalleryError: nothing of it is left.
    """
    path = Path(gallery.thumbnail_path(image_id))
    session.picked_id = image_id
    return path


def in_words(gallery: Gallery, image_id: str) -> str:
    """What an image shows, in one line: that it is gone, or its first caption, or its name."""
    captions = gallery.captions(image_id)
    return gallery.note(image_id) or (captions[0] if captions else gallery.label(image_id))


def load_examples(path: Path, gallery: Gallery, *, limit: int = 5) -> list[Example]:
    """The example queries whose image this gallery has, at most `limit`; none without such a file."""
    if not path.is_file():
        return []
    known = set(gallery.image_ids)
    rows = json.loads(path.read_text(encoding="utf-8"))
    examples = [Example(row["image_id"], row["text"]) for row in rows if row["image_id"] in known]
    return examples[:limit]


# --- when something goes wrong --------------------------------------------------------------------------


def describe_problem(error: Exception) -> Problem:
    """What a person is told. A CirError speaks for itself; a fault is logged under an id, which is told."""
    if isinstance(error, CirError):
        return Problem(error.message, error.remedy)
    fault_id = secrets.token_hex(4)
    logger.error("fault %s", fault_id, exc_info=error)
    return Problem(
        "Something went wrong in the program; your query is not to blame.",
        f"Try again. If it stays, the log has the details under {fault_id}.",
    )
