"""The top of the Search tab: which gallery is searched, and "Only in …" a folder or a span of days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.errors import CirError
from cir.gallery import narrowing
from cir.text import counted
from cir.ui import pieces
from cir.ui.galleries import switching
from cir.ui.galleries.render import switched
from cir.ui.page import PageContent, PageParts, Switcher, then_answered
from cir.ui.problems import describe_problem
from cir.ui.search import handlers, reference, snapshots
from cir.ui.search.render import browse_bar, gallery_page
from cir.ui.search.snapshots import recall_session

if TYPE_CHECKING:
    from cir.gallery.background import IndexingJob
    from cir.ui.search.handlers import Session

_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# What is chosen before the choice before is answered counts as well.
_EACH: dict[str, Any] = {**_QUIET, "preprocess": False, "trigger_mode": "multiple"}


def lay_out_switcher(head: gr.HTML) -> Switcher:
    """One line, of which nothing is seen while there is one gallery that cannot be narrowed."""
    with gr.Row(elem_id="switcher"):
        choice = gr.Dropdown([], label="Gallery", visible=False, min_width=200, elem_id="gallery-choice")
        with gr.Accordion("Only in …", open=False, visible=False, elem_id="only-in") as fold:
            with gr.Row():
                folder = gr.Dropdown(
                    [(narrowing.EVERYWHERE, narrowing.EVERYWHERE_CHOICE)],
                    value=narrowing.EVERYWHERE_CHOICE,
                    label="Folder",
                    min_width=160,
                    elem_id="only-folder",
                )
                since = _day("From", "2024, 2024-05 or 2024-05-17", "only-since")
                until = _day("To", "empty for no end", "only-until")
            undated = gr.Checkbox(
                False, label="Also pictures of an unknown day", visible=False, elem_id="only-undated"
            )
        notes = gr.HTML("", apply_default_css=False, elem_id="gallery-notes")
    return Switcher(head, choice, notes, fold, folder, since, until, undated)


def _day(label: str, placeholder: str, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label=label, placeholder=placeholder, max_length=40, max_lines=1, min_width=120, elem_id=elem_id
    )


def state_of(content: PageContent, session: Session) -> tuple[Any, ...]:
    """The switcher as it stands for this visitor, for `Switcher.outputs`."""
    if content.shelf is None:
        return tuple(gr.skip() for _ in range(8))
    choices, chosen = switching.offer(content.shelf, session)
    gallery = content.retriever_for(session).gallery
    folders = narrowing.folder_choices(gallery)
    blank = not session.only
    nowhere: dict[str, Any] = {"value": narrowing.EVERYWHERE_CHOICE} if blank else {}
    unticked: dict[str, Any] = {"value": False} if blank else {}
    return (
        pieces.header(content.title_of(session.gallery), len(gallery)),
        gr.Dropdown(choices=choices, value=chosen, visible=len(choices) > 1),
        switched(switching.notes_of(gallery, job_of(content))) if len(choices) > 1 else "",
        gr.Accordion(visible=narrowing.can_narrow(gallery)),
        gr.Dropdown(choices=folders, info=narrowing.cut_note(gallery) or None, **nowhere),
        gr.Textbox(value="") if blank else gr.skip(),
        gr.Textbox(value="") if blank else gr.skip(),
        gr.Checkbox(label=narrowing.undated_label(gallery), visible=bool(gallery.undated), **unticked),
    )


def bounds_of(page: PageParts, session: Session) -> dict[Any, Any]:
    """The bounds of "Only in" as the session has them, for a page that does not show them yet."""
    switcher, only = page.switcher, session.only
    if switcher is None or not only:
        return {}
    return {
        switcher.fold: gr.Accordion(open=True, visible=True),
        switcher.folder: narrowing.folder_key(only),
        switcher.since: only.since.isoformat() if only.since else "",
        switcher.until: only.until.isoformat() if only.until else "",
        switcher.undated: only.with_undated,
    }


def job_of(content: PageContent) -> IndexingJob | None:
    """The present or last indexing, where galleries are made on this page."""
    return content.making.indexer.job if content.making is not None else None


def outputs_of_switch(page: PageParts) -> list[Any]:
    """What `switched_page` answers for, in its order."""
    ask, shown = page.ask, page.shown
    boxes = [shown.stage, shown.results_box, shown.inspector, shown.browse_box, shown.browse_bar]
    assert page.switcher is not None
    return [*page.switcher.outputs, ask.image, ask.leave_out, *boxes, shown.examples, shown.snapshot]


def switched_page(content: PageContent, page: PageParts, session: Session, name: str) -> tuple[Any, ...]:
    """Search another gallery from now on: the picked reference and the results of the old one leave the page.

    Raises:
        GalleryError: it cannot be searched; nothing has changed then.
    """
    assert content.shelf is not None
    content.shelf.retriever(name)
    picked = session.gallery != name and switching.switch_to(session, name)
    return (
        *state_of(content, session),
        None if picked else gr.skip(),
        gr.Checkbox(visible=False) if picked else gr.skip(),
        "",
        *(gr.Column(visible=seen) for seen in (False, False, True)),
        browse_bar(),
        gr.update(visible=not name and bool(content.examples)),
        snapshots.take(session),
    )


def problem_on_page(
    content: PageContent, page: PageParts, session: Session, error: Exception
) -> dict[Any, Any]:
    """What the Search tab shows when something went wrong: a sentence. What was typed stays.

    Where the gallery itself is not there any more, the page turns to the one that it began with, and says so.
    """
    problem = describe_problem(error)
    card = {page.shown.stage: pieces.problem_card(problem)}
    if not is_gone(content, session):
        return card
    content.sessions.keep(session)
    outputs, values = outputs_of_switch(page), switched_page(content, page, session, "")
    pictures = gallery_page(content.retriever.gallery, handlers.browse(content.retriever.gallery, session))
    return {**dict(zip(outputs, values, strict=True)), page.shown.grid: pictures, **card}


def outputs_of_problem(page: PageParts) -> list[Any]:
    """What `problem_on_page` may answer for."""
    return [*outputs_of_switch(page), page.shown.grid]


def is_own(content: PageContent, session: Session, image: object) -> bool:
    """Whether the picture that the page shows is one of the person's own, which no gallery takes away."""
    try:
        path, image_id = reference.read_reference(content.retriever_for(session).gallery, session, image)
    except CirError:
        return False
    return path is not None and not image_id


def is_gone(content: PageContent, session: Session) -> bool:
    """Whether the gallery that the session searches is not there any more."""
    return content.shelf is not None and session.gallery not in {e.name for e in content.shelf.entries()}


def wire_switcher(content: PageContent, page: PageParts) -> None:
    """Another gallery was chosen: the page turns to it. Coming back to the tab finds galleries that are new."""
    switcher, session, shown = page.switcher, page.session, page.shown
    if content.shelf is None or switcher is None:
        return
    outputs, answers = outputs_of_problem(page), outputs_of_switch(page)

    def switch(state: Session, snapshot: object, key: object, image: object) -> dict[Any, Any]:
        try:
            recall_session(content, state, snapshot)
            own = is_own(content, state, image)
            values = switched_page(content, page, state, switching.read_choice(state, key))
            gallery = content.retriever_for(state).gallery
            drawn = dict(zip(answers, values, strict=True))
            if own:
                drawn |= {page.ask.image: gr.skip(), page.ask.leave_out: gr.skip()}
            return {**drawn, shown.grid: gallery_page(gallery, handlers.browse(gallery, state))}
        except Exception as error:  # shown as a sentence; faults are logged under an id
            problem = problem_on_page(content, page, state, error)
            if not state.token:  # it could not be brought back: nothing is known that the switcher could show
                return problem
            return {**dict(zip(switcher.outputs, state_of(content, state), strict=True)), **problem}

    def come_back(state: Session, snapshot: object) -> dict[Any, Any]:
        try:
            recall_session(content, state, snapshot)
            changed = handlers.change_of(content.retriever_for(state).gallery, state)
            drawn = dict(zip(switcher.outputs, state_of(content, state), strict=True))
            return {**drawn, switcher.notes: switched([changed])} if changed else drawn
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return problem_on_page(content, page, state, error)

    how = {**_EACH, "js": "(...given) => recompose.inTurn(given, true)"}
    chosen = switcher.choice.input(
        switch, [session, shown.snapshot, switcher.choice, page.ask.image], outputs, **how
    )
    then_answered(chosen)
    page.tab.select(come_back, [session, shown.snapshot], outputs, **{**_QUIET, "queue": False})


def narrowing_events(content: PageContent, page: PageParts) -> Sequence[Any]:
    """What happens when a bound is set: the session remembers it. The caller ranks again after each of them."""
    switcher, shown = page.switcher, page.shown
    assert switcher is not None

    def narrow(
        state: Session, snapshot: object, folder: object, since: object, until: object, undated: object
    ) -> dict[Any, Any]:
        try:
            recall_session(content, state, snapshot)
            gallery = content.retriever_for(state).gallery
            only = narrowing.read_only(gallery, folder, since, until, undated)
            mask = narrowing.among(gallery, only)
            state.only = only  # what cannot be is told beside these fields, and the search stays as it was
        except Exception as error:  # shown as a sentence; faults are logged under an id
            if is_gone(content, state):
                return problem_on_page(content, page, state, error)
            return {switcher.notes: pieces.problem_card(describe_problem(error))}
        left = f"Left: {int(mask.sum()):,} of {counted(len(mask), 'picture')}." if mask is not None else ""
        left = " ".join(filter(None, (left, narrowing.undated_note(gallery, state.only))))
        return {switcher.notes: switched([left or notes_without_bounds(gallery)])}

    def notes_without_bounds(gallery: Any) -> str:
        return " ".join(note for note in switching.notes_of(gallery) if note)

    inputs = [page.session, shown.snapshot]
    inputs += [switcher.folder, switcher.since, switcher.until, switcher.undated]
    how = {**_EACH, "js": "(...given) => recompose.inTurn(given)"}
    triggers = [switcher.folder.input, switcher.undated.input, switcher.since.submit, switcher.until.submit]
    triggers += [switcher.since.blur, switcher.until.blur]
    return [gr.on(triggers, narrow, inputs, outputs_of_problem(page), **how)]
