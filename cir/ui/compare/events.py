"""Which event of the Compare tab calls which handler, and where its answer goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import gradio as gr
from anyio import to_thread

from cir.composers.parameters import read_values
from cir.text import clean_text, counted
from cir.ui import pieces
from cir.ui.compare import handlers, render
from cir.ui.compare.handlers import Comparison
from cir.ui.compare.layout import CompareParts
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.reading import read_method
from cir.ui.search.reference import read_reference
from cir.ui.search.screen import new_methods, numbers
from cir.ui.search.snapshots import recall_session
from cir.ui.server.gradio_private import copied_among_uploads
from cir.ui.server.waiting import Steps
from cir.ui.session import Session
from cir.ui.wiring import (
    EACH,
    PRIVATE,
    QUIET,
    Update,
    answers_in_turn,
    problem_html,
    remembered,
    sent_with,
    then_answered,
    with_problems_shown,
)

LOOKING = "Looking at the query …"
_SETTLED = "() => recompose.settled()"


def lay_out(content: PageContent, page: PageParts) -> None:
    """The Compare tab, wired."""
    state = remembered(Comparison())
    parts = CompareParts(content)
    show_query = wire_query(content, page, parts)
    wire_comparison(content, page, parts, state, show_query)
    wire_marks(content, page, parts, state)


def wire_query(content: PageContent, page: PageParts, parts: CompareParts) -> dict[str, Any]:
    """When the tab is opened, it shows what the Search tab asks for. The event, to be used again."""

    def show(session: Session, snapshot: object, image: object, text: object) -> Update:
        recall_session(content, session, snapshot)
        path, _ = read_reference(content.retriever_for(session).gallery, session, image)
        edit, _ = clean_text(text)
        picture = gr.Image(value=copied_among_uploads(path) if path else None, visible=path is not None)
        return {
            parts.picture: picture,
            parts.query: render.query_line(edit, path is not None),
            parts.methods: gr.update(**new_methods(content, parts.methods)),
        }

    def problem(error: Exception, *_: object) -> Update:
        return {parts.picture: gr.Image(visible=False), parts.query: problem_html(error)}

    event: dict[str, Any] = {
        "fn": with_problems_shown(show, problem),
        "inputs": [page.session, page.shown.snapshot, page.ask.image, page.ask.text],
        "outputs": [parts.picture, parts.query, parts.methods],
        "preprocess": False,
        **QUIET,
    }
    page.tab.select(**event)
    return event


def wire_comparison(
    content: PageContent,
    page: PageParts,
    parts: CompareParts,
    state: gr.State,
    show_query: dict[str, Any],
) -> None:
    """The button composes the query by every chosen method; each column fills as its method comes further."""

    def stages(
        turn: int,
        note: str,
        found: Comparison,
        session: Session,
        image: object,
        text: object,
        chosen: object,
        method: object,
        *sent: object,
    ) -> Steps[Update]:
        retriever = content.retriever_for(session)
        name = read_method(retriever.methods, method)
        own = read_values(retriever.composers[name].parameters, page.ask.split(sent)[0])
        for _ in handlers.compare(
            retriever,
            session,
            found,
            image=image,
            text=text,
            chosen=chosen,
            sliders=None if session.settings.automatic else (name, own),
            turn=turn,
            notes=[note] if note else [],
        ):
            done = pieces.working(f"Done: {found.done} of {counted(len(found.methods), 'method')} …")
            yield comparison_shown(content, parts, session, found, done), found.rest_is_costly
        if found.turn == turn:
            yield comparison_shown(content, parts, session, found), False

    async def compare(
        found: Comparison, session: Session, snapshot: object, *values: Any
    ) -> AsyncIterator[Update]:
        turn = handlers.begin(found)
        yield {parts.stage: pieces.working(LOOKING)}
        note = await to_thread.run_sync(recall_session, content, session, snapshot)
        steps = stages(turn, note, found, session, *values)
        answers = content.lines.in_turn(steps, lambda: found.turn == turn)
        async with aclosing(answers_in_turn(answers, parts.stage, LOOKING)) as came:
            async for answer in came:
                yield answer

    ask = page.ask
    inputs = [state, page.session, page.shown.snapshot, ask.image, ask.text, parts.methods, ask.method]
    # An upload or another act that is under way changes the query: it is waited for, as Search does.
    settled = parts.start.click(None, js=_SETTLED, **PRIVATE)
    settled.then(**show_query).then(
        with_problems_shown(compare, parts.stage),
        [*inputs, *ask.sliders.values()],
        parts.filled,
        **EACH,
    )


def wire_marks(content: PageContent, page: PageParts, parts: CompareParts, state: gr.State) -> None:
    """A click on a result marks it as the picture that was meant; the weights that were found can be searched with."""
    inputs, ask = [state, page.session], page.ask

    def mark(found: Comparison, session: Session, event: gr.EventData) -> Update:
        handlers.mark(found, sent_with(event, "id"))
        return comparison_shown(content, parts, session, found)

    def clear(found: Comparison, session: Session) -> Update:
        found.marked = ()
        return comparison_shown(content, parts, session, found)

    def search_with_weights(found: Comparison, session: Session) -> Update:
        retriever = content.retriever_for(session)
        judged = handlers.judged(retriever, found)
        if judged is None or judged.fitted is None:
            return {parts.stage: gr.skip()}
        session.intended_id = judged.ids[0]
        session.settings = replace(session.settings, automatic=False)
        return {
            **numbers(content, ask, retriever.composers[judged.weighed], judged.fitted.values),
            ask.method: gr.Dropdown(value=judged.weighed),
            page.tabs: gr.Tabs(selected="search"),
        }

    marked = page.shown.bridge.mark(
        with_problems_shown(mark, parts.stage), inputs, parts.filled, trigger_mode="multiple", **QUIET
    )
    then_answered(marked)
    # A mark that is under way comes first.
    parts.clear.click(None, js=_SETTLED, **PRIVATE).then(
        with_problems_shown(clear, parts.stage), inputs, parts.filled, **QUIET
    )
    used = parts.use.click(None, js=_SETTLED, **PRIVATE).then(
        with_problems_shown(search_with_weights, parts.stage),
        inputs,
        [parts.stage, *ask.numbers, ask.method, page.tabs],
        **QUIET,
    )
    used.then(None, js="() => recompose.searchNow()", **PRIVATE)


def comparison_shown(
    content: PageContent, parts: CompareParts, session: Session, found: Comparison, stage: str | None = None
) -> Update:
    """The whole comparison as it stands; without a stage line, what was noticed about the query."""
    retriever = content.retriever_for(session)
    judged = handlers.judged(retriever, found)
    columns = [handlers.column(retriever, found, method) for method in found.methods]
    return {
        parts.stage: pieces.notes_list(found.notes) if stage is None else stage,
        parts.judged: render.judged_panel(judged, retriever.gallery),
        parts.buttons: gr.Row(visible=judged is not None),
        parts.use: gr.Button(visible=judged is not None and judged.fitted is not None),
        parts.columns: render.columns(columns, found.marked, retriever.gallery),
    }
