"""The Search tab's events after an answer: acts on results and texts, steps, downloads, links. Nothing is computed here."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from cir.errors import BadQuery, CirError
from cir.ranking import export
from cir.ranking.retriever import Retriever
from cir.ui import pieces
from cir.ui.galleries.switcher import bounds_of, outputs_of_problem, problem_on_page, state_of
from cir.ui.page import Ask, PageContent, PageParts, Shown
from cir.ui.search import acts, handlers, links, snapshots
from cir.ui.search.screens import (
    answer_outputs,
    answer_screen,
    grid_pictures,
    inspected,
    known,
    numbers,
    reference_shown,
    restored,
    unique,
)
from cir.ui.server.pictures import address_of
from cir.ui.session import Session

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_TYPES = {"zip": "application/zip", "json": "application/json", "csv": "text/csv"}


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
        ask.image: gr.skip() if session.reference_id else picture and reference_shown(picture),
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


def wire_acts(content: PageContent, parts: PageParts) -> None:
    """One listener for all that is clicked or pressed among results, texts and steps."""
    ask, shown = parts.ask, parts.shown
    # A gallery that is gone changes more than an act does.
    outputs = unique(
        answer_outputs(shown),
        filled_fields(ask, shown),
        [shown.grid, shown.parcel],
        outputs_of_problem(parts),
    )

    def act(state: Session, snapshot: object, event: gr.EventData) -> dict[Any, Any]:
        sent = event._data if isinstance(event._data, dict) else {}
        try:
            note = known(content, state, snapshot)
            if note:
                return forgotten(shown, state, note)
            retriever = content.retriever_for(state)
            done = acts.perform(acts.Asked(retriever, content.text_encoder, state, sent))
            if done in acts.VIEWS:
                return _view(content, shown, state, done, sent.get("kind"))
            return _answer(content, ask, shown, state, done)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return problem_on_page(content, parts, state, error)

    how: dict[str, Any] = {**QUIET, "trigger_mode": "multiple", "concurrency_limit": None}
    for way, then in (("submit", "recompose.answered()"), ("view", "")):
        acted = getattr(shown.bridge, way)(act, [parts.session, shown.snapshot], outputs, **how)
        for after in (acted.then, acted.failure):
            after(None, js=f"() => {{ recompose.acted('{way}'); {then} }}", api_visibility="private")
    wire_fields(ask, shown)


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


def _answer(content: PageContent, ask: Ask, shown: Shown, session: Session, done: str) -> dict[Any, Any]:
    """After an act that changed the answer: the answer, and the fields that changed with it."""
    retriever = content.retriever_for(session)
    screen = answer_screen(content, session, handlers.answer(retriever, session))
    drawn = dict(zip(answer_outputs(shown), screen, strict=True))
    if done in acts.FILLS:
        picture, note = acts.picture_of(session)
        drawn[shown.notes] += pieces.notes_list([note]) if note else ""
        drawn |= filled(content, ask, shown, session, picture)
        drawn[shown.snapshot] = snapshots.take(session, **referred(retriever, session))
    return drawn


def _view(content: PageContent, shown: Shown, session: Session, done: str, kind: object) -> dict[Any, Any]:
    """Something else of what is there already: other pictures of the gallery, another box, a parcel."""
    if done == "look":
        return dict(zip([shown.card, shown.inspector], inspected(content, session), strict=True))
    if done == "turn":
        return {shown.grid: grid_pictures(content.retriever_for(session).gallery, session.browsed_ids)}
    if done == "close":
        return {shown.inspector: gr.Column(visible=False)}
    if done == "enlarge":
        gallery, image_id = content.retriever_for(session).gallery, session.inspected_id
        encoded = base64.b64encode(export.whole_picture(gallery, image_id)).decode()
        names = {"name": gallery.label(image_id), "words": handlers.caption_of(gallery, image_id)}
        return {shown.parcel: _parcel(type="image/jpeg", data=encoded, larger="yes", **names)}
    if done == "link":
        return {shown.parcel: _parcel(copy=links.link_to(session))}
    if done == "save":
        if kind not in _TYPES:
            raise BadQuery("The page asked for something that does not exist.", "Load the page again.")
        encoded = base64.b64encode(_packed(content, session, str(kind))).decode()
        return {shown.parcel: _parcel(name=f"recompose.{kind}", type=_TYPES[str(kind)], data=encoded)}
    browsing = done == "browse"
    boxes = {shown.browse_box: browsing, shown.results_box: not browsing}
    return {shown.inspector: gr.Column(visible=False), **{b: gr.Column(visible=v) for b, v in boxes.items()}}


def _packed(content: PageContent, session: Session, kind: str) -> bytes:
    retriever = content.retriever_for(session)
    found = handlers.answer(retriever, session)
    if kind == "csv":
        return export.to_csv(found.results, retriever.gallery, session.selected)
    if kind == "json":
        answer = handlers.as_json(found, retriever, content.fingerprints, content.title_of(session.gallery))
        rows = {**answer, "selected": list(session.selected)}
        return json.dumps(rows, ensure_ascii=False, indent=1).encode()
    ranks = {result.image_id: result.rank for result in found.results}
    packed, missing = export.to_zip(session.selected or session.result_ids, retriever.gallery, ranks)
    if missing and len(missing) == len(session.selected or session.result_ids):
        raise BadQuery("Nothing is left of these pictures.", "Choose others, or index the folder again.")
    return packed


def _parcel(**fields: str) -> str:
    """What the page's script saves or copies; the number makes two equal parcels two."""
    return json.dumps({**fields, "number": secrets.token_hex(4)})


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
