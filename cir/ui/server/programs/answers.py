"""What programs get, as types: the API page shows them. The answer itself is that of `cir.answers`."""

from __future__ import annotations

from typing import TypedDict

from cir.answers import AnswerRow, QueryRow, TermsRow, query_row, terms_row
from cir.composers.parameters import Parameter
from cir.errors import BadQuery
from cir.ranking.retriever import Retriever
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.search.handlers import Answer
from cir.ui.server.programs.arguments import shown
from cir.ui.server.programs.kept import KeptSearch


class GalleryRow(TypedDict):
    """A gallery: `name` is what the argument `gallery` takes; `problem` says why it cannot be searched, or ""."""

    name: str
    images: int
    captioned: int
    problem: str


class ParameterRow(TypedDict):
    """A number that a method has: its name, its symbol in the paper, what it does, its range, where it starts."""

    name: str
    symbol: str
    label: str
    low: float
    high: float
    default: float


class MethodRow(TypedDict):
    """A method: `name` is what the argument `method` takes, in capitals or not; `weights` hold where none is given."""

    name: str
    parameters: list[ParameterRow]
    weights: dict[str, float]


class SearchAnswer(AnswerRow):
    """Results, and all that is said about them. `search_id` names the search for `/rank` and `/explain`."""

    search_id: str


class ExplainedResult(TermsRow, QueryRow):
    """One result with all that its score is made of (CVSI, Eq. 8-10), so that it can be computed again."""


def parameter_row(parameter: Parameter) -> ParameterRow:
    """A number of a method as a program gets it."""
    return {
        "name": parameter.name,
        "symbol": parameter.symbol,
        "label": parameter.label,
        "low": parameter.low,
        "high": parameter.high,
        "default": parameter.default,
    }


def as_answer(content: PageContent, retriever: Retriever, found: Answer, search: KeptSearch) -> SearchAnswer:
    """An answer as a program gets it."""
    answer = handlers.as_json(found, retriever, content.fingerprints, search.gallery)
    return {**answer, "search_id": search.search_id}


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
    composed, values = found.composed, found.settings.values
    return {**terms_row(retriever, composed, values, result), **query_row(retriever, composed, values)}
