"""A page that is opened: with the search of its address, or with the one that it showed before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.search import handlers, links, snapshots
from cir.ui.search.screen import Screen, new_methods
from cir.ui.session import Session
from cir.ui.switcher.screen import bounds_of, examples_of, state_of
from cir.ui.wiring import PRIVATE, QUIET, Update, afterwards, with_problems_shown

# At once: it takes less than the way through the queue.
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
# Sliders take longest to be built: the fold that holds them opens once one can type, and stays closed on phones.
_UNFOLD = "() => recompose.isPhone() ? {__type__: 'update'} : {open: true, __type__: 'update'}"


def wire_opening(screen: Screen, page: gr.Blocks) -> None:
    """The page is opened by a browser, or by its own history.

    Its script goes on as the snapshot says: "ask" for a search, "show" for an answer that is kept.
    """
    shown = screen.page.shown

    def open_page(state: Session, snapshot: object, request: gr.Request) -> Update:
        screen.content.opened()
        note = _go_on(screen, state, snapshots.read(snapshot), dict(request.query_params))
        drawn = _opened(screen, state, note)
        asked_for = "ask" if state.text or state.image_path else ""
        further = "show" if state.composed is not None and not state.composed.pending else asked_for
        more = screen.referred(state)
        if further == "ask":
            more["fields"] = links.fields_of(state)
        return {**drawn, shown.snapshot: snapshots.take(state, next=further, **more)}

    for opens in (page.load, shown.bridge.restore):
        opened = opens(
            with_problems_shown(open_page, screen.problem),
            [screen.page.session, shown.snapshot],
            screen.outputs_with_fields,
            js="async (state, shown) => [state, await recompose.before(shown)]",
            **AT_ONCE,
        )
        afterwards(opened, "() => recompose.opened()")
    page.load(None, None, [screen.page.ask.weights_fold], js=_UNFOLD, **PRIVATE)


def _go_on(screen: Screen, session: Session, before: snapshots.Snapshot, address: Mapping[str, str]) -> str:
    """Make a new session go on where the page was before it was loaded again, or where its address leads."""
    content = screen.content
    kept = content.sessions.find(before.token)
    if kept is not None:
        session.take_over(kept)
        session.token = ""  # another tab may go on with the one that is kept
    content.sessions.keep(session)
    if kept is not None:
        return ""
    if before.token:
        return snapshots.restore(content, session, before)
    links.open_link(address, session, content.shelf.retriever, content.text_encoder)
    return ""


def _opened(screen: Screen, session: Session, note: str) -> Update:
    """The gallery that is searched, and the fields of a search that is to be made."""
    content, page = screen.content, screen.page
    gallery, before = content.retriever_for(session).gallery, session.browsed_ids
    drawn = {**state_of(content, page.switcher, session), **bounds_of(page, session)}
    notes = [note, handlers.change_of(gallery, session)]
    if handlers.browse(gallery, session) != before or session.gallery:  # else they came with the page
        drawn |= screen.browsed(session)
    if session.gallery:
        drawn |= examples_of(content, page, session)
    if session.text or session.image_path:
        filled, lost = screen.filled(session)
        drawn |= filled
        notes.append(lost)
    if new := new_methods(content, page.ask.method):
        chosen: dict[str, Any] = {"value": session.method} if session.method else {}
        drawn[page.ask.method] = gr.update(**new, **chosen)
    note = " ".join(filter(None, notes))
    return {**drawn, page.shown.stage: pieces.notes_list([note])} if note else drawn
