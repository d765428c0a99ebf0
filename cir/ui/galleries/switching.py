"""Which gallery a visitor searches: what is on offer, and what switching takes back. No gradio, no HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cir.errors import BadQuery
from cir.gallery.sources import same_folder
from cir.shelf import Shelf
from cir.ui.galleries.standing import job_words
from cir.ui.narrowing import Only

if TYPE_CHECKING:
    from cir.gallery.background import IndexingJob
    from cir.gallery.gallery import Gallery
    from cir.ui.handlers import Session


def offer(shelf: Shelf, session: Session) -> tuple[list[tuple[str, int]], int]:
    """The galleries that can be searched as (words, number), and the number of the present one.

    A gallery that was deleted meanwhile gives way to the one that the page began with.
    """
    entries = [entry for entry in shelf.entries() if not entry.problem]
    session.galleries = tuple(entry.name for entry in entries)
    if session.gallery not in session.galleries:
        switch_to(session, "")
    choices = [(f"{entry.title} ({entry.images:,})", number) for number, entry in enumerate(entries)]
    return choices, session.galleries.index(session.gallery)


def read_choice(session: Session, number: object) -> str:
    """The name of the gallery that was chosen.

    Raises:
        BadQuery: the number is none of those on offer.
    """
    known = not isinstance(number, bool) and isinstance(number, int) and 0 <= number < len(session.galleries)
    if not known:
        raise BadQuery("That gallery is not there any more.", "Choose one from the list.")
    return session.galleries[number]  # type: ignore[index]


def switch_to(session: Session, name: str) -> bool:
    """Search another gallery from now on. What belongs to the old one is taken back: its reference, its results.

    Returns:
        Whether a picked reference was taken back, so that the page has to clear it.
    """
    was_picked = bool(session.picked_id)
    session.gallery, session.only = name, Only()
    session.picked_id = session.reference_id = session.inspected_id = session.intended_id = ""
    session.composed, session.result_ids, session.notes = None, (), ()
    session.machine, session.signed, session.selected, session.step = None, (), (), 0
    session.searches += 1  # a search that is under way was about the old gallery: it ends at its next stage
    session.page = 0
    return was_picked


def notes_of(gallery: Gallery, job: IndexingJob | None = None) -> list[str]:
    """What is to be known of a gallery before it is searched, and what the present indexing does with it."""
    notes = [*gallery.notes, getattr(gallery, "caption_note", "")]
    if (
        job is not None
        and job.is_running
        and job.root
        and gallery.root
        and same_folder(job.root, gallery.root)
    ):
        notes.append(f"It is being indexed now: {job_words(job)}")
    return notes
