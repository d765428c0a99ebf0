"""Which event of the Search tab calls which handler, and where its answer goes. Nothing is computed here.

Every event of the page is private; programs have `/search` and `/rank` (`cir.ui.server.programs`). Values are handed
over as they were sent (`preprocess=False`; uploads are still checked to be uploads), because the handlers
check them and say in words what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import permutations
from typing import Any

import gradio as gr
from anyio import to_thread

from cir.composers.composer import Composer
from cir.composers.parameters import Values
from cir.errors import CirError
from cir.ranking.retriever import Retriever
from cir.ui import pieces
from cir.ui.galleries.switcher import narrowing_events, outputs_of_problem, problem_on_page
from cir.ui.page import Ask, PageContent, PageParts
from cir.ui.reading import read_method
from cir.ui.search import handlers, snapshots
from cir.ui.search.acting import wire_acts
from cir.ui.search.filling import QUIET, forgotten, query_fields, wire_fields
from cir.ui.search.handlers import Settings, read_settings
from cir.ui.search.opening import wire_opening
from cir.ui.search.own_pictures import wire_shown
from cir.ui.search.screens import (
    answer_outputs,
    answer_screen,
    known,
    numbers,
    rerank_outputs,
    rerank_screen,
    then_answered,
    unique,
)
from cir.ui.server.waiting import Steps, Waiting
from cir.ui.session import Session

RERANKED: dict[str, Any] = {**QUIET, "preprocess": False, "concurrency_limit": None}
LOOKING, LOADING = "Looking at the query …", "Loading the models; this takes some seconds after a start …"


def wire(content: PageContent, parts: PageParts, page: gr.Blocks) -> None:
    """All events of the tab; those that open the page come last, when all else is there."""
    wire_search(content, parts)
    wire_weights(content, parts)
    wire_narrowing(content, parts)
    wire_fields(parts.ask, parts.shown)
    wire_shown(parts.ask)
    wire_acts(content, parts)
    wire_opening(content, parts, page)


def wire_search(content: PageContent, parts: PageParts) -> None:
    """Enter and the button start the same search, whose answers come in stages.

    It begins once what was done before it is answered: the page's script waits for that, and then sends the text
    and the picture that were shown when it was asked for.
    """
    session, ask, shown = parts.session, parts.ask, parts.shown
    outputs = unique(answer_outputs(shown), [shown.turn], outputs_of_problem(parts))

    def steps(
        state: Session, turn: int, note: str, image: object, text: object, method: object, *values: object
    ) -> Steps[dict[Any, Any]]:
        retriever = content.retriever_for(state)
        settings, notes = settings_of(ask, retriever, method, values, state.settings.values)
        state.inspected_id = ""
        stages = handlers.search(
            retriever,
            state,
            image=image,
            text=text,
            method=method,
            settings=settings,
            notes=[*notes, note, handlers.change_of(retriever.gallery, state)],
            turn=turn,
        )
        for found in stages:
            screen = answer_screen(content, state, found)
            yield dict(zip(answer_outputs(shown), screen, strict=True)), bool(found.composed.pending)

    def search_if(meant: Callable[[Session], bool]) -> Callable[..., AsyncIterator[dict[Any, Any]]]:
        async def run(state: Session, snapshot: object, *values: Any) -> AsyncIterator[dict[Any, Any]]:
            # Tells the page's script that there are first results, or none to wait for.
            there = {shown.turn: snapshots.turn_of(snapshot)}
            stage = ""
            try:
                note = await to_thread.run_sync(known, content, state, snapshot)
                if not meant(state):
                    yield there
                    return
                turn = handlers.begin(state)
                yield {shown.stage: pieces.working(LOOKING if content.ready() else LOADING)}
                wanted = steps(state, turn, note, *values)
                answers = content.lines.in_turn(wanted, lambda: state.searches == turn)
                async with aclosing(answers):
                    async for answer in answers:
                        if not isinstance(answer, Waiting):
                            stage = answer[shown.stage]
                            yield {**answer, **there}
                        elif answer.before:
                            yield {shown.stage: pieces.waiting(answer.before, first_results=bool(stage))}
                        else:  # its turn has come
                            yield {shown.stage: stage or pieces.working(LOOKING)}
            except Exception as error:  # shown as a sentence; faults are logged under an id
                yield {**problem_on_page(content, parts, state, error), **there}
            # What a finished generator said last is sent once more: after a newer search, that has to be nothing.
            yield there

        return run

    def own(state: Session) -> bool:
        """A search of the person's own: no image is meant to be found by it."""
        state.intended_id = ""
        return True

    inputs = [session, shown.snapshot, *query_fields(ask, shown)]
    how: dict[str, Any] = {
        **QUIET,
        "preprocess": False,
        "trigger_mode": "multiple",
        "concurrency_limit": None,  # they stand in lines of their own
    }
    for asked, meant in (([ask.text.submit, ask.search.click], own), ([ask.filled.click], lambda _: True)):
        ready = gr.on(
            asked,
            None,
            [ask.text, ask.image],
            js="(text, image) => recompose.ready(text, image)",
            api_visibility="private",
        )
        ran = ready.then(search_if(meant), inputs, outputs, js="(...given) => recompose.asked(given)", **how)
        ran.failure(None, js="() => recompose.unanswered()", api_visibility="private")

    def choose(state: Session, snapshot: object, method: object) -> dict[Any, Any]:
        """Another method: its own sliders, where it has some."""
        try:
            known(content, state, snapshot)
            retriever = content.retriever_for(state)
            composer = retriever.composers[read_method(retriever.methods, method)]
            return numbers(content, ask, composer)
        except CirError:  # the search that follows says it in words
            return {ask.shares: gr.skip()}

    chosen = ask.method.input(
        choose,
        [session, shown.snapshot, ask.method],
        ask.numbers,
        js="(...given) => recompose.inTurn(given)",
        **{**QUIET, "preprocess": False},
    )
    # The query on the screen is asked again, if there is one.
    asked_again = search_if(lambda state: state.composed is not None)
    again = chosen.then(asked_again, inputs, outputs, js="(...given) => recompose.again(given)", **how)
    for failed in (chosen, again):
        failed.failure(None, js="() => recompose.unanswered()", api_visibility="private")


def wire_weights(content: PageContent, parts: PageParts) -> None:
    """Sliders, presets and the other settings re-rank what was composed; the bar follows in the browser."""
    ask, shown = parts.ask, parts.shown
    own: dict[str, Any] = {"api_visibility": "private"}
    for one, other in competing(content.retriever.composers.values()):
        pair = [ask.sliders[one], ask.sliders[other]]
        pair[0].input(None, pair, pair[1:], js="(moved, other) => recompose.room(moved, other)", **own)
    gr.on(
        [slider.change for slider in ask.sliders.values()],
        None,
        [*ask.sliders.values()],
        js=f"(...values) => recompose.shares({json.dumps([*ask.sliders])}, values)",
        **own,
    )
    # The script asks for the new order in its turn; whatever is moved until then is one request.
    moved = [*(slider.input for slider in ask.sliders.values()), ask.top_k.input, ask.leave_out.input]
    moved += [shown.at_least.input, shown.fold.input]
    gr.on(moved, None, js="() => recompose.moved()", api_visibility="private")
    asked = shown.bridge.move(
        rerank_with(content, parts),
        rerank_inputs(parts),
        rerank_answers(parts),
        queue=False,  # arithmetic alone: the way through the queue would take longer than the answer
        **RERANKED,
    )
    then_answered(asked)


def competing(composers: Iterable[Composer]) -> list[tuple[str, str]]:
    """Pairs of parameters of one method that are shares: what the one takes, the other has to leave."""
    shared = [[p.name for p in composer.parameters if p.part] for composer in composers]
    return list(dict.fromkeys(pair for names in shared for pair in permutations(names, 2)))


def settings_of(
    ask: Ask, retriever: Retriever, method: object, values: Sequence[object], before: Values | None
) -> tuple[Settings, list[str]]:
    """The settings of a method from what `ask.settings` and the components after it sent, with notes.

    Raises:
        BadQuery: one of them cannot be read, or there is no such method.
    """
    sent, rest = ask.split(values)
    parameters = retriever.composers[read_method(retriever.methods, method)].parameters
    return read_settings(parameters, sent, rest, before)


def wire_narrowing(content: PageContent, parts: PageParts) -> None:
    """A folder or a span of days was chosen: what was composed is ranked again, among fewer pictures."""
    for bounded in narrowing_events(content, parts):
        asked = bounded.then(
            rerank_with(content, parts), rerank_inputs(parts), rerank_answers(parts), **RERANKED
        )
        then_answered(asked)
        bounded.failure(None, js="() => recompose.answered()", api_visibility="private")


def rerank_inputs(parts: PageParts) -> list[Any]:
    """What `rerank_with`'s handler reads."""
    return [
        parts.session, parts.shown.snapshot, *parts.ask.settings, parts.shown.at_least, parts.shown.fold
    ]  # fmt: skip


def rerank_answers(parts: PageParts) -> list[Any]:
    """What `rerank_with`'s handler may answer for."""
    return unique(rerank_outputs(parts.shown), outputs_of_problem(parts))


def rerank_with(content: PageContent, parts: PageParts) -> Callable[..., dict[Any, Any]]:
    """The handler of a moved weight: same query, new order, no model."""
    shown = parts.shown

    def rerank(state: Session, snapshot: object, *values: object) -> dict[Any, Any]:
        try:
            note = known(content, state, snapshot)
            if note:
                return forgotten(shown, state, note)
            if state.composed is None:
                return {shown.stage: gr.skip()}
            retriever = content.retriever_for(state)
            settings, _ = settings_of(parts.ask, retriever, state.method, values, state.settings.values)
            found = handlers.rerank(
                retriever,
                state,
                values=settings.values,
                top_k=settings.top_k,
                leave_out=settings.leave_out_reference,
                at_least=settings.at_least,
                fold=settings.fold,
            )
            return dict(zip(rerank_outputs(shown), rerank_screen(content, state, found), strict=True))
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return problem_on_page(content, parts, state, error)

    return rerank
