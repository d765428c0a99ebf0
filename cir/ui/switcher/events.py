"""Which event of the line over the query calls which handler, and where its answer goes."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cir.errors import CirError
from cir.gallery import narrowing
from cir.text import counted
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.search import handlers, reference
from cir.ui.search.screen import Screen
from cir.ui.search.snapshots import recall_session
from cir.ui.session import Session
from cir.ui.switcher.handlers import notes_of, read_choice
from cir.ui.switcher.screen import (
    is_gone,
    notes_html,
    problem_on_page,
    state_of,
    switched_page,
    switched_parts,
)
from cir.ui.wiring import AS_SENT, QUIET, Update, problem_html, then_answered, with_problems_shown

# What is chosen before the choice before is answered counts as well.
_CHOSEN: dict[str, Any] = {**AS_SENT, "trigger_mode": "multiple"}


def is_own(content: PageContent, session: Session, image: object) -> bool:
    """Whether the picture that the page shows is one of the person's own, which no gallery takes away."""
    try:
        path, image_id = reference.read_reference(content.retriever_for(session).gallery, session, image)
    except CirError:
        return False
    return path is not None and not image_id


def wire_switcher(content: PageContent, page: PageParts) -> None:
    """Another gallery was chosen: the page turns to it. Coming back to the tab finds galleries that are new."""
    switcher, session, shown, ask = page.switcher, page.session, page.shown, page.ask

    def switch(state: Session, snapshot: object, key: object, image: object) -> Update:
        recall_session(content, state, snapshot)
        own = is_own(content, state, image)
        drawn = switched_page(content, page, state, read_choice(state, key))
        return {
            part: value for part, value in drawn.items() if not own or part not in (ask.image, ask.leave_out)
        }

    def not_switched(error: Exception, state: Session, *_: object) -> Update:
        problem = problem_on_page(content, page, state, error)
        if not state.token:  # it could not be brought back: nothing is known that the switcher could show
            return problem
        return {**state_of(content, switcher, state), **problem}

    def come_back(state: Session, snapshot: object) -> Update:
        recall_session(content, state, snapshot)
        changed = handlers.change_of(content.retriever_for(state).gallery, state)
        drawn = state_of(content, switcher, state)
        return {**drawn, switcher.notes: notes_html([changed])} if changed else drawn

    outputs = switched_parts(page)
    how = {**_CHOSEN, "js": "(...given) => recompose.inTurn(given, true)"}
    sent = [session, shown.snapshot, switcher.choice, ask.image]
    then_answered(switcher.choice.input(with_problems_shown(switch, not_switched), sent, outputs, **how))
    back, how = with_problems_shown(come_back, Screen(content, page).problem), {**QUIET, "queue": False}
    page.tab.select(back, [session, shown.snapshot], outputs, **how)


def wire_bounds(content: PageContent, page: PageParts) -> Any:
    """A bound is set, and the session remembers it. The event, after which its caller ranks again."""
    switcher, shown = page.switcher, page.shown

    def narrow(
        state: Session, snapshot: object, folder: object, since: object, until: object, undated: object
    ) -> Update:
        recall_session(content, state, snapshot)
        gallery = content.retriever_for(state).gallery
        only = narrowing.read_only(gallery, folder, since, until, undated)
        mask = narrowing.among(gallery, only)
        state.only = only  # what cannot be is told beside these fields, and the search stays as it was
        left = f"Left: {gallery.count(mask):,} of {counted(len(gallery), 'picture')}."
        notes = [left if mask is not None else "", narrowing.undated_note(gallery, only)]
        said = notes if any(notes) else notes_of(gallery)
        return {switcher.notes: notes_html([" ".join(filter(None, said))])}

    def not_narrowed(error: Exception, state: Session, *_: object) -> Update:
        if is_gone(content, state):
            return problem_on_page(content, page, state, error)
        return {switcher.notes: problem_html(error)}

    inputs = [page.session, shown.snapshot]
    inputs += [switcher.folder, switcher.since, switcher.until, switcher.undated]
    how = {**_CHOSEN, "js": "(...given) => recompose.inTurn(given)"}
    triggers = [switcher.folder.input, switcher.undated.input, switcher.since.submit, switcher.until.submit]
    triggers += [switcher.since.blur, switcher.until.blur]
    handler = with_problems_shown(narrow, not_narrowed)
    return gr.on(triggers, handler, inputs, switched_parts(page), **how)
