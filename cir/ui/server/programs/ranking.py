"""The calls `/rank` and `/explain`, about a search that was made before. No captioner and no language model is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import gradio as gr

from cir.composers.revision import revisable
from cir.errors import BadQuery
from cir.gallery.narrowing import Only
from cir.ranking.retriever import Retriever
from cir.types import SignedTerm
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.search.handlers import Session
from cir.ui.server.programs import arguments
from cir.ui.server.programs.answers import ExplainedResult, SearchAnswer, as_answer, explained, for_programs
from cir.ui.server.programs.searches import Searches
from cir.ui.server.programs.wishes import read_wishes


def rank_with(content: PageContent, kept: Searches) -> Callable[..., SearchAnswer]:
    """The call `/rank`."""

    def rank(
        request: gr.Request,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        top_k: int | None = None,
        search_id: str = "",
        folder: str | None = None,
        since: str | None = None,
        until: str | None = None,
        with_undated: bool | None = None,
        without: list[str] | None = None,
        more: list[str] | None = None,
        less: list[str] | None = None,
        at_least: float | None = None,
        leave_out_reference: bool | None = None,
        trace: dict | None = None,
        k: int | None = None,
        values: dict | None = None,
    ) -> SearchAnswer:
        """Rank a search again; no captioner and no language model is called. What is left out stays as it was.

        Args:
            alpha: CVSI's weight of the described edit, from 0 to 1.
            beta: CVSI's weight of the image word with the edit, from 0 to 1.
            gamma: CVSI's weight of the captions of gallery images, from 0 to 1.
            top_k: how many results, from 1 to 60.
            search_id: of the search that is meant; the caller's last for none.
            folder: search only in this folder; "" for every folder.
            since: search only from this day on; "" for no such bound.
            until: search only up to this day; "" for no such bound.
            with_undated: whether pictures of an unknown day are searched beside those of the days.
            without: texts of what should not be there; [] for none any more.
            more: gallery images, by id, of whose looks more is wanted; [] for none any more.
            less: gallery images, by id, of whose looks less is wanted; [] for none any more.
            at_least: the score that results have to reach, from 0 to 1.
            leave_out_reference: whether a gallery image that is the reference may not be a result.
            trace: texts in the place of the machine's, by the names that they have in the answer:
                {"modified_captions": ["a red boat at night"]}.
            k: old name of top_k.
            values: numbers of any method, by the names that /methods lists: {"t": 0.3} for Slerp.
        """
        try:
            search = kept.find(search_id, str(request.session_hash))
            state = search.state
            retriever = content.retriever_for(state)
            before = state.settings
            count, notes = arguments.read_top_k(*arguments.named("top_k", top_k, "k", k), before.top_k)
            given = {"alpha": alpha, "beta": beta, "gamma": gamma}
            numbers = arguments.read_numbers(state.parameters, given, values, before.values)
            state.only = narrowed(
                retriever,
                state,
                {"folder": folder, "since": since, "until": until, "with_undated": with_undated},
            )
            state.signed = wished(content, retriever, state, {"without": without, "more": more, "less": less})
            rethink(retriever, state, trace)
            state.settings = replace(
                before,
                values=numbers,
                top_k=count,
                at_least=before.at_least if at_least is None else arguments.read_number("at_least", at_least),
                leave_out_reference=arguments.read_flag(
                    "leave_out_reference", leave_out_reference, before.leave_out_reference
                ),
            )
            found = handlers.answer(retriever, state)
            kept.keep(search)
            answer = as_answer(content, retriever, found, search)
            return {**answer, "notes": [*dict.fromkeys((*notes, *answer["notes"]))]}
        except Exception as error:
            raise for_programs(error) from error

    return rank


def narrowed(retriever: Retriever, state: Session, given: Mapping[str, object]) -> Only:
    """Where a search is to look from now on; what is None stays as it was.

    Raises:
        BadQuery: there is no such folder or day.
    """
    only = arguments.read_only(retriever.gallery, *given.values())
    changed = {name: getattr(only, name) for name, value in given.items() if value is not None}
    return replace(state.only, **changed)


def wished(
    content: PageContent, retriever: Retriever, state: Session, given: Mapping[str, object]
) -> tuple[SignedTerm, ...]:
    """The terms of what more and less is wanted from now on; those of a kind that is None stay as they were."""
    changed = {name: value for name, value in given.items() if value is not None}
    stay = [term for term in state.signed if term.kind not in changed]
    return (*stay, *read_wishes(content, retriever, changed))


def rethink(retriever: Retriever, state: Session, trace: object) -> None:
    """Put other texts in the place of the machine's.

    Raises:
        BadQuery: the search has no texts that can be changed, or these are none.
    """
    changed = arguments.read_thoughts(trace)
    method, composed = revisable(retriever.composers.get(state.method)), state.composed
    if not changed or composed is None:
        return
    if composed.pseudo_words is None or method is None:
        raise BadQuery(
            "trace: this search has no texts that can be changed.",
            "Search with a reference image and a text, by CVSI.",
        )
    state.composed = method.revise(composed, {**composed.trace, **changed})


def explain_with(content: PageContent, kept: Searches) -> Callable[..., ExplainedResult]:
    """The call `/explain`."""

    def explain(request: gr.Request, image_id: str = "", search_id: str = "") -> ExplainedResult:
        """Say what the score of one result is made of: every term, so that it can be computed again.

        Args:
            image_id: of a result of the search.
            search_id: of the search that is meant; the caller's last for none.
        """
        try:
            state = kept.find(search_id, str(request.session_hash)).state
            retriever = content.retriever_for(state)
            return explained(retriever, handlers.answer(retriever, state), image_id)
        except Exception as error:
            raise for_programs(error) from error

    return explain
