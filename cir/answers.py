"""The JSON of an answer: the same keys in `python -m cir search --json`, `/search`, `/rank`, `/explain` and the page's download.

docs/api.md describes every field. Knows neither gradio nor the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, cast

from cir.composers.parameters import Values
from cir.ranking.retriever import Retriever, rows_of, scoring_of
from cir.ranking.scoring import Product, Scoring
from cir.text import counted
from cir.translating import REWORDED, TRANSLATION
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, RetrievedImage

ROWS = (
    MODIFIED_CAPTIONS,
    FINE_GRAINED,
    REFERENCE_IMAGE,
)  # in every explained answer, with zeros where there is none
TRACE = (TRANSLATION, REWORDED, "captions", MODIFIED_CAPTIONS, "added_objects", "removed_objects")


class Searched(TypedDict):
    """The gallery that was searched."""

    name: str
    images: int


class EngineRow(TypedDict):
    """What ranked the pictures, and the share of the true 10 best that it finds: 1 where all pictures were looked at."""

    name: str
    recall_at_10: float


class Trace(TypedDict):
    """What was thought on the way: the edit in English where it was typed in another language, or in plainer words, captions of the reference, captions after the edit, objects likely added, and removed."""

    translation: list[str]
    reworded: list[str]
    captions: list[str]
    modified_captions: list[str]
    added_objects: list[str]
    removed_objects: list[str]


class ResultRow(TypedDict):
    """One result: rank from 1, id in the gallery, score (a cosine, higher is better), file name."""

    rank: int
    image_id: str
    score: float
    label: str


class AnswerRow(TypedDict):
    """Results, and all that is said about them."""

    method: str
    weights: dict[str, float]
    gallery: Searched
    engine: EngineRow
    models: dict[str, str]
    trace: Trace
    notes: list[str]
    timings_ms: dict[str, float]
    pending: str
    results: list[ResultRow]


class Term(TypedDict):
    """Dot products of one part of the query with an image: with its pixels, and with its captions."""

    image: float
    captions: float


class TermsRow(ResultRow):
    """One result with its captions and with all that its score is made of on the gallery's side (CVSI, Eq. 9)."""

    captions: list[str]
    terms: dict[str, Term]
    tv_tv: float
    tc_tc: float
    tv_tc: float
    gamma: float


class QueryRow(TypedDict):
    """What a score is made of on the query's side (Eq. 8): dot products among its rows, and the weights that counted."""

    gram: list[list[float]]
    effective_weights: dict[str, float]
    scoring: dict[str, Any]


def answer_row(
    retriever: Retriever,
    composed: ComposedQuery,
    values: Values,
    results: Sequence[RetrievedImage],
    *,
    method: str,
    models: Mapping[str, str],
    notes: Iterable[str] = (),
    gallery_name: str = "",
) -> AnswerRow:
    """An answer as JSON.

    Args:
        retriever, composed, values, results: what was searched, for what, by which numbers, and what was found.
        method: its name.
        models: part -> fingerprint.
        notes: what is said beside the gallery's own notes; of equal ones the first stays.
        gallery_name: under which the gallery is listed, where that is not its own name.
    """
    gallery, promise = retriever.gallery, retriever.promise(composed, values)
    return {
        "method": method,
        "weights": dict(values),
        "gallery": {"name": gallery_name or gallery.name, "images": len(gallery)},
        "engine": {"name": promise.engine, "recall_at_10": promise.recall},
        "models": dict(models),
        "trace": cast(Trace, {name: list(composed.trace.get(name, ())) for name in TRACE}),
        "notes": [*dict.fromkeys(note for note in (*gallery.notes, *notes) if note)],
        "timings_ms": {stage: round(float(ms), 1) for stage, ms in composed.timings_ms.items()},
        "pending": composed.pending,
        "results": [result_row(retriever, result) for result in results],
    }


def result_row(retriever: Retriever, result: RetrievedImage) -> ResultRow:
    """One result as JSON."""
    return {
        "rank": result.rank,
        "image_id": result.image_id,
        "score": float(result.score),
        "label": retriever.gallery.label(result.image_id),
    }


def terms_row(
    retriever: Retriever, composed: ComposedQuery, values: Values, result: RetrievedImage
) -> TermsRow:
    """One result as JSON, with every term of its score; one of ROWS that the query does not have has zeros."""
    why = retriever.explain(composed, values, result.image_id)
    nothing = {"image": 0.0, "captions": 0.0}
    return {
        **result_row(retriever, result),
        "captions": list(retriever.gallery.captions(result.image_id)),
        "terms": {name: cast(Term, dict(why.terms.get(name, nothing))) for name in row_names(composed)},
        "tv_tv": why.tv_tv,
        "tc_tc": why.tc_tc,
        "tv_tc": why.tv_tc,
        "gamma": why.gamma,
    }


def row_names(composed: ComposedQuery) -> list[str]:
    """The rows of an answer's terms, in order: ROWS, others of the method's own, then the signed terms."""
    return list(dict.fromkeys((*ROWS, *rows_of(composed))))


def query_row(retriever: Retriever, composed: ComposedQuery, values: Values) -> QueryRow:
    """The query's side of every score, as JSON.

    A part that is missing counts as 0 and the others keep their ratio: `effective_weights` are those that counted.
    """
    scoring, names = scoring_of(composed, values), row_names(composed)
    return {
        "gram": retriever.gram(composed, names),
        "effective_weights": {name: scoring.weights.get(name, 0.0) for name in names},
        "scoring": scoring_row(scoring),
    }


def scoring_row(scoring: Scoring) -> dict[str, Any]:
    """What a scoring has beside its weights: its form, and of a product the offsets and the penalty."""
    if isinstance(scoring, Product):
        offsets = {name: factor.offset for name, factor in scoring.factors.items()}
        return {"form": "product", "offsets": offsets, "penalty": scoring.penalty}
    return {"form": "linear"}


def reaching(ranked: Sequence[RetrievedImage], at_least: float) -> tuple[tuple[RetrievedImage, ...], str]:
    """The results whose score reaches `at_least` (0 for all), and a sentence about the others; "" when there are none."""
    results = tuple(result for result in ranked if not at_least or result.score >= at_least)
    hidden = len(ranked) - len(results)
    if not hidden:
        return results, ""
    return (
        results,
        f"Hidden, with scores below {at_least:g}: {hidden} of {counted(len(ranked), 'picture')}.",
    )
