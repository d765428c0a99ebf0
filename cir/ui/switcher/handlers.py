"""Which gallery a visitor searches: what is on offer, and what switching takes back. No gradio, no HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cir.errors import BadQuery
from cir.gallery.narrowing import Narrowing
from cir.gallery.sources import same_folder
from cir.shelf import Shelf
from cir.ui.galleries.status import job_words

if TYPE_CHECKING:
    from cir.gallery.background import IndexingJob
    from cir.gallery.searchable import Searchable
    from cir.ui.search.handlers import Session


BEGAN_WITH = "/"  # the key of the gallery that the page began with; no other can be called so


def offer(shelf: Shelf, session: Session) -> tuple[list[tuple[str, str]], str]:
    """The galleries that can be searched as (words, key), and the key of the present one.

    A gallery that was deleted meanwhile gives way to the one that the page began with.
    """
    entries = [entry for entry in shelf.entries() if not entry.problem]
    session.galleries = tuple(entry.name for entry in entries)
    if session.gallery not in session.galleries:
        switch_to(session, "")
    choices = [(f"{entry.title} ({entry.images:,})", entry.name or BEGAN_WITH) for entry in entries]
    return choices, session.gallery or BEGAN_WITH


def read_choice(session: Session, key: object) -> str:
    """The name of the gallery that was chosen: by its key, as the list may have changed on its way.

    Raises:
        BadQuery: it is none of those on offer.
    """
    name = "" if key == BEGAN_WITH else key
    if not isinstance(name, str) or name not in session.galleries:
        raise BadQuery("That gallery is not there any more.", "Choose one from the list.")
    return name


def switch_to(session: Session, name: str) -> bool:
    """Search another gallery from now on. What belongs to the old one is taken back: its reference, its results.

    Returns:
        Whether a picked reference was taken back, so that the page has to clear it.
    """
    was_picked = bool(session.picked_id)
    session.gallery, session.former_names, session.only = name, (), Narrowing()
    session.picked_id = session.reference_id = session.inspected_id = session.intended_id = ""
    session.text, session.image_path = "", None
    session.composed, session.result_ids, session.notes = None, (), ()
    session.machine, session.signed, session.selected, session.step = None, (), (), 0
    session.searches += 1  # a search that is under way was about the old gallery: it ends at its next stage
    session.page = 0
    return was_picked


def notes_of(gallery: Searchable, job: IndexingJob | None = None) -> list[str]:
    """What is to be known of a gallery before it is searched, and what the present indexing does with it."""
    notes = [*gallery.notes, gallery.caption_note]
    root = gallery.root
    if job is not None and job.is_running and job.root and root and same_folder(job.root, root):
        notes.append(f"It is being indexed now: {job_words(job)}")
    return notes
