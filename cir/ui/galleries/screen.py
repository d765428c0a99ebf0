"""What the tab "Galleries" shows, and what the server remembers of one page of it. No gradio, no HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cir.gallery.background import STOPPED, IndexingJob
from cir.gallery.folders import OfferedFolder
from cir.gallery.indexing import ManyVanished
from cir.gallery.intake import IntakeLimits
from cir.gallery.left_out import LeftOut, read_left_out
from cir.gallery.manifest import gallery_folder
from cir.shelf import Shelf, ShelfEntry
from cir.ui.problems import Problem

if TYPE_CHECKING:
    from cir.gallery.background import Indexer
    from cir.ui.galleries.model_sets import ModelSets


@dataclass(frozen=True, slots=True)
class GalleryIndexing:
    """How galleries are made on a page.

    Attributes:
        shelf: where they stand.
        indexer: makes them, one at a time.
        roots: folders of this computer below which galleries may be made; none for uploads alone.
        limits: how much may be uploaded.
        note: what the models of this page are good for, as a sentence; "" when there is nothing to say.
        models: what the set of this page is called.
        sets: other sets of models that the page may go on with; None where it may not.
    """

    shelf: Shelf
    indexer: Indexer
    roots: tuple[Path, ...] = ()
    limits: IntakeLimits = field(default_factory=IntakeLimits)
    note: str = ""
    models: str = ""
    sets: ModelSets | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an action.

    Attributes:
        done: a sentence that stays true.
        begun: a sentence that is true while the indexing that was begun goes on.
        refused: (name, reason) of the uploads that were not kept.
        problem: why nothing came of it.
    """

    done: str = ""
    begun: str = ""
    refused: tuple[tuple[str, str], ...] = ()
    problem: Problem | None = None

    def words(self, *, running: bool) -> str:
        """What is true now."""
        return " ".join(filter(None, (self.done, self.begun if running else "")))


@dataclass(slots=True)
class GalleriesSession:
    """What one page was shown, and is in the middle of.

    Attributes:
        names: the galleries on offer, in order.
        chosen: the name of the gallery that actions are about.
        folders: the folders on offer, by their keys, in order.
        to_delete: the gallery whose deletion was asked for and is to be confirmed.
        report: what came of the last action.
        searched: what the Search tab was last told of the gallery that is searched.
    """

    names: tuple[str, ...] = ()
    chosen: str = ""
    folders: Mapping[str, OfferedFolder] = field(default_factory=dict)
    to_delete: str = ""
    report: Report = Report()
    searched: object = None


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything that the tab shows.

    Attributes:
        entries: all galleries.
        chosen: the one that actions are about, None when there is none of one's own.
        job: the present or last indexing.
        can_resume: whether the last indexing can go on where it ended.
        wants_confirmation: whether it ended because most of its files have vanished.
        left_out: what is no part of the chosen gallery, where the job does not say it.
    """

    entries: tuple[ShelfEntry, ...]
    chosen: ShelfEntry | None
    job: IndexingJob
    can_resume: bool = False
    wants_confirmation: bool = False
    left_out: tuple[LeftOut, ...] = ()


def screen_of(indexing: GalleryIndexing, session: GalleriesSession) -> Screen:
    """How things stand; remembers in `session` what is on offer."""
    shelf = indexing.shelf
    job = indexing.indexer.job  # before the entries: once it ends, its gallery is among them
    entries = tuple(shelf.entries())
    own = {entry.name: entry for entry in entries if entry.own}
    session.names = tuple(own)
    begun = job.is_running and job.name == session.chosen  # it stays chosen, though it is not there yet
    if session.chosen not in own and not begun:
        session.chosen = next(iter(own), "")
    confirm = isinstance(job.problem, ManyVanished)
    broken_off = job.state == STOPPED or (job.problem is not None and not confirm)
    said_by_job = job.progress is not None and job.name == session.chosen
    chosen, left_out = own.get(session.chosen), ()
    if chosen is not None and not said_by_job:
        left_out = read_left_out(gallery_folder(shelf.cache_root, chosen.name))
    return Screen(entries, chosen, job, broken_off, confirm, left_out)
