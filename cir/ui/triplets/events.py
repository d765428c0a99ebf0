"""Which event of the triplet tab calls which handler, and where its answer goes. Nothing is computed here.

Values are handed over as they were sent (`preprocess=False`) and checked by `reading`. Handlers answer by component.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from cir.errors import BadQuery
from cir.syncir.judgements import ACCEPTED, REJECTED
from cir.syncir.picture_names import own_id
from cir.syncir.table import SORTS
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.reading import read_upload
from cir.ui.server.gradio_private import copied_among_uploads, folder_beside_uploads
from cir.ui.server.pictures import address_of
from cir.ui.session import Session
from cir.ui.triplets import handlers, render
from cir.ui.triplets.funnel import reason_words
from cir.ui.triplets.handlers import TripletSession
from cir.ui.triplets.layout import PAPER, TripletParts
from cir.ui.triplets.making import wire_generating, wire_training
from cir.ui.triplets.reading import (
    PAGE_SIZES,
    read_choice,
    read_cosine,
    read_filters,
    read_shown,
    read_thresholds,
)
from cir.ui.triplets.tab import TripletTab
from cir.ui.wiring import EACH, PRIVATE, Update, html_piece, remembered, sent_with, with_problems_shown

LATEST = {**EACH, "trigger_mode": "always_last"}  # of what is moved or typed only the last counts
_TO_CLOSER = "() => recompose.isPhone() && document.querySelector('#triplet')?.scrollIntoView()"
_SEARCH_WITH = "(query) => query && recompose.searchWith(JSON.parse(query))"
_DOWNLOAD = "() => setTimeout(() => document.querySelector('a#triplets-download, #triplets-download a, #triplets-download')?.click(), 60)"


def lay_out(content: PageContent, page: PageParts) -> None:
    """The triplet tab; a sentence with the way out where the page has no triplets."""
    if content.triplets is None:
        html_piece(render.line("This page was started without triplets. Start it with: python app.py"))
        return
    parts = TripletParts(content.triplets.cannot_generate(), can_train=content.train is not None)
    state = remembered(TripletSession())
    tab = TripletTab(content, content.triplets, page, parts, state)
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


def wire_files(tab: TripletTab) -> None:
    """Opening the tab, choosing a file, bringing one."""
    p, library = tab.parts, tab.library
    outputs = [p.file, *p.thresholds, *p.drawn]

    def opened(state: TripletSession, session: Session, key: object) -> Update:
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

    def first(state: TripletSession, session: Session) -> Update:
        if state.key:
            return {p.stage: gr.skip()}
        found = library.files()
        if not found:
            missing = library.cannot_generate() or "Make some with “Generate 20 more”."
            return {p.stage: render.line(f"There are no triplets here yet. {missing}")}
        return opened(state, session, found[0].key)

    def brought(state: TripletSession, session: Session, upload: object) -> Update:
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


def wire_downloads(tab: TripletTab) -> None:
    """The file that the page shows, judged by the threshold that it shows: written aside, handed over, removed."""
    p = tab.parts

    def exporting(schema: str, name: str) -> Callable[..., Update]:
        def export(key: object, consistency: object) -> Update:
            if not isinstance(key, str) or not key:
                raise BadQuery("There is nothing to download yet.", "Choose a file of triplets first.")
            with folder_beside_uploads() as folder:
                out = folder / name
                tab.library.export(key, read_cosine("The lowest score", consistency), schema, out)
                # Gradio would copy it after this, where its errors are shown without a word.
                return {p.download: copied_among_uploads(out), p.stage: ""}

        return with_problems_shown(export, p.stage)

    for button, schema, name in (
        (p.export_jsonl, "jsonl", "triplets.jsonl"),
        (p.export_cirr, "cirr", "triplets-cirr.json"),
    ):
        sent, outputs = [p.file, p.consistency], [p.download, p.stage]
        written = button.click(exporting(schema, name), sent, outputs, **EACH)
        written.success(None, js=_DOWNLOAD, **PRIVATE)


def wire_list(tab: TripletTab) -> None:
    """Filters, order, pages, and a click on a card or on an arrow of a group."""
    p, library, outputs = tab.parts, tab.library, tab.parts.drawn

    def narrow(state: TripletSession, *values: Any) -> None:
        filters, sort = read_filters(*values[:5]), read_choice("order", values[5], SORTS)
        handlers.narrow(state, filters, sort, read_choice("length of a page", values[6], PAGE_SIZES))

    def picked(state: TripletSession, session: Session, event: gr.EventData) -> Update:
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
    p.cards.pick(pick, tab.inputs, outputs, **EACH).then(None, js=_TO_CLOSER, **PRIVATE)
    p.details.pick(pick, tab.inputs, outputs, **EACH)


def wire_thresholds(tab: TripletTab) -> None:
    """Sliders judge anew what is stored, and count anew what there would be."""
    p = tab.parts

    def move(state: TripletSession, *values: Any) -> None:
        state.thresholds = read_thresholds(*values)

    moved, inputs = tab.drawing(move, with_funnel=True), [*tab.inputs, *p.thresholds]
    sliders = [p.consistency.input, p.near_duplicate.input, p.gap.input]
    gr.on(sliders, moved, inputs, p.drawn, **LATEST)
    paper = (PAPER.consistency, PAPER.near_duplicate, PAPER.gap)
    p.paper.click(lambda: paper, None, p.thresholds, **EACH).then(moved, inputs, p.drawn, **EACH)


def wire_closer(tab: TripletTab) -> None:
    """What is done with the triplet that the page shows closely."""
    p, library = tab.parts, tab.library
    about = [*tab.inputs, p.on_screen]

    def judging(verdict: str) -> Callable[..., Update]:
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


def wire_search(tab: TripletTab) -> None:
    """The triplet that the page shows becomes the query of the Search tab, which then says where its target is."""
    p, tabs = tab.parts, tab.page.tabs

    def fill(session: Session, on_screen: object) -> Update:
        gallery, shown = tab.searched(session), read_shown(on_screen)
        triplet, text = handlers.reference_of(tab.library, shown)
        handlers.refuse_other_pictures(tab.library, shown, tab.content.shelf, gallery)
        reference, target = own_id(gallery, triplet.reference_id), own_id(gallery, triplet.target_id)
        gallery.label(target)  # an unknown target could not be found
        address = address_of(gallery.thumbnail_path(reference))
        session.intended_id = target
        query = {"id": reference, "address": address, "text": text}
        return {p.stage: "", tabs: gr.Tabs(selected="search"), p.query: json.dumps(query)}

    sent = [tab.page.session, p.on_screen]
    filled = p.search.click(with_problems_shown(fill, p.stage), sent, [p.stage, tabs, p.query], **EACH)
    filled.then(None, [p.query], js=_SEARCH_WITH, **PRIVATE)
