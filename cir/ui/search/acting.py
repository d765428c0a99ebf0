"""The Search tab's events after an answer: acts on results and texts, steps, downloads, links."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import gradio as gr

from cir.errors import BadQuery
from cir.ranking import export
from cir.ui import pieces
from cir.ui.galleries.switcher import outputs_of_problem, problem_on_page
from cir.ui.page import Ask, PageContent, PageParts, Shown, sent_with
from cir.ui.search import acts, handlers, links, snapshots
from cir.ui.search.filling import QUIET, filled, filled_fields, forgotten, referred
from cir.ui.search.screens import answer_outputs, answer_screen, grid_pictures, inspected, known, unique
from cir.ui.session import Session

_TYPES = {"zip": "application/zip", "json": "application/json", "csv": "text/csv"}


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
        sent = {name: sent_with(event, name) for name in acts.FIELDS}
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
