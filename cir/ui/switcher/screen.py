"""The line over the query filled in for a session, and the page that turns to another gallery. No event is wired here.

Every function answers {component: value}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.gallery import narrowing
from cir.ui import pieces
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.search import examples, handlers, snapshots
from cir.ui.search.render import browse_bar, gallery_page
from cir.ui.switcher.handlers import notes_of, offer, switch_to
from cir.ui.switcher.layout import Switcher
from cir.ui.wiring import Update, problem_html

if TYPE_CHECKING:
    from cir.gallery.background import IndexingJob
    from cir.ui.session import Session


def state_of(content: PageContent, switcher: Switcher, session: Session) -> Update:
    """The switcher as it stands for this visitor."""
    content.follow_renamed(session)
    choices, chosen = offer(content.shelf, session)
    gallery = content.retriever_for(session).gallery
    folders, info = narrowing.folder_choices(gallery), narrowing.cut_note(gallery) or None
    blank = not session.only
    nowhere: dict[str, Any] = {"value": narrowing.EVERYWHERE_CHOICE} if blank else {}
    unticked: dict[str, Any] = {"value": False} if blank else {}
    notes = notes_html(notes_of(gallery, job_of(content))) if len(choices) > 1 else ""
    return {
        switcher.head: pieces.header(content.shelf.title(session.gallery), len(gallery)),
        switcher.choice: gr.Dropdown(choices=choices, value=chosen, visible=len(choices) > 1),
        switcher.notes: notes,
        switcher.fold: gr.Accordion(visible=narrowing.can_narrow(gallery)),
        switcher.folder: gr.Dropdown(choices=folders, info=info, **nowhere),
        **({switcher.since: "", switcher.until: ""} if blank else {}),
        switcher.undated: gr.Checkbox(
            label=narrowing.undated_label(gallery), visible=bool(gallery.undated), **unticked
        ),
    }


def bounds_of(page: PageParts, session: Session) -> Update:
    """The bounds of "Only in" as the session has them, for a page that does not show them yet."""
    switcher, only = page.switcher, session.only
    if not only:
        return {}
    return {
        switcher.fold: gr.Accordion(open=True, visible=True),
        switcher.folder: narrowing.folder_key(only),
        switcher.since: only.since.isoformat() if only.since else "",
        switcher.until: only.until.isoformat() if only.until else "",
        switcher.undated: only.with_undated,
    }


def switched_page(content: PageContent, page: PageParts, session: Session, name: str) -> Update:
    """Search another gallery from now on: the picked reference and the results of the old one leave the page.

    Raises:
        GalleryError: it cannot be searched; nothing has changed then.
    """
    content.shelf.retriever(name)
    ask, shown = page.ask, page.shown
    picked = session.gallery != name and switch_to(session, name)
    answer = {
        **state_of(content, page.switcher, session),
        **({ask.image: None, ask.leave_out: gr.Checkbox(visible=False)} if picked else {}),
        shown.stage: "",
        shown.results_box: gr.Column(visible=False),
        shown.inspector: gr.Column(visible=False),
        shown.browse_box: gr.Column(visible=True),
        shown.browse_bar: browse_bar(),
        **examples_of(content, page, session),
        shown.snapshot: snapshots.take(session),
    }
    gallery = content.retriever_for(session).gallery
    return {**answer, shown.grid: gallery_page(gallery, handlers.browse(gallery, session))}


def examples_of(content: PageContent, page: PageParts, session: Session) -> Update:
    """The queries to try in the gallery that is searched."""
    tried = examples.chips(content.examples, content.retriever_for(session).gallery)
    return {page.shown.examples: gr.HTML(tried, visible=bool(tried))}


def switched_parts(page: PageParts) -> list[Any]:
    """What `switched_page` and `problem_on_page` may answer for."""
    ask, shown, switcher = page.ask, page.shown, page.switcher
    line = [switcher.head, switcher.choice, switcher.notes, switcher.fold, switcher.folder]
    line += [switcher.since, switcher.until, switcher.undated]
    boxes = [shown.stage, shown.results_box, shown.inspector, shown.browse_box, shown.browse_bar]
    return [*line, ask.image, ask.leave_out, *boxes, shown.examples, shown.snapshot, shown.grid]


def problem_on_page(content: PageContent, page: PageParts, session: Session, error: Exception) -> Update:
    """What the Search tab shows when something went wrong: a sentence. What was typed stays.

    Where the gallery itself is not there any more, the page turns to the one that it began with, and says so.
    """
    card = {page.shown.stage: problem_html(error)}
    if not is_gone(content, session):
        return card
    content.sessions.keep(session)
    return {**switched_page(content, page, session, ""), **card}


def is_gone(content: PageContent, session: Session) -> bool:
    """Whether the gallery that the session searches is not there any more."""
    content.follow_renamed(session)
    return session.gallery not in {e.name for e in content.shelf.entries()}


def job_of(content: PageContent) -> IndexingJob | None:
    """The present or last indexing, where galleries are made on this page."""
    return content.indexing.indexer.job if content.indexing is not None else None


def notes_html(notes: Iterable[str]) -> str:
    """What is to be known of the gallery that is searched now."""
    return "".join(f'<p class="gallery-note">{pieces.escape(note)}</p>' for note in notes if note)
