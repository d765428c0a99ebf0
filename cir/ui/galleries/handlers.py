"""What the tab "Galleries" does, as plain functions: keys of what is on offer in, sentences out.

No path and no gallery's name is believed because a browser sent it: what was offered is remembered in `Desk`,
and a click sends its key. An action is about the gallery that the page shows, not about the one last told of. This module knows neither gradio nor HTML.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cir.errors import BadQuery, CirError, GalleryError
from cir.exclusions import read_patterns
from cir.gallery.background import STOPPED, IndexingJob
from cir.gallery.folders import MOST_FOLDERS, OfferedFolder, offered_folders
from cir.gallery.indexing import ManyVanished
from cir.gallery.intake import UPLOADS, IntakeLimits, take_in, uploaded_bytes
from cir.gallery.left_out import LeftOut, read_left_out
from cir.gallery.manifest import MANIFEST, ROWS, gallery_folder
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.gallery.sources import galleries_of, move_gallery, name_gallery
from cir.shelf import Shelf, ShelfEntry
from cir.text import counted
from cir.ui.problems import Problem

if TYPE_CHECKING:
    from cir.gallery.background import Indexer

MOST_UPLOADS = 500


@dataclass(frozen=True, slots=True)
class Making:
    """What the page needs in order to make galleries.

    Attributes:
        indexer: makes them, one at a time.
        roots: folders of this computer below which galleries may be made; none for uploads alone.
        limits: how much may be uploaded.
        note: what the models of this page are good for, as a sentence; "" when there is nothing to say.
    """

    indexer: Indexer
    roots: tuple[Path, ...] = ()
    limits: IntakeLimits = field(default_factory=IntakeLimits)
    note: str = ""


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
class Desk:
    """What one page was shown, and is in the middle of.

    Attributes:
        names: the galleries on offer, in order.
        chosen: the name of the gallery that actions are about.
        folders: the folders on offer, by their keys, in order.
        doomed: the gallery whose deletion was asked for and is to be confirmed.
        report: what came of the last action.
        searched: what the Search tab was last told of the gallery that is searched.
    """

    names: tuple[str, ...] = ()
    chosen: str = ""
    folders: Mapping[str, OfferedFolder] = field(default_factory=dict)
    doomed: str = ""
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
        doomed: the gallery whose deletion is to be confirmed.
        left_out: what is no part of the chosen gallery, where the job does not say it.
        report: what came of the last action.
    """

    entries: tuple[ShelfEntry, ...]
    chosen: ShelfEntry | None
    job: IndexingJob
    can_resume: bool = False
    wants_confirmation: bool = False
    doomed: str = ""
    left_out: tuple[LeftOut, ...] = ()
    report: Report = Report()


def look(shelf: Shelf, making: Making, desk: Desk) -> Screen:
    """How things stand; remembers in `desk` what is on offer."""
    job = making.indexer.job  # before the entries: once it has ended, its gallery is among them
    entries = tuple(shelf.entries())
    own = {entry.name: entry for entry in entries if entry.own}
    desk.names = tuple(own)
    begun = job.is_running and job.name == desk.chosen  # and so it stays chosen, though it is not there yet
    if desk.chosen not in own and not begun:
        desk.chosen = next(iter(own), "")
    confirm = isinstance(job.problem, ManyVanished)
    broken_off = job.state == STOPPED or (job.problem is not None and not confirm)
    told = job.progress is not None and job.name == desk.chosen
    kept = () if told or desk.chosen not in own else left_out_of(shelf.cache_root, desk.chosen)
    return Screen(entries, own.get(desk.chosen), job, broken_off, confirm, desk.doomed, kept, desk.report)


def left_out_of(cache_root: Path, name: str) -> tuple[LeftOut, ...]:
    """What the last run left out of a gallery, and why."""
    return read_left_out(gallery_folder(cache_root, name))


def offer_folders(making: Making, desk: Desk) -> list[tuple[str, str]]:
    """The folders of this computer that a gallery can be made of: (words, key)."""
    desk.folders = {folder.key: folder for folder in offered_folders(making.roots)}
    return [(folder.label, key) for key, folder in desk.folders.items()]


def folders_note(desk: Desk) -> str:
    """A sentence about how a folder is found among those on offer; "" where they are few."""
    count = len(desk.folders)
    if count < MOST_FOLDERS:
        return "Type to find one." if count > 10 else ""
    return (
        f"Listed are the {counted(count, 'folder')} nearest to the top. For a deeper one choose the folder that holds it, or "
        "start with --gallery-root FOLDER."
    )


def choose(desk: Desk, name: object) -> None:
    """Say which gallery the actions are about.

    Raises:
        BadQuery: it is none of those on offer.
    """
    if name not in desk.names:
        raise BadQuery("That gallery is not there any more.", "Choose one from the list.")
    desk.chosen, desk.doomed = str(name), ""


def withdraw(desk: Desk) -> None:
    """Ask no more whether a gallery is to be deleted."""
    desk.doomed = ""


def make_of_folder(
    shelf: Shelf, making: Making, desk: Desk, key: object, name: object, exclude: object = ""
) -> Report:
    """Begin to index a folder of this computer. A folder that has a gallery already brings it up to date.

    Args:
        shelf, making, desk: of the page.
        key: of a folder on offer.
        name: what the gallery is to be called; "" for the folder's own.
        exclude: patterns that are left out; "" for those of the run before, "nothing" for none any more.

    Raises:
        CirError: no such folder, an impossible name, or something is being indexed.
    """
    patterns = _read_exclude(exclude)
    root, typed = _offered(desk, key).path(), _read_name(name)
    known = [one.folder.name for one in galleries_of(shelf.cache_root, root)]
    if known:
        chosen = typed if typed in known else known[0]
        making.indexer.start(root, chosen, exclude=patterns)
        desk.chosen = chosen
        unused = f" The name {typed} was not used." if typed not in ("", chosen) else ""
        return Report(f"That folder is the gallery {chosen}.{unused}", "It is brought up to date.")
    if typed:
        _refuse_taken(shelf, typed)
    naming = name_gallery(shelf.cache_root, root, typed)
    making.indexer.start(root, naming.name, exclude=patterns)
    desk.chosen = naming.name
    return Report(" ".join(naming.notes), f"The gallery {naming.name} is being made.")


def make_of_uploads(shelf: Shelf, making: Making, desk: Desk, files: object, name: object) -> Report:
    """Keep uploaded pictures, and begin to index them. A gallery of uploads with that name gets them as well.

    Raises:
        CirError: nothing was uploaded, no picture is among it, there is no room, or something is being indexed.
    """
    uploads = read_uploads(files)
    if making.indexer.job.is_running:
        raise GalleryError(
            f"{making.indexer.job.name} is being indexed.", "Wait until it is ready, or stop it."
        )
    wanted = _read_name(name)
    entry = next((e for e in shelf.entries() if e.name == wanted and e.uploaded), None) if wanted else None
    if wanted and entry is None:
        _refuse_taken(shelf, wanted)
    chosen = wanted or _free_name(shelf, "Uploads")
    folder = gallery_folder(shelf.cache_root, chosen)
    used = uploaded_bytes(shelf.cache_root)
    try:
        taken = take_in(uploads, folder, used_bytes=used, limits=making.limits)
    except CirError:
        if not any((folder / mark).exists() for mark in (MANIFEST, ROWS)):
            shutil.rmtree(folder, ignore_errors=True)  # it was made for these uploads alone
        raise
    making.indexer.start((folder / UPLOADS).absolute(), chosen)
    desk.chosen = chosen
    begun = f"The gallery {chosen} is being {'made' if entry is None else 'brought up to date'}."
    return Report(f"{counted(taken.kept, 'picture')} kept.", begun, taken.refused)


def read_uploads(files: object) -> list[tuple[Path, str]]:
    """(file, its name) of each upload, as the page sends them.

    Raises:
        BadQuery: nothing, too many, or something that is no upload.
    """
    rows = files if isinstance(files, list) else []
    if not rows:
        raise BadQuery("There is nothing to make a gallery of yet.", "Choose pictures, or a zip of pictures.")
    if len(rows) > MOST_UPLOADS:
        raise BadQuery(
            f"That is {counted(len(rows), 'file')} at once.",
            f"Upload at most {MOST_UPLOADS}, then the others.",
        )
    found = []
    for row in rows:
        path = row.get("path") if isinstance(row, dict) else None
        if not isinstance(path, str) or not path:
            raise BadQuery("An upload did not arrive as a file.", "Choose the files again.")
        name = row.get("orig_name")
        found.append((Path(path), name if isinstance(name, str) and name else Path(path).name))
    return found


def bring_up_to_date(shelf: Shelf, making: Making, desk: Desk) -> Report:
    """Look for new, changed and vanished files of the chosen gallery; also goes on where indexing was cut off.

    Raises:
        CirError: it is not there, its folder is away, or something is being indexed.
    """
    entry = _chosen(shelf, desk)
    making.indexer.start(_root_of(entry), entry.name)
    return Report(begun=f"{entry.title} is being brought up to date.")


def stop(making: Making, name: object) -> None:
    """Stop the indexing that the page shows.

    Raises:
        GalleryError: another gallery is being indexed by now.
    """
    if name != making.indexer.job.name:
        raise GalleryError("That indexing is over; another gallery is being indexed now.", "Look again.")
    making.indexer.stop()


def go_on(making: Making, name: object, *, confirm_purge: bool = False) -> Report:
    """Go on with what was stopped, or take vanished files out of the gallery, which was asked for.

    Args:
        making: of the page.
        name: of the gallery whose indexing the page shows.
        confirm_purge: whether vanished files are taken out.

    Raises:
        CirError: there is nothing to go on with, or another gallery was indexed since.
    """
    job = making.indexer.job
    if job.root is None or job.is_running:
        raise GalleryError("There is nothing to go on with.", "Choose a folder, or upload pictures.")
    if name != job.name:
        raise GalleryError("Another gallery was indexed since.", "Choose this one, and “Bring up to date”.")
    making.indexer.start(job.root, job.name, confirm_purge=confirm_purge, exclude=job.exclude)
    return Report(begun=f"{job.name} goes on.")


def rename(shelf: Shelf, making: Making, desk: Desk, name: object) -> Report:
    """Give the chosen gallery another name.

    Raises:
        CirError: the name is taken or impossible, or the gallery is being indexed.
    """
    entry, wanted = _chosen(shelf, desk), _read_name(name)
    if not wanted:
        raise BadQuery("There is no new name.", "Type one.")
    _refuse_busy(making, entry)
    rename_gallery(shelf.cache_root, entry.name, wanted)
    shelf.drop(entry.name)
    making.indexer.forget(entry.name)
    desk.chosen = wanted
    return Report(f"{entry.title} is called {wanted} now.")


def move(shelf: Shelf, making: Making, desk: Desk, key: object) -> Report:
    """Point the chosen gallery to the folder that its pictures are in now.

    Raises:
        CirError: no such folder, most of the pictures are not in it, or the gallery is being indexed.
    """
    entry, folder = _chosen(shelf, desk), _offered(desk, key)
    _refuse_busy(making, entry)
    move_gallery(shelf.cache_root, entry.name, folder.path())
    return Report(f"The pictures of {entry.title} are looked for in {folder.label} now.")


def ask_to_delete(shelf: Shelf, desk: Desk) -> None:
    """Remember which gallery is to be deleted once that is confirmed.

    Raises:
        GalleryError: there is none.
    """
    desk.doomed = _chosen(shelf, desk).name


def delete(shelf: Shelf, making: Making, desk: Desk, name: object) -> Report:
    """Delete the gallery whose deletion was asked for and is now confirmed.

    Args:
        shelf, making, desk: of the page.
        name: of the gallery that the page asks about.

    Raises:
        CirError: another one was asked about since, it is not there any more, or it is being indexed.
    """
    doomed, desk.doomed = desk.doomed, ""
    if not doomed or name != doomed:
        raise GalleryError("There is nothing to delete.", "Choose a gallery, and “Delete …”.")
    entry = shelf.entry(doomed)
    _refuse_busy(making, entry)
    delete_gallery(shelf.cache_root, doomed)
    shelf.drop(doomed)
    making.indexer.forget(doomed)
    left = "" if entry.uploaded else " Your pictures are where they were."
    return Report(f"{entry.title} is deleted.{left}")


def _offered(desk: Desk, key: object) -> OfferedFolder:
    if not isinstance(key, str) or key not in desk.folders:
        raise BadQuery("There is no folder chosen.", "Choose a folder from the list.")
    return desk.folders[key]


def _chosen(shelf: Shelf, desk: Desk) -> ShelfEntry:
    entry = shelf.entry(desk.chosen) if desk.chosen else None
    if entry is None or not entry.own:
        raise GalleryError("There is no gallery of your own yet.", "Make one of a folder, or of uploads.")
    return entry


def _root_of(entry: ShelfEntry) -> Path:
    if entry.root is None:
        raise GalleryError(
            f"It is not known which folder {entry.title} is made from.", "Index that folder again."
        )
    if not os.path.isdir(entry.root):
        message = f"The folder of {entry.title} is not there, so nothing was changed."
        remedy = (
            "Connect its disk, and try again. If it was renamed or moved, say where its pictures are now."
        )
        raise GalleryError(message, remedy)
    return entry.root


def _refuse_busy(making: Making, entry: ShelfEntry) -> None:
    if making.indexer.job.is_running and making.indexer.job.name == entry.name:
        raise GalleryError(f"{entry.title} is being indexed.", "Wait until it is ready, or stop it.")


def _read_exclude(typed: object) -> tuple[str, ...] | None:
    """Patterns, or None for those of the run before."""
    if typed is not None and not isinstance(typed, str):
        raise BadQuery("What is to be left out has to be text.", "Type patterns: *.png, Previews/")
    text = (typed or "").strip()
    if not text:
        return None
    return () if text.lower() == "nothing" else read_patterns([text])


def _read_name(name: object) -> str:
    if name is not None and not isinstance(name, str):
        raise BadQuery("The name has to be text.", "Type a name.")
    return " ".join((name or "").split())


def _refuse_taken(shelf: Shelf, name: str) -> None:
    if shelf.is_taken(name):
        raise GalleryError(f"There is a gallery {name} already.", "Choose another name.")


def _free_name(shelf: Shelf, wanted: str) -> str:
    names = itertools.chain([wanted], (f"{wanted} {number}" for number in itertools.count(2)))
    return next(name for name in names if not shelf.is_taken(name))
