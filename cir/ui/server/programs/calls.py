"""The five calls. Their docstrings stand on the API page, what they take in `arguments.ARGUMENTS`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from cir.composers.parameters import defaults
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.server.programs.answers import (
    ExplainedResult,
    GalleryRow,
    MethodRow,
    SearchAnswer,
    as_answer,
    explained,
    parameter_row,
)
from cir.ui.server.programs.arguments import Arguments
from cir.ui.server.programs.kept import KeptSearches
from cir.ui.server.programs.offering import call_of
from cir.ui.server.programs.searching import rank_again, stages
from cir.ui.server.waiting import Steps, Waiting

# In the order in which programs may send them without names: what came later stands behind.
_RANKED_BY = (
    "folder",
    "since",
    "until",
    "with_undated",
    "without",
    "more",
    "less",
    "at_least",
    "leave_out_reference",
)
SEARCH = ("reference_image", "text", "method", "alpha", "beta", "gamma", "top_k", "reference_id", "gallery",
          *_RANKED_BY, "image", "k", "gallery_image_id", "values")  # fmt: skip
RANK = ("alpha", "beta", "gamma", "top_k", "search_id", *_RANKED_BY, "trace", "k", "values")


def calls(content: PageContent, kept: KeptSearches) -> list[Callable[..., Any]]:
    """The calls, as `offering.offer` takes them."""

    async def search(caller: str, given: Arguments) -> AsyncIterator[SearchAnswer]:
        """Search a gallery with a reference image and a modification text; answers come in stages, the last is whole."""
        found: SearchAnswer | None = None
        async with aclosing(content.lines.in_turn(answers(content, kept, caller, given))) as came:
            async for answer in came:
                if not isinstance(answer, Waiting):
                    yield (found := answer)
                elif found is not None and answer.before:
                    yield {**found, "pending": f"{found['pending']}: {answer.before} before you"}

    def rank(caller: str, given: Arguments) -> SearchAnswer:
        """Rank a search again; no captioner and no language model is called. What is left out stays as it was."""
        search = kept.find(given.get("search_id"), caller)
        found, notes = rank_again(content, search.state, given)
        kept.keep(search)
        answer = as_answer(content, content.retriever_for(search.state), found, search)
        return {**answer, "notes": [*dict.fromkeys((*notes, *answer["notes"]))]}

    def explain(caller: str, given: Arguments) -> ExplainedResult:
        """Say what the score of one result is made of: every term, so that it can be computed again."""
        state = kept.find(given.get("search_id"), caller).state
        retriever = content.retriever_for(state)
        return explained(retriever, handlers.answer(retriever, state), given.get("image_id"))

    def galleries(caller: str, given: Arguments) -> list[GalleryRow]:
        """List the galleries that can be searched, the page's first one first."""
        return [
            {"name": e.title, "images": e.images, "captioned": e.captioned, "problem": e.problem}
            for e in content.shelf.entries()
        ]

    def methods(caller: str, given: Arguments) -> list[MethodRow]:
        """List the methods, the page's first one first, each with the numbers that it has."""
        known = {name: composer.parameters for name, composer in content.retriever.composers.items()}
        return [
            {"name": name, "parameters": [parameter_row(p) for p in own], "weights": defaults(own)}
            for name, own in known.items()
        ]

    return [
        call_of(search, SEARCH, SearchAnswer),
        call_of(rank, RANK, SearchAnswer),
        call_of(explain, ("image_id", "search_id"), ExplainedResult),
        call_of(galleries, (), list[GalleryRow]),
        call_of(methods, (), list[MethodRow]),
    ]


def answers(content: PageContent, kept: KeptSearches, caller: str, given: Arguments) -> Steps[SearchAnswer]:
    """The steps of a search for a program, which is kept as it goes.

    Raises:
        CirError: what cannot be searched for.
    """
    for search, retriever, found in stages(content, caller, given):
        kept.keep(search)
        yield as_answer(content, retriever, found, search), bool(found.composed.pending)
