"""The fields of a search: what is read of them, and what fills them in, by the server and in the browser."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from cir.errors import CirError
from cir.ranking.retriever import Retriever
from cir.ui import pieces
from cir.ui.page import Ask, PageContent, Shown
from cir.ui.search import links, snapshots
from cir.ui.search.screens import numbers
from cir.ui.server.gradio_private import copied_among_uploads
from cir.ui.server.pictures import address_of
from cir.ui.session import Session

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def query_fields(ask: Ask, shown: Shown) -> list[Any]:
    """What a search reads of the page, in order."""
    return [ask.image, ask.text, ask.method, *ask.settings, shown.at_least, shown.fold]


def filled_fields(ask: Ask, shown: Shown) -> list[Any]:
    """What a step or a link fills in."""
    return list(dict.fromkeys([*query_fields(ask, shown), *ask.numbers]))


def filled(
    content: PageContent, ask: Ask, shown: Shown, session: Session, picture: str | None
) -> dict[Any, Any]:
    """What the session asked, for `filled_fields`. A picture of the gallery is shown by the page's script (`referred`)."""
    settings, composer = session.settings, content.retriever_for(session).composers[session.method]
    return {
        ask.image: gr.skip() if session.reference_id else picture and copied_among_uploads(picture),
        ask.text: session.text,
        ask.method: session.method,
        **numbers(content, ask, composer, settings.values),
        ask.top_k: settings.top_k,
        ask.leave_out: gr.Checkbox(value=settings.leave_out_reference, visible=bool(session.reference_id)),
        shown.at_least: settings.at_least,
        shown.fold: settings.fold,
    }


def referred(retriever: Retriever, session: Session) -> dict[str, Any]:
    """For the page's script: the picture of the gallery that is the reference, and where the page finds it."""
    try:
        address = session.reference_id and address_of(retriever.gallery.thumbnail_path(session.reference_id))
    except CirError:  # nothing of it is left, which the search says
        return {}
    return {"refer": {"id": session.reference_id, "address": address}} if address else {}


def wire_fields(ask: Ask, shown: Shown) -> None:
    """What the browser fills in by itself: a picked picture, an example, a preset. The script knows what is shown."""
    own: dict[str, Any] = {"api_visibility": "private"}
    fields = [ask.image, ask.text, *ask.sliders.values(), ask.leave_out]
    shown.bridge.fill(None, None, fields, js=f"() => recompose.filled({json.dumps([*ask.sliders])})", **own)
    ask.image.change(None, [ask.image], None, js="(image) => recompose.pictured(image)", **own)
    ask.image.upload(None, [ask.image], [ask.leave_out], js="(image) => recompose.uploaded(image)", **own)
    ask.image.clear(None, None, [ask.leave_out], js="() => recompose.cleared()", **own)


def forgotten(shown: Shown, session: Session, note: str) -> dict[Any, Any]:
    """The page's search is made again; the act that found the page forgotten has to be done once more."""
    again = f"{note} Your search is made again; then do that once more."
    more = {"fields": links.fields_of(session), "next": "ask"}
    return {shown.notes: pieces.notes_list([again]), shown.snapshot: snapshots.take(session, **more)}
