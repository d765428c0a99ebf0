"""The Search tab's events after an answer: acts on results and texts, steps, downloads, links. Nothing is computed here."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

import gradio as gr

from cir import export
from cir.errors import BadQuery
from cir.retriever import Retriever
from cir.ui import handlers, render
from cir.ui.layout import Ask, PageContent, Shown
from cir.ui.search import acts, links
from cir.ui.search.screens import answer_outputs, answer_screen, sliders, told
from cir.ui.session import Session

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_TYPES = {"zip": "application/zip", "json": "application/json", "csv": "text/csv"}


def query_fields(ask: Ask, shown: Shown) -> list[Any]:
    """The fields that a step or a link fills in."""
    return [ask.image, ask.text, ask.method, *ask.settings, shown.at_least, shown.fold]


def filled(retriever: Retriever, session: Session, picture: str | None) -> tuple[Any, ...]:
    """What the session asked, for `query_fields`."""
    settings = session.settings
    return (
        picture,
        session.text,
        session.method,
        *sliders(retriever, session.method, settings.weights),
        settings.top_k,
        gr.Checkbox(value=settings.leave_out_reference, visible=bool(session.reference_id)),
        settings.at_least,
        settings.fold,
    )


def wire_acts(content: PageContent, session: gr.State, ask: Ask, shown: Shown) -> None:
    """One listener for all that is clicked or pressed among results, texts and steps."""
    outputs = [*answer_outputs(shown), *query_fields(ask, shown)]

    def act(state: Session, event: gr.EventData) -> tuple[Any, ...]:
        unfilled = tuple(gr.skip() for _ in query_fields(ask, shown))
        try:
            sent = event._data if isinstance(event._data, dict) else {}
            retriever = content.retriever_for(state)
            done = acts.perform(acts.Asked(retriever, content.text_encoder, state, sent))
            screen = answer_screen(content, state, handlers.answer(retriever, state))
            if done == acts.USE:
                picture = str(retriever.gallery.thumbnail_path(state.picked_id))
                unfilled = (picture, *unfilled[1:7], gr.Checkbox(visible=True), *unfilled[8:])
            if done not in acts.FILLS:
                return (*screen, *unfilled)
            picture, note = acts.picture_of(state)
            said = screen[2] + (render.notes_list([note]) if note else "")
            return (*screen[:2], said, *screen[3:], *filled(retriever, state, picture))
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return (told(error), *(gr.skip() for _ in outputs[1:]))

    how: dict[str, Any] = {**QUIET, "trigger_mode": "multiple", "concurrency_limit": None}
    shown.bridge.submit(act, [session], outputs, **how).then(
        None, js="() => recompose.acted()", api_visibility="private"
    )


def wire_keeping(content: PageContent, session: gr.State, shown: Shown) -> None:
    """Downloads and the link: made in memory, handed to the browser, kept nowhere."""
    for kind, button in shown.downloads.items():
        button.click(_pack_with(content, kind), [session], [shown.parcel, shown.stage], **QUIET)

    def link(state: Session) -> tuple[Any, Any]:
        try:
            return _parcel(copy=links.link_to(state)), gr.skip()
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return gr.skip(), told(error)

    shown.copy_link.click(link, [session], [shown.parcel, shown.stage], **QUIET)


def _pack_with(content: PageContent, kind: str) -> Callable[[Session], tuple[Any, Any]]:
    """The handler of a download."""

    def pack(state: Session) -> tuple[Any, Any]:
        try:
            data = _packed(content, state, kind)
            encoded = base64.b64encode(data).decode()
            return _parcel(name=f"recompose.{kind}", type=_TYPES[kind], data=encoded), gr.skip()
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return gr.skip(), told(error)

    return pack


def _packed(content: PageContent, session: Session, kind: str) -> bytes:
    retriever = content.retriever_for(session)
    found = handlers.answer(retriever, session)
    if kind == "csv":
        return export.to_csv(found.results, retriever.gallery, session.selected)
    if kind == "json":
        rows = handlers.as_json(found, retriever, content.fingerprints)
        rows["selected"] = list(session.selected)
        return json.dumps(rows, ensure_ascii=False, indent=1).encode()
    ranks = {result.image_id: result.rank for result in found.results}
    packed, missing = export.to_zip(session.selected or session.result_ids, retriever.gallery, ranks)
    if missing and len(missing) == len(session.selected or session.result_ids):
        raise BadQuery("Nothing is left of these pictures.", "Choose others, or index the folder again.")
    return packed


def _parcel(**fields: str) -> str:
    """What the page's script saves or copies; the number makes two equal parcels two."""
    return json.dumps({**fields, "number": secrets.token_hex(4)})


def open_link_with(content: PageContent, ask: Ask, shown: Shown) -> Callable[..., tuple[Any, ...]]:
    """The handler of the page's address: the query that it describes, filled in; nothing without one."""

    def open_link(state: Session, request: gr.Request) -> tuple[Any, ...]:
        untouched = tuple(gr.skip() for _ in query_fields(ask, shown))
        try:
            linked = links.read_link(
                dict(request.query_params),
                lambda name: _retriever_of(content, name),
                next(iter(content.presets.values())),
                state.settings.top_k,
            )
            if linked is None:
                return (*untouched, gr.skip(), gr.skip())
            state.gallery, picture = linked.gallery, None
            gallery = content.retriever_for(state).gallery
            if linked.image_id:
                picture = str(handlers.pick(gallery, state, linked.image_id))
            moved = sliders(content.retriever_for(state), linked.method, linked.weights)
            values = (picture, linked.text, linked.method, *moved, linked.top_k)
            leave_out = gr.Checkbox(visible=bool(linked.image_id))
            head = render.header(gallery.name, len(gallery.image_ids)) if linked.gallery else gr.skip()
            return (*values, leave_out, *untouched[8:], gr.skip(), head)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return (*untouched, told(error), gr.skip())

    return open_link


def _retriever_of(content: PageContent, name: str) -> Any:
    return content.retriever if content.shelf is None else content.shelf.retriever(name)
