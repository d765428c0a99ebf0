"""The top of the Search tab: which gallery is searched, and "Only in …" a folder or a span of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.text import counted
from cir.ui import handlers, narrowing, render
from cir.ui.galleries import switching
from cir.ui.galleries.render import switched
from cir.ui.search.controls import browse_bar

if TYPE_CHECKING:
    from cir.ui.handlers import Session
    from cir.ui.layout import PageContent, PageParts

_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True, slots=True)
class Switcher:
    """Its components; `head` is the head of the page, which names the gallery too."""

    head: gr.HTML
    choice: gr.Dropdown
    notes: gr.HTML
    fold: gr.Accordion
    folder: gr.Dropdown
    since: gr.Textbox
    until: gr.Textbox
    undated: gr.Checkbox

    @property
    def outputs(self) -> list[Any]:
        """What `state_of` answers for, in its order."""
        return [
            self.head,
            self.choice,
            self.notes,
            self.fold,
            self.folder,
            self.since,
            self.until,
            self.undated,
        ]


def lay_out_switcher(head: gr.HTML) -> Switcher:
    """One line, of which nothing is seen while there is one gallery that cannot be narrowed."""
    with gr.Row(elem_id="switcher"):
        choice = gr.Dropdown([], label="Gallery", visible=False, min_width=200, elem_id="gallery-choice")
        with gr.Accordion("Only in …", open=False, visible=False, elem_id="only-in") as fold, gr.Row():
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
                False,
                label="Also pictures of an unknown day",
                visible=False,
                min_width=160,
                elem_id="only-undated",
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
    choices, number = switching.offer(content.shelf, session)
    gallery = content.retriever_for(session).gallery
    folders = narrowing.folder_choices(gallery)
    blank = not session.only
    nowhere: dict[str, Any] = {"value": narrowing.EVERYWHERE_CHOICE} if blank else {}
    unticked: dict[str, Any] = {"value": False} if blank else {}
    title = next((e.title for e in content.shelf.entries() if e.name == session.gallery), gallery.name)
    return (
        render.header(title, len(gallery)),
        gr.Dropdown(choices=choices, value=number, visible=len(choices) > 1),
        switched(switching.notes_of(gallery)) if len(choices) > 1 else "",
        gr.Accordion(visible=narrowing.can_narrow(gallery)),
        gr.Dropdown(choices=folders, info=narrowing.cut_note(gallery) or None, **nowhere),
        gr.Textbox(value="") if blank else gr.skip(),
        gr.Textbox(value="") if blank else gr.skip(),
        gr.Checkbox(label=narrowing.undated_label(gallery), visible=bool(gallery.undated), **unticked),
    )


def outputs_of_switch(page: PageParts) -> list[Any]:
    """What `switched_page` answers for, in its order."""
    ask, shown = page.ask, page.shown
    boxes = [shown.stage, shown.results_box, shown.inspector, shown.browse_box, shown.browse_bar]
    assert page.switcher is not None
    return [*page.switcher.outputs, ask.image, ask.leave_out, *boxes, shown.examples]


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
    )


def wire_switcher(content: PageContent, page: PageParts) -> None:
    """Another gallery was chosen: the page turns to it. Coming back to the tab finds galleries that are new."""
    switcher, session = page.switcher, page.session
    if content.shelf is None or switcher is None:
        return
    outputs = outputs_of_switch(page)
    stage = outputs.index(page.shown.stage)

    def switch(state: Session, number: object) -> tuple[Any, ...]:
        try:
            return switched_page(content, page, state, switching.read_choice(state, number))
        except Exception as error:  # shown as a sentence; faults are logged under an id
            told: list[Any] = [gr.skip() for _ in outputs]
            told[: len(switcher.outputs)] = state_of(content, state)
            told[stage] = render.problem_card(handlers.describe_problem(error))
            return tuple(told)

    how = {**_QUIET, "preprocess": False}
    chosen = switcher.choice.input(switch, [session, switcher.choice], outputs, **how)
    show_first_pictures(content, page, chosen)
    back: dict[str, Any] = {**_QUIET, "queue": False}
    page.tab.select(lambda state: state_of(content, state), [session], switcher.outputs, **back)


def show_first_pictures(content: PageContent, page: PageParts, event: Any) -> None:
    """After `event`: the grid shows the gallery that is searched now, whose thumbnails may be served."""
    from cir.ui.view import browse_with  # it lays this switcher out, and so cannot be imported by it at first

    event.then(browse_with(content), [page.session], [page.shown.grid], **_QUIET)


def narrowing_events(content: PageContent, session: gr.State, switcher: Switcher) -> Sequence[Any]:
    """What happens when a bound is set: the session remembers it. The caller ranks again after each of them."""

    def narrow(state: Session, folder: object, since: object, until: object, undated: object) -> str:
        try:
            gallery = content.retriever_for(state).gallery
            state.only = narrowing.read_only(gallery, folder, since, until, undated)
            mask = narrowing.among(gallery, state.only)
        except Exception as error:  # shown as a sentence; faults are logged under an id
            return render.problem_card(handlers.describe_problem(error))
        left = f"Left: {int(mask.sum()):,} of {counted(len(mask), 'picture')}." if mask is not None else ""
        left = " ".join(filter(None, (left, narrowing.undated_note(gallery, state.only))))
        return switched([left or notes_without_bounds(gallery)])

    def notes_without_bounds(gallery: Any) -> str:
        return " ".join(note for note in switching.notes_of(gallery) if note)

    inputs = [session, switcher.folder, switcher.since, switcher.until, switcher.undated]
    how = {**_QUIET, "preprocess": False}
    triggers = [switcher.folder.input, switcher.undated.input, switcher.since.submit, switcher.until.submit]
    triggers += [switcher.since.blur, switcher.until.blur]
    return [gr.on(triggers, narrow, inputs, [switcher.notes], **how)]
