"""What the tab "Galleries" does, as plain functions: keys of what is on offer in, sentences out.

No path and no gallery's name is believed because a browser sent it: what was offered is remembered in the session,
and a click sends its key. An action is about what the page shows, not about what the session was told of last.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from cir.errors import BadQuery, CirError, GalleryError
from cir.gallery.folders import MOST_FOLDERS, OfferedFolder, offered_folders
from cir.gallery.intake import UPLOADS, share_uploads, take_in, uploaded_bytes
from cir.gallery.manifest import MANIFEST, MOST_CHARACTERS, ROWS, gallery_folder
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.gallery.sources import galleries_of, move_gallery, name_gallery, same_folder
from cir.shelf import Shelf, ShelfEntry
from cir.text import counted
from cir.ui.galleries.reading import read_exclude, read_name, read_uploads
from cir.ui.galleries.screen import GalleriesSession, GalleryIndexing, Report


def offer_folders(indexing: GalleryIndexing, session: GalleriesSession) -> list[tuple[str, str]]:
    """The folders of this computer that a gallery can be made of: (words, key)."""
    session.folders = {folder.key: folder for folder in offered_folders(indexing.roots)}
    return [(folder.label, key) for key, folder in session.folders.items()]


def folders_note(session: GalleriesSession) -> str:
    """A sentence about how a folder is found among those on offer; "" where they are few."""
    count = len(session.folders)
    if count < MOST_FOLDERS:
        return "Type to find one." if count > 10 else ""
    return (
        f"Listed are the {counted(count, 'folder')} nearest to the top. For a deeper one choose the folder that holds it, or "
        "start with --gallery-root FOLDER."
    )


def choose(session: GalleriesSession, name: object) -> None:
    """Say which gallery the actions are about.

    Raises:
        BadQuery: it is none of those on offer.
    """
    if name not in session.names:
        raise BadQuery("That gallery is not there any more.", "Choose one from the list.")
    session.chosen, session.to_delete = str(name), ""


def withdraw(session: GalleriesSession) -> None:
    """Ask no more whether a gallery is to be deleted."""
    session.to_delete = ""


def make_of_folder(
    indexing: GalleryIndexing, session: GalleriesSession, key: object, name: object, exclude: object = ""
) -> Report:
    """Begin to index a folder of this computer. A folder that has a gallery already brings it up to date.

    Args:
        indexing, session: of the page.
        key: of a folder on offer.
        name: what the gallery is to be called; "" for the folder's own.
        exclude: patterns that are left out; "" for those of the run before, "nothing" for none any more.

    Raises:
        CirError: no such folder, an impossible name, or something is being indexed.
    """
    patterns = read_exclude(exclude)
    root, typed = _offered(session, key).path(), read_name(name)
    there = [one.folder.name for one in galleries_of(indexing.shelf.cache_root, root)]
    others = {entry.name for entry in indexing.shelf.entries() if entry.other_models}
    known = [one for one in there if one not in others]
    if known:
        chosen = typed if typed in known else known[0]
        indexing.indexer.start(root, chosen, exclude=patterns)
        session.chosen = chosen
        unused = f" The name {typed} was not used." if typed not in ("", chosen) else ""
        return Report(f"That folder is the gallery {chosen}.{unused}", "It is brought up to date.")
    if typed:
        _refuse_taken(indexing.shelf, typed)
    naming = name_gallery(indexing.shelf.cache_root, root, typed, another=bool(there))
    indexing.indexer.start(root, naming.name, exclude=patterns)
    session.chosen = naming.name
    return Report(" ".join(naming.notes), f"The gallery {naming.name} is being made.")


def make_of_uploads(
    indexing: GalleryIndexing, session: GalleriesSession, files: object, name: object
) -> Report:
    """Keep uploaded pictures, and begin to index them. A gallery of uploads with that name gets them as well.

    Raises:
        CirError: nothing was uploaded, no picture is among it, there is no room, or something is being indexed.
    """
    uploads = read_uploads(files)
    _refuse_busy(indexing)
    wanted = read_name(name)
    uploaded = {entry.name: entry for entry in indexing.shelf.entries() if entry.uploaded}
    entry = uploaded.get(wanted)
    if wanted and entry is None:
        _refuse_taken(indexing.shelf, wanted)
    chosen = wanted or _free_name(indexing.shelf, "Uploads")
    folder = gallery_folder(indexing.shelf.cache_root, chosen)
    used = uploaded_bytes(indexing.shelf.cache_root)
    try:
        taken = take_in(uploads, folder, used_bytes=used, limits=indexing.limits)
    except CirError:
        if not any((folder / mark).exists() for mark in (MANIFEST, ROWS)):
            shutil.rmtree(folder, ignore_errors=True)  # it was made for these uploads alone
        raise
    indexing.indexer.start((folder / UPLOADS).absolute(), chosen)
    session.chosen = chosen
    begun = f"The gallery {chosen} is being {'made' if entry is None else 'brought up to date'}."
    return Report(f"{counted(taken.kept, 'picture')} kept.", begun, taken.refused)


def bring_up_to_date(indexing: GalleryIndexing, session: GalleriesSession) -> Report:
    """Look for new, changed and vanished files of the chosen gallery; also goes on where indexing was cut off.

    Raises:
        CirError: it is not there, its folder is away, or something is being indexed.
    """
    entry = _chosen(indexing, session)
    if entry.other_models:  # it would be lost as what it is
        raise GalleryError(
            entry.problem, "Choose “Index again with these models”, which makes another beside it."
        )
    indexing.indexer.start(_root_of(entry), entry.name)
    return Report(begun=f"{entry.title} is being brought up to date.")


def index_again(indexing: GalleryIndexing, session: GalleriesSession) -> Report:
    """Index the pictures of the chosen gallery, which other models made, with those of this page: beside it.

    Raises:
        CirError: these models made it, its folder is away, or something is being indexed.
    """
    entry, shelf = _chosen(indexing, session), indexing.shelf
    if not entry.other_models:
        raise GalleryError(
            f"{entry.title} was made by the models of this page.", "Choose “Bring up to date”."
        )
    _refuse_busy(indexing)
    root, name = _root_of(entry), _name_beside(shelf, entry, indexing.models)
    if entry.uploaded:
        root = share_uploads(*(gallery_folder(shelf.cache_root, one) for one in (entry.name, name)))
    indexing.indexer.start(root, name)
    session.chosen = name
    kept = f"{entry.title} stays as it is, for the models that made it. When you no longer want it, choose it, and “Delete …”."
    return Report(kept, f"The gallery {name} is being made beside it.")


def stop(indexing: GalleryIndexing, name: object) -> None:
    """Stop the indexing that the page shows.

    Raises:
        GalleryError: another gallery is being indexed by now.
    """
    if name != indexing.indexer.job.name:
        raise GalleryError("That indexing is over; another gallery is being indexed now.", "Look again.")
    indexing.indexer.stop()


def go_on(indexing: GalleryIndexing, name: object, *, confirm_purge: bool = False) -> Report:
    """Go on with what was stopped, or take vanished files out of the gallery, which was asked for.

    Args:
        indexing: of the page.
        name: of the gallery whose indexing the page shows.
        confirm_purge: whether vanished files are taken out.

    Raises:
        CirError: there is nothing to go on with, or another gallery was indexed since.
    """
    job = indexing.indexer.job
    if job.root is None or job.is_running:
        raise GalleryError("There is nothing to go on with.", "Choose a folder, or upload pictures.")
    if name != job.name:
        raise GalleryError("Another gallery was indexed since.", "Choose this one, and “Bring up to date”.")
    indexing.indexer.start(job.root, job.name, confirm_purge=confirm_purge, exclude=job.exclude)
    return Report(begun=f"{job.name} goes on.")


def rename(indexing: GalleryIndexing, session: GalleriesSession, name: object) -> Report:
    """Give the chosen gallery another name.

    Raises:
        CirError: the name is taken or impossible, or the gallery is being indexed.
    """
    entry, wanted = _chosen(indexing, session), read_name(name)
    if not wanted:
        raise BadQuery("There is no new name.", "Type one.")
    _refuse_busy(indexing, entry)
    rename_gallery(indexing.shelf.cache_root, entry.name, wanted)
    indexing.shelf.drop(entry.name)
    indexing.indexer.forget(entry.name)
    session.chosen = wanted
    return Report(f"{entry.title} is called {wanted} now.")


def move(indexing: GalleryIndexing, session: GalleriesSession, key: object) -> Report:
    """Point the chosen gallery to the folder that its pictures are in now.

    Raises:
        CirError: no such folder, most of the pictures are not in it, or the gallery is being indexed.
    """
    entry, folder = _chosen(indexing, session), _offered(session, key)
    _refuse_busy(indexing, entry)
    move_gallery(indexing.shelf.cache_root, entry.name, folder.path())
    return Report(f"The pictures of {entry.title} are looked for in {folder.label} now.")


def ask_to_delete(indexing: GalleryIndexing, session: GalleriesSession) -> None:
    """Remember which gallery is to be deleted once that is confirmed.

    Raises:
        GalleryError: there is none.
    """
    session.to_delete = _chosen(indexing, session).name


def delete(indexing: GalleryIndexing, session: GalleriesSession, name: object) -> Report:
    """Delete the gallery whose deletion was asked for and is now confirmed.

    Args:
        indexing, session: of the page.
        name: of the gallery that the page asks about.

    Raises:
        CirError: another one was asked about since, it is not there any more, or it is being indexed.
    """
    asked, session.to_delete = session.to_delete, ""
    if not asked or name != asked:
        raise GalleryError("There is nothing to delete.", "Choose a gallery, and “Delete …”.")
    entry = indexing.shelf.entry(asked)
    _refuse_busy(indexing, entry)
    delete_gallery(indexing.shelf.cache_root, asked)
    indexing.shelf.drop(asked)
    indexing.indexer.forget(asked)
    left = "" if entry.uploaded else " Your pictures are where they were."
    return Report(f"{entry.title} is deleted.{left}")


def _offered(session: GalleriesSession, key: object) -> OfferedFolder:
    if not isinstance(key, str) or key not in session.folders:
        raise BadQuery("There is no folder chosen.", "Choose a folder from the list.")
    return session.folders[key]


def _chosen(indexing: GalleryIndexing, session: GalleriesSession) -> ShelfEntry:
    entry = indexing.shelf.entry(session.chosen) if session.chosen else None
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


def _refuse_busy(indexing: GalleryIndexing, entry: ShelfEntry | None = None) -> None:
    """Refuse while a gallery is being indexed: this one, or any."""
    job = indexing.indexer.job
    if job.is_running and (entry is None or job.name == entry.name):
        raise GalleryError(f"{job.name} is being indexed.", "Wait until it is ready, or stop it.")


def _refuse_taken(shelf: Shelf, name: str) -> None:
    if shelf.is_taken(name):
        raise GalleryError(f"There is a gallery {name} already.", "Choose another name.")


def _name_beside(shelf: Shelf, entry: ShelfEntry, models: str) -> str:
    """How the gallery of the same pictures by these models is called: the one that was begun, else a free name."""
    ending = f" ({models})" if models else " again"
    wanted = f"{entry.name[: MOST_CHARACTERS - len(ending) - 3].rstrip(' .')}{ending}"
    begun = next((one for one in shelf.entries() if one.name == wanted and not one.other_models), None)
    same = begun is not None and (entry.uploaded or _is_of(begun, entry.root))
    return wanted if same else _free_name(shelf, wanted)


def _is_of(entry: ShelfEntry, root: Path | None) -> bool:
    return entry.root is not None and root is not None and same_folder(entry.root, root)


def _free_name(shelf: Shelf, wanted: str) -> str:
    names = itertools.chain([wanted], (f"{wanted} {number}" for number in itertools.count(2)))
    return next(name for name in names if not shelf.is_taken(name))
