"""What programs get, as types: the API page shows them. `python -m cir search --json` has the same keys."""

from __future__ import annotations

from typing import TypedDict, cast

import gradio as gr

from cir.errors import BadQuery
from cir.retriever import Retriever, part_weights
from cir.types import PARTS
from cir.ui import handlers
from cir.ui.handlers import Answer
from cir.ui.layout import PageContent
from cir.ui.programs.arguments import shown
from cir.ui.programs.searches import KeptSearch


class GalleryRow(TypedDict):
    """A gallery: `name` is what the argument `gallery` takes; `problem` says why it cannot be searched, or ""."""

    name: str
    images: int
    captioned: int
    problem: str


class ParameterRow(TypedDict):
    """A weight that a method has: the argument's name, its symbol in the paper, what it weighs, its range."""

    name: str
    symbol: str
    label: str
    low: float
    high: float


class WeightsRow(TypedDict):
    """The three weights."""

    alpha: float
    beta: float
    gamma: float


class MethodRow(TypedDict):
    """A method: `name` is what the argument `method` takes, in capitals or not; `weights` hold where none is given."""

    name: str
    parameters: list[ParameterRow]
    weights: WeightsRow


class Searched(TypedDict):
    """The gallery that was searched."""

    name: str
    images: int


class Trace(TypedDict):
    """What was thought on the way: the edit in English where it was typed in another language, captions of the reference, captions after the edit, objects likely added."""

    translation: list[str]
    captions: list[str]
    modified_captions: list[str]
    added_objects: list[str]


class ResultRow(TypedDict):
    """One result: rank from 1, id in the gallery, score (a cosine, higher is better), file name."""

    rank: int
    image_id: str
    score: float
    label: str


class SearchAnswer(TypedDict):
    """Results, and all that is said about them. `search_id` names the search for `/rank` and `/explain`."""

    search_id: str
    method: str
    weights: WeightsRow
    gallery: Searched
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


class ExplainedResult(ResultRow):
    """One result with all that its score is made of (CVSI, Eq. 8-10), so that it can be computed again."""

    captions: list[str]
    terms: dict[str, Term]
    tv_tv: float
    tc_tc: float
    tv_tc: float
    gamma: float
    gram: list[list[float]]
    effective_weights: dict[str, float]


def as_answer(content: PageContent, retriever: Retriever, found: Answer, search: KeptSearch) -> SearchAnswer:
    """An answer as a program gets it."""
    answer = handlers.as_json(found, retriever, content.fingerprints)
    answer["gallery"]["name"] = search.gallery
    return cast(SearchAnswer, {"search_id": search.search_id, **answer})


def explained(retriever: Retriever, found: Answer, image_id: object) -> ExplainedResult:
    """One result with all terms of its score, under the keys of `python -m cir search --json --explain`.

    Raises:
        BadQuery: the image is not among the results.
    """
    result = next((r for r in found.results if r.image_id == image_id), None)
    if result is None:
        raise BadQuery(
            f"image_id: {shown(image_id)} is not among the results of the search.",
            "Ask for one of them, or for more results: top_k.",
        )
    why = retriever.explain(found.composed, found.settings.weights, result.image_id)
    nothing = {"image": 0.0, "captions": 0.0}
    terms = {name: cast(Term, dict(why.terms.get(name, nothing))) for name in PARTS}
    return {
        "rank": result.rank,
        "image_id": result.image_id,
        "score": float(result.score),
        "label": retriever.gallery.label(result.image_id),
        "captions": list(retriever.gallery.captions(result.image_id)),
        "terms": terms,
        "tv_tv": why.tv_tv,
        "tc_tc": why.tc_tc,
        "tv_tc": why.tv_tc,
        "gamma": why.gamma,
        "gram": retriever.gram(found.composed),
        "effective_weights": part_weights(found.composed, found.settings.weights)[0],
    }


def for_programs(error: Exception) -> gr.Error:
    """An error as a program gets it: two sentences, and no traceback in the log for what is the caller's own."""
    problem = handlers.describe_problem(error)
    return gr.Error(f"{problem.message} {problem.remedy}".strip(), print_exception=False)
