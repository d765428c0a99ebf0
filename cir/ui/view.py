"""Which event of the page calls which handler, and where its answer goes. Nothing is computed here.

Every event of the page is private; programs have `/search` and `/rank` (`cir.ui.programs`). Values are handed
over as they were sent (`preprocess=False`; uploads are still checked to be uploads), because the handlers
check them and say in words what is wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.gallery.manifest import THUMBNAILS
from cir.ui import compare, galleries, handlers, render, results, triplets
from cir.ui.galleries.switcher import (
    Switcher,
    lay_out_switcher,
    narrowing_events,
    state_of,
    wire_switcher,
)
from cir.ui.handlers import Session, read_settings
from cir.ui.layout import Ask, PageContent, PageParts, Shown, html_piece, lay_out_ask, lay_out_shown
from cir.ui.pictures import serve_folder
from cir.ui.programs import serve_programs
from cir.ui.reading import read_method
from cir.ui.search.screens import (
    answer_outputs,
    answer_screen,
    grid_pictures,
    rerank_outputs,
    rerank_screen,
    sliders,
    told,
)
from cir.ui.search.wiring import QUIET, open_link_with, query_fields, wire_acts
from cir.ui.waiting import Steps, Waiting

SESSION_SECONDS = 3600
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}  # for what takes less than the way through the queue
LOOKING, LOADING = "Looking at the query …", "Loading the models; this takes some seconds after a start …"
# Sliders take longest to be built: the fold that holds them opens once one can type, and stays closed on phones.
_UNFOLD = "() => recompose.isPhone() ? {__type__: 'update'} : {open: true, __type__: 'update'}"


# The tabs after Search, in their order: title -> what lays one out and wires it. One folder of `cir.ui` each.
TABS: dict[str, Callable[[PageContent, PageParts], None]] = {
    "Galleries": galleries.lay_out,
    "Compare": compare.lay_out,
    "Triplets": triplets.lay_out,
    "Results": results.lay_out,
}


def build_page(content: PageContent) -> gr.Blocks:
    """The whole page, wired, not yet launched. The thumbnails' folder is the only one that is served."""
    gallery = content.retriever.gallery
    serve_thumbnails(gallery)
    if content.shelf is not None:
        content.shelf.watch(serve_thumbnails)
    with gr.Blocks(
        title="Recompose", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)
    ) as page:
        first = Session()
        pictures = browse_with(content)(first)  # part of the page: no event has to be waited for
        session = gr.State(first, time_to_live=SESSION_SECONDS)
        head = html_piece(render.header(content.gallery_title or gallery.name, len(gallery.image_ids)))
        html_piece(render.missing_banner(content.missing), visible=bool(content.missing))
        html_piece(render.notes_list(gallery.notes), visible=bool(gallery.notes))
        with gr.Tabs(selected="search", elem_id="tabs") as tabs:
            with gr.Tab("Search", id="search") as tab:
                switcher = lay_out_switcher(head)
                with gr.Row(elem_id="work"):
                    ask = lay_out_ask(content)
                    shown = lay_out_shown(content, pictures)
            parts = PageParts(tab, tabs, session, ask, shown, switcher)
            for title, lay_out in TABS.items():
                with gr.Tab(title, id=title.lower()) as tab:
                    lay_out(content, replace(parts, tab=tab))
        html_piece(render.about_models(content.facts), visible=bool(content.facts))
        wire_search(content, session, ask, shown)
        wire_weights(content, session, ask, shown)
        wire_switcher(content, parts)
        wire_narrowing(content, session, ask, shown, switcher)
        wire_own_picture(session, ask)
        wire_acts(content, session, ask, shown)
        serve_programs(content, session, ask)
        linked = page.load(
            open_link_with(content, ask, shown),
            [session],
            [*query_fields(ask, shown), shown.stage, head],
            **AT_ONCE,
        )
        linked.then(browse_with(content, unless_shown=True), [session], [shown.grid], **AT_ONCE)
        linked.then(lambda state: state_of(content, state), [session], switcher.outputs, **AT_ONCE)
        linked.then(None, js="() => recompose.searchLinked()", api_visibility="private")
        page.load(None, None, [ask.weights_fold], js=_UNFOLD, api_visibility="private")
    return page


def serve_thumbnails(gallery: Gallery) -> None:
    """Allow the folders of the thumbnails, which the program wrote itself, to be served; no originals."""
    if gallery.folder is not None and not gallery.packed:
        folders = {gallery.folder / THUMBNAILS}
    else:
        folders = {Path(gallery.thumbnail_path(image_id)).parent for image_id in gallery.image_ids[:1]}
    for folder in folders:
        serve_folder(folder)


def wire_search(content: PageContent, session: gr.State, ask: Ask, shown: Shown) -> None:
    """Enter, the button and every example start the same search, whose answers come in stages."""
    outputs = answer_outputs(shown)
    untouched = tuple(gr.skip() for _ in outputs)

    def steps(
        state: Session, turn: int, image: object, text: object, method: object, *values: object
    ) -> Steps[tuple[Any, ...]]:
        settings, notes = read_settings(values, state.settings.weights)
        state.inspected_id = ""
        stages = handlers.search(
            content.retriever_for(state),
            state,
            image=image,
            text=text,
            method=method,
            settings=settings,
            notes=notes,
            turn=turn,
        )
        for found in stages:
            yield answer_screen(content, state, found), bool(found.composed.pending)

    def search_if(meant: Callable[[Session], bool]) -> Callable[..., AsyncIterator[tuple[Any, ...]]]:
        async def run(state: Session, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
            if not meant(state):
                yield untouched
                return
            turn, stage = handlers.begin(state), ""
            yield (render.working(LOOKING if content.ready() else LOADING), *untouched[1:])
            answers = content.lines.in_turn(steps(state, turn, *values), lambda: state.searches == turn)
            try:
                async with aclosing(answers):
                    async for answer in answers:
                        if not isinstance(answer, Waiting):
                            stage = answer[0]
                            yield answer
                        elif answer.before:
                            yield (render.waiting(answer.before, first_results=bool(stage)), *untouched[1:])
                        else:  # its turn has come
                            yield (stage or render.working(LOOKING), *untouched[1:])
            except Exception as error:  # shown as a sentence; faults are logged under an id
                yield (told(error), *untouched[1:])
            # What a finished generator said last is sent once more: after a newer search, that has to be nothing.
            yield untouched

        return run

    def own(state: Session) -> bool:
        """A search of the person's own: no image is meant to be found by it."""
        state.intended_id = ""
        return True

    inputs = [session, *query_fields(ask, shown)]
    how: dict[str, Any] = {
        **QUIET,
        "preprocess": False,
        "trigger_mode": "multiple",
        "concurrency_limit": None,  # they stand in lines of their own
    }
    asked = [ask.text.submit, ask.search.click]
    gr.on(asked, search_if(own), inputs, outputs, **how)
    ask.filled.click(search_if(lambda _: True), inputs, outputs, **how)
    gr.on([*asked, ask.filled.click], None, js="() => recompose.showAnswer()", api_visibility="private")

    def choose(state: Session, method: object) -> list[Any]:
        """Another method: its own sliders, where it has some."""
        try:
            retriever = content.retriever_for(state)
            return sliders(retriever, read_method(retriever.methods, method))
        except CirError:  # the search that follows says it in words
            return [gr.skip() for _ in range(3)]

    moved = [ask.alpha, ask.beta, ask.gamma]
    chosen = ask.method.input(choose, [session, ask.method], moved, **{**QUIET, "preprocess": False})
    # The query on the screen is asked again, if there is one.
    chosen.then(search_if(lambda state: state.composed is not None), inputs, outputs, **how)


def wire_weights(content: PageContent, session: gr.State, ask: Ask, shown: Shown) -> None:
    """Sliders, presets and the other settings re-rank what was composed; the bar follows in the browser."""
    outputs = rerank_outputs(shown)
    inputs = [session, *ask.settings, shown.at_least, shown.fold]
    how: dict[str, Any] = {
        **QUIET,
        "preprocess": False,
        "trigger_mode": "always_last",
        "concurrency_limit": None,
        "queue": False,  # arithmetic alone: the way through the queue would take longer than the answer
    }
    shares = [ask.alpha, ask.beta]
    room: dict[str, Any] = {
        "js": "(moved, other) => recompose.room(moved, other)",
        "api_visibility": "private",
    }
    ask.alpha.input(None, [ask.alpha, ask.beta], [ask.beta], **room)
    ask.beta.input(None, [ask.beta, ask.alpha], [ask.alpha], **room)
    gr.on(
        [ask.alpha.change, ask.beta.change],
        None,
        shares,
        js="(a, b) => recompose.shares(a, b)",
        api_visibility="private",
    )
    # One listener for all of them: two would answer in any order, and the older answer might stay.
    moved = [ask.alpha.input, ask.beta.input, ask.gamma.input, ask.top_k.input, ask.leave_out.input]
    moved += [shown.at_least.input, shown.fold.input]
    gr.on(moved, rerank_with(content), inputs, outputs, **how)


def wire_narrowing(
    content: PageContent, session: gr.State, ask: Ask, shown: Shown, switcher: Switcher
) -> None:
    """A folder or a span of days was chosen: what was composed is ranked again, among fewer pictures."""
    inputs = [session, *ask.settings, shown.at_least, shown.fold]
    how: dict[str, Any] = {**QUIET, "preprocess": False, "concurrency_limit": None}
    for bounded in narrowing_events(content, session, switcher):
        bounded.then(rerank_with(content), inputs, rerank_outputs(shown), **how)


def rerank_with(content: PageContent) -> Callable[..., tuple[Any, ...]]:
    """The handler of a moved weight: same query, new order, no model."""

    def rerank(state: Session, *values: object) -> tuple[Any, ...]:
        if state.composed is None:
            return tuple(gr.skip() for _ in range(5))
        try:
            settings, _ = read_settings(values, state.settings.weights)
            found = handlers.rerank(
                content.retriever_for(state),
                state,
                weights=settings.weights,
                top_k=settings.top_k,
                leave_out=settings.leave_out_reference,
                at_least=settings.at_least,
                fold=settings.fold,
            )
            return rerank_screen(content, state, found)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return gr.skip(), told(error), gr.skip(), gr.skip(), gr.skip()

    return rerank


def browse_with(content: PageContent, *, unless_shown: bool = False) -> Callable[[Session], Any]:
    """The handler that shows the gallery's pictures to pick from."""

    def show(state: Session) -> Any:
        try:
            gallery, before = content.retriever_for(state).gallery, state.browsed_ids
            ids = handlers.browse(gallery, state)
            return gr.skip() if unless_shown and ids == before else grid_pictures(gallery, ids)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return told(error)

    return show


def wire_own_picture(session: gr.State, ask: Ask) -> None:
    """An own picture takes the place of one that was picked from the gallery."""

    def own_picture(state: Session) -> Any:
        state.picked_id = ""
        return gr.Checkbox(visible=False)

    gr.on([ask.image.upload, ask.image.clear], own_picture, [session], [ask.leave_out], **QUIET)
