"""Which event of the triplet tab calls which handler, and where its answer goes. Nothing is computed here.

Values are handed over as they were sent (`preprocess=False`) and checked by `reading`. Handlers answer by component.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from cir.errors import BadQuery
from cir.gallery.searchable import Searchable
from cir.syncir.judgements import ACCEPTED, REJECTED
from cir.syncir.library import TripletLibrary
from cir.syncir.table import SORTS
from cir.types import TrainingStep
from cir.ui import pieces
from cir.ui.page import PageContent, PageParts, html_piece, problem_html, sent_with, with_problems_shown
from cir.ui.reading import read_upload
from cir.ui.search.screen import numbers
from cir.ui.server.pictures import address_of
from cir.ui.server.waiting import Steps, Waiting
from cir.ui.session import Session
from cir.ui.triplets import handlers, render
from cir.ui.triplets.funnel import funnel, reason_words
from cir.ui.triplets.handlers import TripletSession
from cir.ui.triplets.layout import PAPER, STOP, TripletParts
from cir.ui.triplets.reading import (
    PAGE_SIZES,
    read_choice,
    read_cosine,
    read_filters,
    read_shown,
    read_thresholds,
)

SESSION_SECONDS = 3600
# What is done while an answer is on its way is done as well: it says what it is about.
EACH: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "preprocess": False,
    "concurrency_limit": None,
    "trigger_mode": "multiple",
}
LATEST = {**EACH, "trigger_mode": "always_last"}  # of what is moved or typed only the last counts
_TO_CLOSER = "() => recompose.isPhone() && document.querySelector('#triplet')?.scrollIntoView()"
_SEARCH_WITH = "(query) => query && recompose.searchWith(JSON.parse(query))"
_DOWNLOAD = "() => setTimeout(() => document.querySelector('a#triplets-download, #triplets-download a, #triplets-download')?.click(), 60)"
Answer = dict[Any, Any]  # by component


def lay_out(content: PageContent, page: PageParts) -> None:
    """The triplet tab; a sentence with the way out where the page has no triplets."""
    if content.triplets is None:
        html_piece(render.line("This page was started without triplets. Start it with: python app.py"))
        return
    parts = TripletParts(content.triplets.cannot_generate(), can_train=content.train is not None)
    state = gr.State(TripletSession(), time_to_live=SESSION_SECONDS)
    tab = _Tab(content, content.triplets, page, parts, state)
    for wire in (
        wire_files,
        wire_downloads,
        wire_list,
        wire_thresholds,
        wire_closer,
        wire_search,
        wire_generating,
        wire_training,
    ):
        wire(tab)


@dataclass(frozen=True, slots=True)
class _Tab:
    """What all events need: the content, the triplets, the components, and what the server remembers of a visitor."""

    content: PageContent
    library: TripletLibrary
    page: PageParts
    parts: TripletParts
    state: gr.State

    @property
    def inputs(self) -> list[Any]:
        """The first inputs of each handler: the sessions of this tab and of the page."""
        return [self.state, self.page.session]

    def searched(self, session: Session) -> Searchable:
        """What this visitor searches."""
        return self.content.retriever_for(session).gallery

    def drawn(self, state: TripletSession, session: Session, *, with_funnel: bool = False) -> Answer:
        """The list and the triplet that is looked at, as they stand now."""
        p, searched = self.parts, self.searched(session)
        made_from = handlers.open_table(self.library, state).gallery
        gallery = handlers.pictured(self.content.shelf, searched, made_from)
        page = handlers.show(self.library, state, gallery)
        seen = handlers.closer(self.library, state, gallery)
        verdict = seen.card.judgement.verdict if seen else ""
        answer = {
            p.stage: "",
            p.where: render.where(page),
            p.cards: render.cards(page),
            p.closer: render.closer(seen),
            p.on_screen: seen.card.shown.as_json() if seen else "",
            p.details: render.details(seen),
            p.accept: gr.Button("Accepted" if verdict == ACCEPTED else "Accept"),
            p.reject: gr.Button("Rejected" if verdict == REJECTED else "Reject"),
        }
        if with_funnel:
            answer[p.funnel] = funnel(handlers.funnel(self.library, state, searched))
        text = (seen.card.shown.key, seen.card.shown.row, seen.card.text) if seen else None
        if (
            text != state.text_shown
        ):  # what is being typed stays until it is saved, or there is another triplet
            state.text_shown = text
            answer[p.text] = text[2] if text else ""
        if state.reset:
            state.reset, wanted = False, state.filters
            values = [wanted.verdict, wanted.reason, wanted.low, wanted.high, wanted.words, state.sort]
            answer |= zip([*p.filters, p.sort], values, strict=True)
        return answer

    def drawing(self, act: Callable[..., object], *, with_funnel: bool = False) -> Callable[..., Answer]:
        """A handler that lets `act` change the session, and shows what it leads to."""

        def answer(state: TripletSession, session: Session, *values: Any) -> Answer:
            act(state, *values)
            return self.drawn(state, session, with_funnel=with_funnel)

        return with_problems_shown(answer, self.parts.stage)

    def files(self, state: TripletSession) -> gr.Dropdown:
        """All files as they are called now, with the one that is looked at."""
        return gr.Dropdown([(file.title, file.key) for file in self.library.files()], value=state.key)


def wire_files(tab: _Tab) -> None:
    """Opening the tab, choosing a file, bringing one."""
    p, library = tab.parts, tab.library
    outputs = [p.file, *p.thresholds, *p.drawn]

    def opened(state: TripletSession, session: Session, key: object) -> Answer:
        handlers.choose(library, state, key)
        limits = state.thresholds
        # At a threshold that none reaches: all reasons that there could be.
        reasons = handlers.open_table(library, state).reasons(2.0)
        choices = [("Any", ""), *((reason_words(reason), reason) for reason in reasons)]
        return {
            **tab.drawn(state, session, with_funnel=True),
            p.stage: render.line(library.cannot_generate()),
            p.reason: gr.Dropdown(choices, value=""),
            p.file: tab.files(state),
            p.consistency: limits.consistency,
            p.near_duplicate: limits.near_duplicate,
            p.gap: limits.gap,
        }

    def first(state: TripletSession, session: Session) -> Answer:
        if state.key:
            return {p.stage: gr.skip()}
        found = library.files()
        if not found:
            missing = library.cannot_generate() or "Make some with “Generate 20 more”."
            return {p.stage: render.line(f"There are no triplets here yet. {missing}")}
        return opened(state, session, found[0].key)

    def brought(state: TripletSession, session: Session, upload: object) -> Answer:
        path = read_upload(upload)
        if path is None:
            raise BadQuery("No file arrived.", "Choose a .json or .jsonl file.")
        return opened(state, session, library.take_in(path))

    for asked, handler, sent, how in (
        (tab.page.tab.select, first, [], EACH),
        (p.file.input, opened, [p.file], LATEST),
        (p.upload.upload, brought, [p.upload], EACH),
    ):
        asked(with_problems_shown(handler, p.stage), [*tab.inputs, *sent], outputs, **how)


def wire_downloads(tab: _Tab) -> None:
    """The file that the page shows, judged by the threshold that it shows: written aside, handed over, removed."""
    p = tab.parts

    def exporting(schema: str, name: str) -> Callable[..., Iterator[Answer]]:
        def export(key: object, consistency: object) -> Iterator[Answer]:
            if not isinstance(key, str) or not key:
                raise BadQuery("There is nothing to download yet.", "Choose a file of triplets first.")
            with tempfile.TemporaryDirectory(prefix="recompose-") as folder:
                out = Path(folder) / name
                tab.library.export(key, read_cosine("The lowest score", consistency), schema, out)
                yield {p.download: str(out), p.stage: ""}

        return with_problems_shown(export, p.stage)

    for button, schema, name in (
        (p.export_jsonl, "jsonl", "triplets.jsonl"),
        (p.export_cirr, "cirr", "triplets-cirr.json"),
    ):
        sent, outputs = [p.file, p.consistency], [p.download, p.stage]
        written = button.click(exporting(schema, name), sent, outputs, **EACH)
        written.success(None, js=_DOWNLOAD, api_visibility="private")


def wire_list(tab: _Tab) -> None:
    """Filters, order, pages, and a click on a card or on an arrow of a group."""
    p, library, outputs = tab.parts, tab.library, tab.parts.drawn

    def narrow(state: TripletSession, *values: Any) -> None:
        filters, sort = read_filters(*values[:5]), read_choice("order", values[5], SORTS)
        handlers.narrow(state, filters, sort, read_choice("length of a page", values[6], PAGE_SIZES))

    def picked(state: TripletSession, session: Session, event: gr.EventData) -> Answer:
        handlers.pick(library, state, read_shown(sent_with(event, "triplet")))
        return tab.drawn(state, session)

    changed = [c.input for c in (p.verdict, p.reason, p.low, p.high, p.sort, p.page_size)]
    changed.append(p.words.change)  # a pasted word is no input to a text field
    fields = [*tab.inputs, *p.filters, p.sort, p.page_size]
    gr.on(changed, tab.drawing(narrow), fields, outputs, **LATEST)
    for button, by in ((p.page_back, -1), (p.page_on, 1)):
        turn = tab.drawing(lambda state, by=by: handlers.arrange(library, state, turn=by))
        button.click(turn, tab.inputs, outputs, **EACH)
    pick = with_problems_shown(picked, p.stage)
    p.cards.pick(pick, tab.inputs, outputs, **EACH).then(None, js=_TO_CLOSER, api_visibility="private")
    p.details.pick(pick, tab.inputs, outputs, **EACH)


def wire_thresholds(tab: _Tab) -> None:
    """Sliders judge anew what is stored, and count anew what there would be."""
    p = tab.parts

    def move(state: TripletSession, *values: Any) -> None:
        state.thresholds = read_thresholds(*values)

    moved, inputs = tab.drawing(move, with_funnel=True), [*tab.inputs, *p.thresholds]
    sliders = [p.consistency.input, p.near_duplicate.input, p.gap.input]
    gr.on(sliders, moved, inputs, p.drawn, **LATEST)
    paper = (PAPER.consistency, PAPER.near_duplicate, PAPER.gap)
    p.paper.click(lambda: paper, None, p.thresholds, **EACH).then(moved, inputs, p.drawn, **EACH)


def wire_closer(tab: _Tab) -> None:
    """What is done with the triplet that the page shows closely."""
    p, library = tab.parts, tab.library
    about = [*tab.inputs, p.on_screen]

    def judging(verdict: str) -> Callable[..., Answer]:
        def judge(state: TripletSession, on_screen: object) -> None:
            handlers.judge(library, state, read_shown(on_screen), verdict)

        return tab.drawing(judge, with_funnel=True)

    def edit(state: TripletSession, on_screen: object, text: object) -> None:
        handlers.edit(library, state, read_shown(on_screen), text)

    for button, by in ((p.previous, -1), (p.following, 1)):
        step = tab.drawing(lambda state, by=by: handlers.step(library, state, by))
        button.click(step, tab.inputs, p.drawn, **EACH)
    for button, verdict in ((p.accept, ACCEPTED), (p.reject, REJECTED)):
        button.click(judging(verdict), about, p.drawn, **EACH)
    saved = tab.drawing(edit, with_funnel=True)
    gr.on([p.save.click, p.text.submit], saved, [*about, p.text], p.drawn, **EACH)


def wire_search(tab: _Tab) -> None:
    """The triplet that the page shows becomes the query of the Search tab, which then says where its target is."""
    p, tabs = tab.parts, tab.page.tabs

    def fill(session: Session, on_screen: object) -> Answer:
        triplet, text = handlers.reference_of(tab.library, read_shown(on_screen))
        gallery = tab.searched(session)
        gallery.label(triplet.target_id)  # an unknown target could not be found
        address = address_of(gallery.thumbnail_path(triplet.reference_id))
        session.intended_id = triplet.target_id
        query = {"id": triplet.reference_id, "address": address, "text": text}
        return {p.stage: "", tabs: gr.Tabs(selected="search"), p.query: json.dumps(query)}

    sent = [tab.page.session, p.on_screen]
    filled = p.search.click(with_problems_shown(fill, p.stage), sent, [p.stage, tabs, p.query], **EACH)
    filled.then(None, [p.query], js=_SEARCH_WITH, api_visibility="private")


def wire_generating(tab: _Tab) -> None:
    """SynCir itself, a few triplets at a time, until it is done or stopped."""
    p, library, lines = tab.parts, tab.library, tab.content.lines
    # Updates, as a component that is made here would stand on the page.
    begun = {p.generate: gr.update(interactive=False), p.stop: gr.update(visible=True)}
    ended = {p.generate: gr.update(interactive=True), p.stop: gr.update(visible=False)}
    looking = pieces.working("Looking for pairs …")

    def steps(
        state: TripletSession, session: Session, key: object, *thresholds: object
    ) -> Steps[tuple[int, Answer]]:
        if key:  # its choice may be on its way still
            handlers.choose(library, state, key)
        state.thresholds = read_thresholds(*thresholds)
        for made in handlers.generate(library, state, tab.searched(session)):
            drawn = tab.drawn(state, session, with_funnel=True)
            # The file that they go to is chosen in the list from the first step on.
            file = {} if made.triplet else {p.file: tab.files(state)}
            yield (made.done, {**begun, **file, **drawn, p.stage: render.progress(made)}), True

    async def generate(state: TripletSession, session: Session, *shown: object) -> AsyncIterator[Answer]:
        state.stopping, done = False, 0
        yield {**begun, p.stop: gr.Button(STOP, interactive=True, visible=True), p.stage: looking}
        wanted = steps(state, session, *shown)
        async with aclosing(lines.in_turn(wanted, lambda: not state.stopping, lines=[lines.long])) as made:
            async for step in made:
                if not isinstance(step, Waiting):
                    done, answer = step
                    yield answer
                elif step.before:
                    yield {**begun, p.stage: pieces.waiting(step.before, first_results=False)}
                else:  # its turn has come
                    yield {**begun, p.stage: looking}
        stopped = {p.stage: render.stopped(done)} if state.stopping else {}
        yield {**ended, p.file: tab.files(state), **stopped}

    def failed(error: Exception, *_: object) -> Answer:
        return {**ended, p.stage: problem_html(error)}

    def stop(state: TripletSession) -> gr.Button:
        """The button says it: this answer may come after the last one of the making, whose line stays."""
        state.stopping = True
        return gr.Button("Stopping after this pair …", interactive=False)

    outputs = [p.generate, p.stop, p.file, *p.drawn]
    inputs, once = [*tab.inputs, p.file, *p.thresholds], {**EACH, "trigger_mode": "once"}
    p.generate.click(with_problems_shown(generate, failed), inputs, outputs, **once)
    p.stop.click(stop, [tab.state], [p.stop], **EACH)


def wire_training(tab: _Tab) -> None:
    """A network is trained on the triplets that are kept, until its time is up or it is stopped; then it can be searched with."""
    content, train_on = tab.content, tab.content.train
    if train_on is None:
        return
    p, library, lines, ask = tab.parts, tab.library, content.lines, tab.page.ask
    begun = {p.train: gr.update(interactive=False), p.use: gr.update(visible=False)}
    ended = {p.train: gr.update(interactive=True), p.stop_training: gr.update(visible=False)}

    def steps(state: TripletSession, session: Session, key: object, *thresholds: object) -> Steps[Answer]:
        if key:  # its choice may be on its way still
            handlers.choose(library, state, key)
        state.thresholds = read_thresholds(*thresholds)
        made_from = handlers.open_table(library, state).gallery
        gallery = handlers.pictured(content.shelf, tab.searched(session), made_from)
        for step in handlers.train(library, state, gallery, train_on):
            if isinstance(step, TrainingStep):
                yield {p.trained: render.training(step)}, True
                continue
            methods = gr.update(choices=pieces.method_choices(content.retriever.methods))
            offered = {ask.method: methods, p.use: gr.update(visible=True)}
            yield {**ended, **offered, p.trained: render.trained(step)}, True

    async def train(state: TripletSession, session: Session, *shown: object) -> AsyncIterator[Answer]:
        state.training_stopped, state.trained = False, ""
        stop = gr.update(interactive=True, visible=True, value=STOP)
        yield {**begun, p.stop_training: stop, p.trained: pieces.working("Looking at the triplets …")}
        wanted = steps(state, session, *shown)
        async with aclosing(
            lines.in_turn(wanted, lambda: not state.training_stopped, lines=[lines.long])
        ) as made:
            async for step in made:
                if not isinstance(step, Waiting):
                    yield step
                elif step.before:
                    yield {p.trained: pieces.waiting(step.before, first_results=False)}
        if not state.trained:  # else all is said: of two answers at once, a button may not hear the first one
            yield {**ended, p.trained: render.line(render.TRAINING_STOPPED)}

    def failed(error: Exception, *_: object) -> Answer:
        return {**ended, p.trained: problem_html(error)}

    def stop(state: TripletSession) -> gr.Button:
        state.training_stopped = True
        return gr.Button("Stopping after this step …", interactive=False)

    def use(state: TripletSession, session: Session) -> Answer:
        """The network that was made is the method of the next search."""
        composers = content.retriever_for(session).composers
        if state.trained not in composers:
            raise BadQuery("That network is not here any more.", "Train it again.")
        method = gr.update(value=state.trained, choices=list(composers))
        tabs = gr.Tabs(selected="search")
        return {
            **numbers(content, ask, composers[state.trained]),
            ask.method: method,
            tab.page.tabs: tabs,
            p.trained: gr.skip(),
        }

    once = {**EACH, "trigger_mode": "once"}
    outputs = [p.train, p.stop_training, p.use, p.trained, ask.method]
    inputs = [*tab.inputs, p.file, *p.thresholds]
    p.train.click(with_problems_shown(train, failed), inputs, outputs, **once)
    p.stop_training.click(stop, [tab.state], [p.stop_training], **EACH)
    used = [*ask.numbers, ask.method, tab.page.tabs, p.trained]
    p.use.click(with_problems_shown(use, p.trained), tab.inputs, used, **EACH)
