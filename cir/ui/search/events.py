"""Which event of the Search tab calls which handler, and where its answer goes. Nothing is computed here.

Every event of the page is private; programs have `/search` and `/rank` (`cir.ui.server.programs`). Values are handed
over as they were sent (`preprocess=False`; uploads are still checked to be uploads), because the handlers
check them and say in words what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import permutations
from typing import Any

import gradio as gr
from anyio import to_thread

from cir.composers.composer import Composer
from cir.errors import CirError
from cir.ranking.retriever import Retriever
from cir.ui import pieces
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.reading import read_method
from cir.ui.search import acts, handlers, reference, snapshots
from cir.ui.search.layout import QueryFields
from cir.ui.search.opening import wire_opening
from cir.ui.search.screen import Screen, numbers
from cir.ui.search.snapshots import recall_session
from cir.ui.server.gradio_private import copied_among_uploads, folder_beside_uploads
from cir.ui.server.waiting import Steps
from cir.ui.session import Session, Settings
from cir.ui.switcher.events import wire_bounds
from cir.ui.switcher.screen import state_of
from cir.ui.wiring import (
    AS_SENT,
    EACH,
    PRIVATE,
    Update,
    afterwards,
    answers_in_turn,
    sent_with,
    then_answered,
    with_problems_shown,
)

LOOKING, LOADING = "Looking at the query …", "Loading the models; this takes some seconds after a start …"


def wire(content: PageContent, parts: PageParts, page: gr.Blocks) -> None:
    """All events of the tab; those that open the page come last, when all else is there."""
    screen = Screen(content, parts)
    wire_search(screen)
    wire_sliders(screen)
    wire_narrowing(screen)
    wire_fields(parts)
    wire_acts(screen)
    wire_opening(screen, page)


def wire_search(screen: Screen) -> None:
    """Enter and the button start the same search, whose answers come in stages.

    It begins once what was done before it is answered: the page's script waits for that, and then sends the text
    and the picture that were shown when it was asked for.
    """
    session, ask, shown = screen.page.session, screen.page.ask, screen.page.shown
    inputs = [session, shown.snapshot, *screen.query]

    def of_ones_own(state: Session) -> bool:
        """A search of the person's own: no image is meant to be found by it."""
        state.intended_id = ""
        return True

    for triggers, is_wanted in (
        ([ask.text.submit, ask.search.click], of_ones_own),
        ([ask.filled.click], lambda _: True),
    ):
        ready = gr.on(
            triggers,
            None,
            [ask.text, ask.image],
            js="(text, image) => recompose.ready(text, image)",
            **PRIVATE,
        )
        ran = ready.then(
            search_with(screen, is_wanted),
            inputs,
            screen.outputs,
            js="(...given) => recompose.asked(given)",
            **EACH,
        )
        ran.failure(None, js="() => recompose.unanswered()", **PRIVATE)

    def choose(state: Session, snapshot: object, method: object) -> Update:
        """Another method: its own sliders, where it has some."""
        try:
            recall_session(screen.content, state, snapshot)
            retriever = screen.content.retriever_for(state)
            state.settings = replace(state.settings, automatic=True)
            return numbers(screen.content, ask, retriever.composers[read_method(retriever.methods, method)])
        except CirError:  # the search that follows says it in words
            return {ask.shares: gr.skip()}

    chosen = ask.method.input(
        choose,
        [session, shown.snapshot, ask.method],
        ask.numbers,
        js="(...given) => { recompose.chose(false); return recompose.inTurn(given); }",
        trigger_mode="multiple",  # a choice that is made before the one before is answered counts as well
        **AS_SENT,
    )
    # The query on the screen is asked again, if there is one.
    again = chosen.then(
        search_with(screen, lambda state: state.composed is not None),
        inputs,
        screen.outputs,
        js="(...given) => recompose.again(given)",
        **EACH,
    )
    for failed in (chosen, again):
        failed.failure(None, js="() => recompose.unanswered()", **PRIVATE)


def search_with(screen: Screen, is_wanted: Callable[[Session], bool]) -> Callable[..., AsyncIterator[Update]]:
    """The handler of a search.

    Args:
        screen: what it fills in.
        is_wanted: whether this session is to be searched for at all.
    """
    content, shown = screen.content, screen.page.shown

    async def search(state: Session, snapshot: object, *values: Any) -> AsyncIterator[Update]:
        note = await to_thread.run_sync(recall_session, content, state, snapshot)
        if not is_wanted(state):
            return
        turn = handlers.begin(state)
        yield {shown.stage: pieces.working(LOOKING if content.ready() else LOADING)}
        steps = stages_of(screen, state, snapshot, turn, note, *values)
        answers = content.lines.in_turn(steps, lambda: state.searches == turn)
        async with aclosing(answers_in_turn(answers, shown.stage, LOOKING)) as came:
            async for answer in came:
                yield answer

    def problem(error: Exception, state: Session, snapshot: object, *_: object) -> Update:
        return {**screen.problem(error, state), shown.turn: snapshots.read(snapshot).turn}

    async def search_to_the_end(state: Session, snapshot: object, *values: Any) -> AsyncIterator[Update]:
        async with aclosing(with_problems_shown(search, problem)(state, snapshot, *values)) as answers:
            async for answer in answers:
                yield answer
        # What a finished generator said last is sent once more: after a newer search, that has to be nothing.
        yield {shown.turn: snapshots.read(snapshot).turn}

    return search_to_the_end


def stages_of(
    screen: Screen,
    state: Session,
    snapshot: object,
    turn: int,
    note: str,
    image: object,
    text: object,
    method: object,
    *values: object,
) -> Steps[Update]:
    """The answers of one search as they come, each with whether a costly step follows."""
    # Tells the page's script that there are first results, or none to wait for.
    there = {screen.page.shown.turn: snapshots.read(snapshot).turn}
    retriever = screen.content.retriever_for(state)
    settings, notes = settings_of(screen.page.ask, retriever, method, values, state.settings)
    state.inspected_id = ""
    changed, switcher = handlers.change_of(retriever.gallery, state), screen.page.switcher
    line = state_of(screen.content, switcher, state) if changed else {}
    for found in handlers.search(
        retriever,
        state,
        image=image,
        text=text,
        method=method,
        settings=settings,
        notes=[*notes, note, changed],
        turn=turn,
    ):
        yield {**line, **screen.answered(state, found), **there}, bool(found.composed.pending)


def wire_sliders(screen: Screen) -> None:
    """Sliders, presets and the other settings re-rank what was composed; the bar follows in the browser."""
    ask, shown = screen.page.ask, screen.page.shown
    for one, other in competing(screen.content.retriever.composers.values()):
        pair = [ask.sliders[one], ask.sliders[other]]
        pair[0].input(None, pair, pair[1:], js="(moved, other) => recompose.room(moved, other)", **PRIVATE)
    gr.on(
        [slider.change for slider in ask.sliders.values()],
        None,
        [*ask.sliders.values()],
        js=f"(...values) => recompose.shares({json.dumps([*ask.sliders])}, values)",
        **PRIVATE,
    )
    # The script asks for the new order in its turn; whatever is moved until then is one request.
    weighed = [slider.input for slider in ask.sliders.values()]
    gr.on(weighed, None, js="() => recompose.moved(true)", **PRIVATE)
    others = [ask.top_k.input, ask.leave_out.input, shown.at_least.input, shown.fold.input]
    gr.on(others, None, js="() => recompose.moved()", **PRIVATE)
    # Not queued: it is arithmetic alone, and the way through the queue would take longer than the answer.
    rerank_after(screen, shown.bridge.move, queue=False, js="(...given) => recompose.moves(given)")


def wire_narrowing(screen: Screen) -> None:
    """A folder or a span of days was chosen: what was composed is ranked again, among fewer pictures."""
    bounded = wire_bounds(screen.content, screen.page)
    rerank_after(screen, bounded.then)
    bounded.failure(None, js="() => recompose.answered()", **PRIVATE)


def rerank_after(screen: Screen, event: Callable[..., Any], **options: Any) -> None:
    """The same query in another order, without a model, when something has happened."""
    content = screen.content

    def rerank(state: Session, snapshot: object, *values: object) -> Update:
        note = recall_session(content, state, snapshot)
        if note:
            return screen.forgotten(state, note)
        if snapshots.read(snapshot).by_hand:
            state.settings = replace(state.settings, automatic=False)
        if state.composed is None:
            return {screen.page.shown.stage: gr.skip()}
        retriever = content.retriever_for(state)
        settings, _ = settings_of(screen.page.ask, retriever, state.method, values, state.settings)
        return screen.ranked(state, handlers.rerank(retriever, state, settings))

    ranked = event(
        with_problems_shown(rerank, screen.problem),
        [screen.page.session, screen.page.shown.snapshot, *screen.settings],
        screen.outputs,
        **AS_SENT,
        concurrency_limit=None,
        **options,
    )
    then_answered(ranked)


def competing(composers: Iterable[Composer]) -> list[tuple[str, str]]:
    """Pairs of parameters of one method that are shares: what the one takes, the other has to leave."""
    shared = [[p.name for p in composer.parameters if p.part] for composer in composers]
    return list(dict.fromkeys(pair for names in shared for pair in permutations(names, 2)))


def settings_of(
    ask: QueryFields, retriever: Retriever, method: object, values: Sequence[object], before: Settings
) -> tuple[Settings, list[str]]:
    """The settings of a method from what `Screen.settings` sent, with notes.

    Raises:
        BadQuery: one of them cannot be read, or there is no such method.
    """
    sent, rest = ask.split(values)
    parameters = retriever.composers[read_method(retriever.methods, method)].parameters
    return handlers.read_settings(parameters, sent, rest, before.values, automatic=before.automatic)


def wire_acts(screen: Screen) -> None:
    """One listener for all that is clicked or pressed among results, texts and steps."""
    content, shown = screen.content, screen.page.shown

    def act(state: Session, snapshot: object, event: gr.EventData) -> Update:
        note = recall_session(content, state, snapshot)
        if note:
            return screen.forgotten(state, note)
        sent = {name: sent_with(event, name) for name in acts.FIELDS}
        request = acts.Request(content.retriever_for(state), content.text_encoder, state, sent)
        return acts.perform(request).draw(screen, request)

    handler = with_problems_shown(act, screen.problem)
    how: dict[str, Any] = {**EACH, "preprocess": True}
    for way, then in (("submit", "recompose.answered()"), ("view", "")):
        acted = getattr(shown.bridge, way)(
            handler, [screen.page.session, shown.snapshot], screen.outputs_with_fields, **how
        )
        afterwards(acted, f"() => {{ recompose.acted('{way}'); {then} }}")


def wire_fields(page: PageParts) -> None:
    """What the browser fills in by itself: a picked picture, an example, a preset. The script knows what is shown."""
    ask, shown = page.ask, page.shown
    fields = [ask.image, ask.text, *ask.sliders.values(), ask.leave_out]
    shown.bridge.fill(
        None, None, fields, js=f"() => recompose.filled({json.dumps([*ask.sliders])})", **PRIVATE
    )
    ask.image.change(None, [ask.image], None, js="(image) => recompose.pictured(image)", **PRIVATE)
    ask.image.upload(None, [ask.image], [ask.leave_out], js="(image) => recompose.uploaded(image)", **PRIVATE)
    ask.image.clear(None, None, [ask.leave_out], js="() => recompose.cleared()", **PRIVATE)
    ask.image.upload(show_instead, [ask.image], [ask.image], queue=False, **AS_SENT)


def show_instead(image: object) -> Any:
    """What the page shows, and searches with, after an upload that browsers do not show."""
    picture = reference.for_browsers(image)
    if picture is None:
        return gr.skip()
    with folder_beside_uploads() as folder:
        path = folder / "reference.png"
        picture.save(path, compress_level=1)
        return copied_among_uploads(path)
