"""Which event of the triplet tab calls which handler, and where its answer goes. Nothing is computed here.

Values are handed over as they were sent (`preprocess=False`) and checked by `reading`; see `cir.ui.view`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ui import pieces
from cir.ui.page import PageContent, PageParts, html_piece, problem_html, sent_with, with_problems_shown
from cir.ui.reading import read_upload
from cir.ui.search.handlers import Session
from cir.ui.server.pictures import address_of
from cir.ui.server.waiting import Steps, Waiting
from cir.ui.triplets import handlers, render
from cir.ui.triplets.handlers import Page, Tables, TripletSession
from cir.ui.triplets.layout import PAPER, STOP, Parts, lay_out_parts
from cir.ui.triplets.reading import (
    read_cosine,
    read_filters,
    read_page_size,
    read_shown,
    read_sort,
    read_thresholds,
)
from cir.ui.triplets.source import ACCEPTED, REJECTED, TripletSource

SESSION_SECONDS = 3600
QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "preprocess": False,
    "concurrency_limit": None,
    "trigger_mode": "multiple",  # what is done while an answer is on its way is done as well
}
_TO_CLOSER = "() => recompose.isPhone() && document.querySelector('#triplet')?.scrollIntoView()"
_SEARCH_WITH = "(query) => query && recompose.searchWith(JSON.parse(query))"
_DOWNLOAD = "() => setTimeout(() => document.querySelector('a#triplets-download, #triplets-download a, #triplets-download')?.click(), 60)"


def lay_out(content: PageContent, page: PageParts) -> None:
    """The triplet tab; a sentence with the way out where the page has no triplets."""
    if content.triplets is None:
        html_piece(render.line("This page was started without triplets. Start it with: python app.py"))
        return
    source = content.triplets
    parts = lay_out_parts(source.cannot_generate())
    _Wiring(content, page, parts, source).wire()


class _Wiring:
    """The tab's events. Holds what all of them need: the content, the components, the tables."""

    def __init__(self, content: PageContent, page: PageParts, parts: Parts, source: TripletSource) -> None:
        self.content, self.page, self.parts, self.source = content, page, parts, source
        self.tables = Tables(source)
        self.state = gr.State(TripletSession(), time_to_live=SESSION_SECONDS)
        self.inputs = [self.state, page.session]
        # What a changed list changes, in the order of `screen`.
        p = parts
        self.fields = [p.verdict, p.reason, p.low, p.high, p.words, p.sort]
        self.screen_parts = [
            *self.fields,
            p.stage,
            p.where,
            p.cards,
            p.closer,
            p.on_screen,
            p.details,
            p.text,
            p.accept,
            p.reject,
            p.funnel,
        ]

    def gallery(self, session: Session) -> Gallery:
        """What this visitor searches; it gives the pictures."""
        return self.content.retriever_for(session).gallery

    def pictured(self, state: TripletSession, session: Session) -> Gallery:
        """The gallery that has the pictures of the triplets: the one that they were made from, where it is here."""
        chosen, shelf = self.gallery(session), self.content.shelf
        made_from = self.tables.table(state).gallery
        if shelf is None or made_from in ("", chosen.name):
            return chosen
        for entry in shelf.entries():
            if entry.problem or (entry.own and entry.name != made_from):
                continue
            gallery = shelf.retriever(entry.name).gallery
            if gallery.name == made_from:
                return gallery
        return chosen

    # --- answers --------------------------------------------------------------------------------------

    def screen(
        self, state: TripletSession, session: Session, page: Page, *, said: str = "", funnel: bool = False
    ) -> tuple[Any, ...]:
        """The values of `screen_parts`."""
        gallery = self.gallery(session)
        seen = handlers.closer(self.tables, state, self.pictured(state, session))
        verdict = seen.card.judgement.verdict if seen else ""
        shown = render.funnel(handlers.funnel(self.tables, state, gallery)) if funnel else gr.skip()
        return (
            *self.field_values(state),
            said,
            render.where(page),
            render.cards(page),
            render.closer(seen),
            render.sent(seen.card.shown) if seen else "",
            render.details(seen),
            self.text_value(state, seen),
            gr.Button("Accepted" if verdict == ACCEPTED else "Accept"),
            gr.Button("Rejected" if verdict == REJECTED else "Reject"),
            shown,
        )

    def text_value(self, state: TripletSession, seen: handlers.Closer | None) -> Any:
        """The text of the triplet; what is being typed stays until it is saved, or there is another triplet."""
        now = (seen.card.shown.key, seen.card.shown.row, seen.card.text) if seen else None
        if now == state.text_shown:
            return gr.skip()
        state.text_shown = now
        return now[2] if now else ""

    def field_values(self, state: TripletSession) -> list[Any]:
        """The values of `fields`, where the program has changed them; else they are the person's."""
        if not state.reset:
            return [gr.skip() for _ in self.fields]
        state.reset, wanted = False, state.filters
        return [wanted.verdict, wanted.reason, wanted.low, wanted.high, wanted.words, state.sort]

    def saying(self, line: Any) -> tuple[Any, ...]:
        """Another stage line, all else of `screen_parts` as it was."""
        stage = self.parts.stage
        return tuple(line if part is stage else gr.skip() for part in self.screen_parts)

    def answering(self, act: Callable[..., Page], *, funnel: bool = False) -> Callable[..., tuple[Any, ...]]:
        """A handler that lets `act` change the session, and shows the page that it leads to."""

        def answer(state: TripletSession, session: Session, *values: Any) -> tuple[Any, ...]:
            try:
                return self.screen(state, session, act(state, session, *values), funnel=funnel)
            except Exception as error:  # shown as a sentence; faults are logged under an id
                return self.saying(problem_html(error))

        return answer

    # --- wiring ---------------------------------------------------------------------------------------

    def wire(self) -> None:
        """All events of the tab."""
        self.wire_files()
        self.wire_list()
        self.wire_thresholds()
        self.wire_closer()
        self.wire_generating()

    def wire_files(self) -> None:
        """Opening the tab, choosing a file, bringing one, taking one away."""
        p = self.parts
        outputs = [p.file, *p.thresholds, *self.screen_parts]

        nothing = tuple(gr.skip() for _ in range(4))

        def opened(state: TripletSession, session: Session, key: object) -> tuple[Any, ...]:
            try:
                handlers.choose(self.tables, state, key)
                return self.file_screen(state, session)
            except Exception as error:  # shown as a sentence; faults are logged under an id
                return (*nothing, *self.saying(problem_html(error)))

        def first(state: TripletSession, session: Session) -> tuple[Any, ...]:
            if state.key:
                return (*nothing, *self.saying(gr.skip()))
            found = handlers.first_file(self.source)
            if found is None:
                missing = self.source.cannot_generate()
                said = f"There are no triplets here yet. {missing or 'Make some with “Generate 20 more”.'}"
                return (*nothing, *self.saying(render.line(said)))
            return opened(state, session, found.key)

        def brought(state: TripletSession, session: Session, upload: object) -> tuple[Any, ...]:
            try:
                path = read_upload(upload)
                if path is None:
                    raise BadQuery("No file arrived.", "Choose a .json or .jsonl file.")
                return opened(state, session, self.source.take_in(path))
            except Exception as error:  # shown as a sentence; faults are logged under an id
                return (*nothing, *self.saying(problem_html(error)))

        self.page.tab.select(first, self.inputs, outputs, **QUIET)
        how = {**QUIET, "trigger_mode": "always_last"}
        p.file.input(opened, [*self.inputs, p.file], outputs, **how)
        p.upload.upload(brought, [*self.inputs, p.upload], outputs, **QUIET)
        for button, schema in ((p.export_jsonl, "jsonl"), (p.export_cirr, "cirr")):
            asked = [p.file, p.consistency]
            written = button.click(self.exporting(schema), asked, [p.download, p.stage], **QUIET)
            written.success(None, js=_DOWNLOAD, api_visibility="private")

    def file_screen(self, state: TripletSession, session: Session) -> tuple[Any, ...]:
        """A file that was opened: its name among the others, its thresholds, its reasons, its first page."""
        limits = state.thresholds
        reasons = self.tables.table(state).reasons(
            2.0
        )  # at a threshold that none reaches: all there could be
        page = handlers.show(self.tables, state, self.pictured(state, session))
        missing = self.source.cannot_generate()
        choices = [("Any", ""), *((render.reason_words(reason), reason) for reason in reasons)]
        answer = self.screen(state, session, page, said=render.line(missing), funnel=True)
        narrowed = [gr.Dropdown(choices, value="") if part is self.parts.reason else value
                    for part, value in zip(self.screen_parts, answer, strict=True)]  # fmt: skip
        limits = (limits.consistency, limits.near_duplicate, limits.gap)
        return self.files_to_choose(state), *limits, *narrowed

    def files_to_choose(self, state: TripletSession) -> gr.Dropdown:
        """All files as they are called now, with the one that is looked at."""
        return gr.Dropdown([(file.title, file.key) for file in self.source.files()], value=state.key)

    def exporting(self, schema: str) -> Callable[..., Iterator[tuple[Any, Any]]]:
        """The handler of a download: the file is written aside, handed over, and removed."""

        def export(key: object, consistency: object) -> Iterator[tuple[Any, Any]]:
            try:
                if not isinstance(key, str) or not key:
                    raise BadQuery("There is nothing to download yet.", "Choose a file of triplets first.")
                with tempfile.TemporaryDirectory(prefix="recompose-") as folder:
                    out = Path(folder) / ("triplets.jsonl" if schema == "jsonl" else "triplets-cirr.json")
                    self.source.export(key, read_cosine("The lowest score", consistency), schema, out)
                    yield str(out), ""
            except Exception as error:  # shown as a sentence; faults are logged under an id
                yield gr.skip(), problem_html(error)

        return export

    def wire_list(self) -> None:
        """Filters, order, pages, and a click on a card."""
        p, inputs, outputs = self.parts, self.inputs, self.screen_parts
        fields = [*p.filters, p.sort, p.page_size]

        def narrowed(state: TripletSession, session: Session, *values: Any) -> Page:
            wanted = read_filters(*values[:5]), read_sort(values[5]), read_page_size(values[6])
            return handlers.narrow(self.tables, state, self.pictured(state, session), *wanted)

        def turned(by: int) -> Callable[[TripletSession, Session], Page]:
            return lambda state, session: handlers.show(
                self.tables, state, self.pictured(state, session), turn=by
            )

        changed = [c.input for c in (p.verdict, p.reason, p.low, p.high, p.sort, p.page_size)]
        changed.append(p.words.change)  # a pasted word is no input to a text field
        gr.on(
            changed,
            self.answering(narrowed),
            [*inputs, *fields],
            outputs,
            **{**QUIET, "trigger_mode": "always_last"},
        )
        p.page_back.click(self.answering(turned(-1)), inputs, outputs, **QUIET)
        p.page_on.click(self.answering(turned(1)), inputs, outputs, **QUIET)
        p.cards.pick(self.picked, inputs, outputs, **QUIET).then(
            None, js=_TO_CLOSER, api_visibility="private"
        )

    def picked(self, state: TripletSession, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """A card or an arrow of a group was clicked: it says which triplet it stands for."""

        def pick(state: TripletSession, session: Session) -> Page:
            shown = read_shown(sent_with(event, "triplet"))
            return handlers.pick(self.tables, state, self.pictured(state, session), shown)

        return self.answering(pick)(state, session)

    def wire_thresholds(self) -> None:
        """Sliders judge anew what is stored, and count anew what there would be."""
        p = self.parts

        def moved(state: TripletSession, session: Session, *values: Any) -> Page:
            state.thresholds = read_thresholds(*values)
            return handlers.show(self.tables, state, self.pictured(state, session))

        outputs, answer = self.screen_parts, self.answering(moved, funnel=True)
        sliders = [p.consistency.input, p.near_duplicate.input, p.gap.input]
        how = {**QUIET, "trigger_mode": "always_last"}
        gr.on(sliders, answer, [*self.inputs, *p.thresholds], outputs, **how)
        paper = (PAPER.consistency, PAPER.near_duplicate, PAPER.gap)
        back = p.paper.click(lambda: paper, None, p.thresholds, **QUIET)
        back.then(answer, [*self.inputs, *p.thresholds], outputs, **QUIET)

    def wire_closer(self) -> None:
        """What is done with the triplet looked at closely."""
        p, inputs, outputs = self.parts, self.inputs, self.screen_parts

        def stepped(by: int) -> Callable[[TripletSession, Session], Page]:
            return lambda state, session: handlers.step(self.tables, state, self.pictured(state, session), by)

        def judged(verdict: str) -> Callable[..., Page]:
            def judge(state: TripletSession, session: Session, on_screen: object) -> Page:
                shown = read_shown(on_screen)
                handlers.judge(self.tables, shown, verdict)
                return handlers.again(self.tables, state, self.pictured(state, session), shown)

            return judge

        def edited(state: TripletSession, session: Session, on_screen: object, text: object) -> Page:
            shown = read_shown(on_screen)
            handlers.edit(self.tables, shown, text)
            return handlers.again(self.tables, state, self.pictured(state, session), shown)

        p.previous.click(self.answering(stepped(-1)), inputs, outputs, **QUIET)
        p.following.click(self.answering(stepped(1)), inputs, outputs, **QUIET)
        about = [*inputs, p.on_screen]
        p.accept.click(self.answering(judged(ACCEPTED), funnel=True), about, outputs, **QUIET)
        p.reject.click(self.answering(judged(REJECTED), funnel=True), about, outputs, **QUIET)
        saved = self.answering(edited, funnel=True)
        gr.on([p.save.click, p.text.submit], saved, [*about, p.text], outputs, **QUIET)
        p.details.pick(self.picked, inputs, outputs, **QUIET)
        self.wire_search()

    def wire_search(self) -> None:
        """The triplet becomes the query of the Search tab, which then says where its target is."""
        p = self.parts
        query = gr.Textbox(visible="hidden")  # for the page's script, which fills the fields in as if by hand

        def fill(session: Session, on_screen: object) -> dict[Any, Any]:
            triplet, text = handlers.reference_of(self.tables, read_shown(on_screen))
            gallery = self.gallery(session)
            gallery.label(triplet.target_id)  # an unknown target could not be found
            address = address_of(gallery.thumbnail_path(triplet.reference_id))
            session.intended_id = triplet.target_id
            asked = {"id": triplet.reference_id, "address": address, "text": text}
            return {p.stage: "", self.page.tabs: gr.Tabs(selected="search"), query: json.dumps(asked)}

        asked = with_problems_shown(fill, p.stage)
        about = [self.page.session, p.on_screen]
        filled = p.search.click(asked, about, [p.stage, self.page.tabs, query], **QUIET)
        filled.then(None, [query], js=_SEARCH_WITH, api_visibility="private")

    def wire_generating(self) -> None:
        """The real pipeline, a few triplets at a time, until it is done or stopped."""
        p = self.parts
        outputs = [p.generate, p.stop, p.file, *self.screen_parts]

        begun = (gr.update(interactive=False), gr.update(visible=True), gr.skip())
        ended = (gr.update(interactive=True), gr.update(visible=False))

        def steps(
            state: TripletSession, session: Session, key: object, *thresholds: object
        ) -> Steps[tuple[int, tuple[Any, ...]]]:
            handlers.turn_to(self.tables, state, key)
            state.thresholds = read_thresholds(*thresholds)
            for made in handlers.generate(self.tables, state, self.gallery(session)):
                page = handlers.show(self.tables, state, self.pictured(state, session))
                drawn = self.screen(state, session, page, said=render.making(made), funnel=True)
                # The file that they go to is chosen in the list from the first step on.
                file = gr.skip() if made.new else self.files_to_choose(state)
                yield (made.done, (*begun[:2], file, *drawn)), True

        async def generate(
            state: TripletSession, session: Session, *shown: object
        ) -> AsyncIterator[tuple[Any, ...]]:
            state.stopping = False
            stoppable = gr.Button(STOP, interactive=True, visible=True)
            looking = pieces.working("Looking for pairs …")
            yield (begun[0], stoppable, gr.skip(), *self.saying(looking))
            done, lines = 0, self.content.lines
            making = lines.in_turn(
                steps(state, session, *shown), lambda: not state.stopping, lines=[lines.long]
            )
            try:
                async with aclosing(making):
                    async for step in making:
                        if isinstance(step, Waiting):
                            line = (
                                pieces.waiting(step.before, first_results=False) if step.before else looking
                            )
                            yield (*begun, *self.saying(line))
                        else:
                            done, drawn = step
                            yield drawn
                files = self.files_to_choose(state)
                yield (*ended, files, *self.saying(render.stopped(done) if state.stopping else gr.skip()))
            except Exception as error:  # shown as a sentence; faults are logged under an id
                yield (*ended, gr.skip(), *self.saying(problem_html(error)))

        def stop(state: TripletSession) -> gr.Button:
            """The button says it: this answer may come after the last one of the making, whose line stays."""
            state.stopping = True
            return gr.Button("Stopping after this pair …", interactive=False)

        asked = [*self.inputs, p.file, *p.thresholds]
        p.generate.click(generate, asked, outputs, **{**QUIET, "trigger_mode": "once"})
        p.stop.click(stop, [self.state], [p.stop], **QUIET)
