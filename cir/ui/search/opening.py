"""A page that is opened: with the search of its address, or with the one that it showed before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.galleries.switcher import bounds_of, outputs_of_problem, problem_on_page, state_of
from cir.ui.page import PageContent, PageParts
from cir.ui.search import acts, handlers, links, snapshots
from cir.ui.search.filling import QUIET, filled, filled_fields, referred
from cir.ui.search.screens import grid_pictures, restored, unique
from cir.ui.session import Session

AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}  # for what takes less than the way through the queue
# Sliders take longest to be built: the fold that holds them opens once one can type, and stays closed on phones.
_UNFOLD = "() => recompose.isPhone() ? {__type__: 'update'} : {open: true, __type__: 'update'}"


def wire_opening(content: PageContent, parts: PageParts, page: gr.Blocks) -> None:
    """The page is opened by a browser, or by its own history."""
    ask, shown = parts.ask, parts.shown
    for opens in (page.load, shown.bridge.restore):
        opened = opens(
            open_page_with(content, parts),
            [parts.session, shown.snapshot],
            unique(outputs_of_problem(parts), filled_fields(ask, shown)),
            js="async (state, shown) => [state, await recompose.before(shown)]",
            **AT_ONCE,
        )
        for after in (opened.then, opened.failure):
            after(None, js="() => recompose.opened()", api_visibility="private")
    page.load(None, None, [ask.weights_fold], js=_UNFOLD, api_visibility="private")


def open_page_with(content: PageContent, parts: PageParts) -> Callable[..., dict[Any, Any]]:
    """The handler of a page that is opened: with the search of its address, or with the one that it showed before.

    The page's script goes on as the snapshot says: "ask" for a search, "show" for an answer that is kept.
    """
    shown = parts.shown

    def open_page(state: Session, snapshot: object, request: gr.Request) -> dict[Any, Any]:
        content.opened()
        try:
            before = snapshots.read(snapshot)
            note = _go_on(content, state, before, dict(request.query_params))
            drawn = _opened(content, parts, state, note)
            further = (
                "show" if state.composed is not None else "ask" if state.text or state.image_path else ""
            )
            more = referred(content.retriever_for(state), state)
            if further == "ask":
                more["fields"] = links.fields_of(state)
            return {**drawn, shown.snapshot: snapshots.take(state, next=further, **more)}
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return problem_on_page(content, parts, state, error)

    return open_page


def _go_on(
    content: PageContent, session: Session, before: snapshots.Snapshot, address: Mapping[str, str]
) -> str:
    """Make a new session go on where the page was before it was loaded again, or where its address leads."""
    kept = content.sessions.find(before.token)
    if kept is not None:
        session.take_over(kept)
        session.token = ""  # another tab may go on with the one that is kept
    content.sessions.keep(session)
    if kept is not None:
        return ""
    if before.token:
        return restored(content, session, before)
    linked = links.read_link(address, content.retriever_of, session.settings.top_k)
    if linked is not None:
        links.open_linked(content.retriever_of(linked.gallery), content.text_encoder, session, linked)
    return ""


def _opened(content: PageContent, parts: PageParts, session: Session, note: str) -> dict[Any, Any]:
    """The gallery that is searched, and the fields of a search that is to be made."""
    ask, shown = parts.ask, parts.shown
    retriever, before = content.retriever_for(session), session.browsed_ids
    drawn = (
        dict(zip(parts.switcher.outputs, state_of(content, session), strict=True)) if parts.switcher else {}
    )
    drawn |= bounds_of(parts, session)
    note = " ".join(part for part in (note, handlers.change_of(retriever.gallery, session)) if part)
    browsed = handlers.browse(retriever.gallery, session)
    if session.gallery or browsed != before:  # else they came with the page
        drawn[shown.grid] = grid_pictures(retriever.gallery, browsed)
    if session.text or session.image_path:
        picture, lost = acts.picture_of(session)
        drawn |= filled(content, ask, shown, session, picture)
        note = " ".join(part for part in (note, lost) if part)
    return {**drawn, shown.stage: pieces.notes_list([note])} if note else drawn
