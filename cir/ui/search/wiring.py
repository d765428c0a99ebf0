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
from cir.ui.search.screens import (
    answer_outputs,
    answer_screen,
    grid_pictures,
    inspected,
    reference_shown,
    rerank_outputs,
    rerank_screen,
    sliders,
    told,
)
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
        picture and reference_shown(picture),
        session.text,
        session.method,
        *sliders(retriever, session.method, settings.weights),
        settings.top_k,
        gr.Checkbox(value=settings.leave_out_reference, visible=bool(session.reference_id)),
        settings.at_least,
        settings.fold,
    )


def wire_acts(content: PageContent, session: gr.State, ask: Ask, shown: Shown) -> None:
    """One listener for all that is clicked or pressed among examples, presets, results, texts and steps."""
    outputs = [*answer_outputs(shown), *query_fields(ask, shown), shown.grid, shown.parcel]

    def act(state: Session, event: gr.EventData) -> dict[Any, Any]:
        try:
            sent = event._data if isinstance(event._data, dict) else {}
            asked = acts.Asked(
                content.retriever_for(state),
                content.text_encoder,
                state,
                sent,
                content.examples,
                list(content.presets.values()),
            )
            done = acts.perform(asked)
            if done in acts.VIEWS:
                return _view(content, shown, state, done, sent.get("kind"))
            if done in (acts.PICK, acts.EXAMPLE):
                return _picked(ask, shown, asked, done)
            if done == acts.PRESET:
                return _preset(content, ask, shown, state)
            return _answer(content, ask, shown, state, done)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return {shown.stage: told(error)}

    how: dict[str, Any] = {**QUIET, "trigger_mode": "multiple", "concurrency_limit": None}
    shown.bridge.submit(act, [session], outputs, **how).then(
        None, js="() => recompose.acted()", api_visibility="private"
    )


def _answer(content: PageContent, ask: Ask, shown: Shown, session: Session, done: str) -> dict[Any, Any]:
    """After an act that changed the answer: the answer, and the fields that changed with it."""
    retriever = content.retriever_for(session)
    screen = answer_screen(content, session, handlers.answer(retriever, session))
    drawn = dict(zip(answer_outputs(shown), screen, strict=True))
    if done == acts.USE:
        drawn[ask.image] = reference_shown(retriever.gallery.thumbnail_path(session.picked_id))
        drawn[ask.leave_out] = gr.Checkbox(visible=True)
    if done in acts.FILLS:
        picture, note = acts.picture_of(session)
        drawn[shown.notes] += render.notes_list([note]) if note else ""
        drawn |= zip(query_fields(ask, shown), filled(retriever, session, picture), strict=True)
    return drawn


def _picked(ask: Ask, shown: Shown, asked: acts.Asked, done: str) -> dict[Any, Any]:
    """A picture of the gallery as the reference; with an example comes its text, and the page's script searches."""
    picture = reference_shown(asked.retriever.gallery.thumbnail_path(asked.session.picked_id))
    drawn = {ask.image: picture, ask.leave_out: gr.Checkbox(visible=True), shown.stage: ""}
    return {**drawn, ask.text: asked.examples[asked.sent["place"]].text} if done == acts.EXAMPLE else drawn


def _preset(content: PageContent, ask: Ask, shown: Shown, session: Session) -> dict[Any, Any]:
    """The sliders as the preset has them, and the results in the order that follows."""
    weights = session.settings.weights
    drawn: dict[Any, Any] = {ask.alpha: weights.alpha, ask.beta: weights.beta, ask.gamma: weights.gamma}
    if session.composed is not None:
        found = handlers.answer(content.retriever_for(session), session)
        drawn |= zip(rerank_outputs(shown), rerank_screen(content, session, found), strict=True)
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
        content.opened()
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
                picture = reference_shown(handlers.pick(gallery, state, linked.image_id))
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
