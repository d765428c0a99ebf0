"""Which event of the Compare tab calls which handler, and where its answer goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import gradio as gr
from anyio import to_thread

from cir.composers.parameters import read_values
from cir.text import clean_text, counted
from cir.ui import pieces
from cir.ui.compare import handlers, render
from cir.ui.compare.handlers import Comparison
from cir.ui.compare.layout import CompareParts, lay_out_compare
from cir.ui.grids import grid, tile
from cir.ui.page import PageContent, PageParts, problem_html, sent_with, with_problems_shown
from cir.ui.reading import read_index, read_method
from cir.ui.search.handlers import Session, caption_of, file_of, in_words
from cir.ui.search.reference import read_reference
from cir.ui.search.screen import numbers, shown_copy
from cir.ui.search.snapshots import recall_session
from cir.ui.server.waiting import Steps, Waiting

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
SESSION_SECONDS = 3600


def lay_out(content: PageContent, page: PageParts) -> None:
    """The Compare tab, wired."""
    state = gr.State(Comparison(), time_to_live=SESSION_SECONDS)
    parts = lay_out_compare(content)
    wire_comparison(content, page, parts, state, wire_query(content, page, parts))
    wire_marks(content, page, parts, state)


def wire_query(content: PageContent, page: PageParts, parts: CompareParts) -> tuple[Any, ...]:
    """When the tab is opened, it shows what the Search tab asks for. The event's handler, inputs and outputs."""

    def opened(session: Session, snapshot: object, image: object, text: object) -> tuple[Any, Any]:
        try:
            recall_session(content, session, snapshot)
            path, _ = read_reference(content.retriever_for(session).gallery, session, image)
            edit, _ = clean_text(text)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return gr.Image(visible=False), problem_html(error)
        shown = (
            gr.Image(value=shown_copy(path), visible=True) if path else gr.Image(value=None, visible=False)
        )
        return shown, render.query_line(edit, path is not None)

    inputs = [page.session, page.shown.snapshot, page.ask.image, page.ask.text]
    event = (opened, inputs, [parts.picture, parts.query])
    page.tab.select(*event, preprocess=False, **QUIET)
    return event


def wire_comparison(
    content: PageContent, page: PageParts, parts: CompareParts, state: gr.State, query_of: tuple[Any, ...]
) -> None:
    """The button composes the query by every chosen method; each column fills as its method comes further."""
    outputs = outputs_of(parts)

    def steps(
        turn: int,
        note: str,
        found: Comparison,
        session: Session,
        image: object,
        text: object,
        chosen: object,
        method: object,
        *sent: object,
    ) -> Steps[dict[Any, Any]]:
        retriever = content.retriever_for(session)
        name = read_method(retriever.methods, method)
        own = (name, read_values(retriever.composers[name].parameters, page.ask.split(sent)[0]))
        stages = handlers.compare(
            retriever,
            session,
            found,
            image=image,
            text=text,
            chosen=chosen,
            sliders=own,
            turn=turn,
            notes=[note] if note else [],
        )
        for _ in stages:
            yield _drawn(content, parts, session, found, _said(found)), found.rest_is_costly
        if found.turn == turn:
            yield _drawn(content, parts, session, found), False

    async def run(
        found: Comparison, session: Session, snapshot: object, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        turn, said = handlers.begin(found), pieces.working("Looking at the query …")
        yield {parts.stage: said}
        try:
            note = await to_thread.run_sync(recall_session, content, session, snapshot)
            wanted = steps(turn, note, found, session, *values)
            came = content.lines.in_turn(wanted, lambda: found.turn == turn)
            async with aclosing(came):
                async for drawn in came:
                    if not isinstance(drawn, Waiting):
                        said = drawn[parts.stage]
                        yield drawn
                    elif drawn.before:
                        waiting = pieces.waiting(drawn.before, first_results=bool(found.composed))
                        yield {parts.stage: waiting}
                    else:  # its turn has come
                        yield {parts.stage: said}
        except Exception as error:  # shown as a sentence; faults are logged under an id
            yield {parts.stage: problem_html(error)}

    ask = page.ask
    # An upload or another act that is under way changes the query: it is waited for, as Search does.
    settled = parts.start.click(None, js="() => recompose.settled()", api_visibility="private")
    looked = settled.then(*query_of, preprocess=False, **QUIET)
    looked.then(
        run,
        [
            state,
            page.session,
            page.shown.snapshot,
            ask.image,
            ask.text,
            parts.methods,
            ask.method,
            *ask.sliders.values(),
        ],
        outputs,
        preprocess=False,
        trigger_mode="multiple",
        concurrency_limit=None,  # they stand in lines of their own
        **QUIET,
    )


def wire_marks(content: PageContent, page: PageParts, parts: CompareParts, state: gr.State) -> None:
    """A click on a result marks it as the picture that was meant; the weights that were found can be searched with."""
    outputs = outputs_of(parts)
    how: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
    ask = page.ask

    def mark(found: Comparison, session: Session, event: gr.EventData) -> dict[Any, Any]:
        ids = found.result_ids[read_index(found.methods, sent_with(event, "column"))]
        handlers.mark(found, read_index(ids, sent_with(event, "place")))
        return _drawn(content, parts, session, found)

    def clear(found: Comparison, session: Session) -> dict[Any, Any]:
        found.marked = ()
        return _drawn(content, parts, session, found)

    def use(found: Comparison, session: Session) -> dict[Any, Any]:
        retriever = content.retriever_for(session)
        judged = handlers.judge(retriever, found)
        if judged is None or judged.fitted is None:
            return {parts.stage: gr.skip()}
        session.intended_id = judged.ids[0]
        return {
            **numbers(content, ask, retriever.composers[judged.weighed], judged.fitted.values),
            ask.method: gr.Dropdown(value=judged.weighed),
            page.tabs: gr.Tabs(selected="search"),
        }

    parts.columns.pick(with_problems_shown(mark, parts.stage), [state, page.session], outputs, **how)
    parts.clear.click(with_problems_shown(clear, parts.stage), [state, page.session], outputs, **QUIET)
    used = parts.use.click(
        with_problems_shown(use, parts.stage),
        [state, page.session],
        [parts.stage, *ask.numbers, ask.method, page.tabs],
        **QUIET,
    )
    used.then(None, js="() => recompose.searchNow()", api_visibility="private")


def outputs_of(parts: CompareParts) -> list[Any]:
    """What `_drawn` answers for."""
    return [parts.stage, parts.judged, parts.buttons, parts.columns]


def _drawn(
    content: PageContent, parts: CompareParts, session: Session, found: Comparison, stage: str | None = None
) -> dict[Any, Any]:
    """The whole comparison as it stands; without a stage line, what was noticed about the query."""
    said = pieces.notes_list(found.notes) if stage is None else stage
    panel, buttons = _judged(content, session, found)
    columns = _columns(content, session, found)
    return dict(zip(outputs_of(parts), (said, panel, buttons, columns), strict=True))


def _said(found: Comparison) -> str:
    done = sum(
        m in found.problems or (m in found.composed and not found.composed[m].pending) for m in found.methods
    )
    return pieces.working(f"Done: {done} of {counted(len(found.methods), 'method')} …")


def _judged(content: PageContent, session: Session, found: Comparison) -> tuple[Any, Any]:
    """(panel, buttons) as they stand now."""
    gallery = content.retriever_for(session).gallery
    judged = handlers.judge(content.retriever_for(session), found)
    names = {i: in_words(gallery, i) for i in judged.ids} if judged else {}
    panel = render.judged_panel(judged, names, len(gallery.image_ids))
    return panel, gr.Row(visible=judged is not None)


def _columns(content: PageContent, session: Session, found: Comparison) -> str:
    """Every column as it stands now, side by side."""
    retriever, columns = content.retriever_for(session), []
    for number, method in enumerate(found.methods):
        shown = handlers.column(retriever, found, method)
        moves = shown.moves or tuple(None for _ in shown.results)
        tiles = [
            tile(
                retriever.gallery,
                r.image_id,
                render.result_words(
                    r.rank, move, retriever.gallery.note(r.image_id), r.image_id in found.marked
                ),
                caption=caption_of(retriever.gallery, r.image_id),
                file=file_of(retriever.gallery, r.image_id),
            )
            for r, move in zip(shown.results, moves, strict=True)
        ]
        columns.append((render.column_head(shown, found.methods[0]), grid(tiles, column=number)))
    return render.columns(columns)
