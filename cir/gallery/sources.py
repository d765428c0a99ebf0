"""Where the pictures of galleries are: which gallery a folder has, how a new one is called, and how one is pointed elsewhere.

A folder is the same by whatever path it is reached; pictures are the same by path and content. Nothing is
indexed here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from cir.errors import BadImage, GalleryError
from cir.files import content_hash, name_of
from cir.gallery.cache import locked
from cir.gallery.manifest import (
    MANIFEST,
    GallerySummary,
    gallery_folder,
    gallery_name,
    is_programs_own,
    list_galleries,
    noted_source,
    read_manifest,
    remember_source,
    source_root_of,
    write_manifest,
)
from cir.gallery.removal import existing_gallery
from cir.gallery.rows import known_contents
from cir.gallery.shards import storage_errors

SAMPLE = 32  # pictures that are looked for in another folder; most of them have to be there


@dataclass(frozen=True, slots=True)
class Naming:
    """How the gallery of a folder is called.

    Attributes:
        name: of the gallery.
        known: whether it is there already, so that indexing brings it up to date.
        notes: sentences about the name, and about other galleries that have these pictures.
    """

    name: str
    known: bool = False
    notes: tuple[str, ...] = ()


def name_gallery(
    cache_root: Path,
    root: Path,
    asked: str = "",
    *,
    another: bool = False,
    image_encoder: Callable[[], str] | None = None,
) -> Naming:
    """The name under which a folder is to be indexed: its gallery's, the one that was asked for, or a free one.

    Args:
        cache_root: where galleries are kept.
        root: the folder.
        asked: the name that a person gave.
        another: make another gallery of the folder, though it has one.
        image_encoder: tells the fingerprint of the one that is indexed with: of several galleries of the folder, the one that it
            made is meant. Asked only where there are several.

    Raises:
        GalleryError: the folder has a gallery of another name than the one that was asked for, that name is
            another folder's, or it can be no name.
    """
    notes = tuple(_overlaps(cache_root, root))
    there = galleries_of(cache_root, root)
    if len(there) > 1 and image_encoder is not None and not asked and not another:
        there = [one for one in there if one.fingerprints.get("image_encoder") == image_encoder()] or there
    names = [summary.folder.name for summary in there]
    wanted = asked or gallery_name(root)
    if wanted in names and not (another and not asked):
        return Naming(wanted, True, notes)
    if names and not another:
        if asked:
            message = f"The folder {_called(root)} is the gallery {names[0]} already."
            remedy = (
                "Leave the name out to bring that gallery up to date, or ask for another one of it: --another"
            )
            raise GalleryError(message, remedy)
        called = f"The folder {_called(root)} is the gallery {names[0]}, which is brought up to date."
        return Naming(names[0], True, (called, *notes))
    if asked:
        refuse_other_pictures(gallery_folder(cache_root, asked), root)
        return Naming(asked, False, notes)
    name = next(_free_names(cache_root, root, wanted))
    if os.path.lexists(gallery_folder(cache_root, name)):
        notes += (f"The gallery {name} follows its pictures to this folder.",)
    elif name != wanted:
        whose = "the program" if is_programs_own(wanted) else "another folder"
        notes += (f"The name {wanted} is taken by {whose}, so this gallery is called {name}.",)
    return Naming(name, False, notes)


def galleries_of(cache_root: Path, root: Path) -> list[GallerySummary]:
    """The galleries that are made of this very folder, by whatever path it is reached."""
    return [one for one in list_galleries(cache_root) if one.root is not None and same_folder(one.root, root)]


def same_folder(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder: through links, `..`, or another spelling where the disk knows none."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


def refuse_other_pictures(folder: Path, root: Path) -> None:
    """See to it that the gallery in `folder` may be made of `root`: it is, it is new, or its pictures are there now.

    Raises:
        GalleryError: it is made of another folder that is there, or most of its pictures are not in `root`.
    """
    before = _root_of(folder)
    if before is None or same_folder(before, root):
        return
    taken = f"The name {folder.name} is taken: that gallery was made from another folder, {_called(before)}"
    remedy = "Choose another: python -m cir index PHOTOS --name NAME"
    if os.path.isdir(before):
        raise GalleryError(f"{taken}.", remedy)
    found, looked_for = count_found(folder, root)
    if looked_for and 2 * found <= looked_for:
        raise GalleryError(f"{taken}, which is not there; {_not_here(found, looked_for, root)}", remedy)


def count_found(folder: Path, root: Path) -> tuple[int, int]:
    """How many pictures of the gallery in `folder` lie unchanged in `root`, and how many were looked for.

    Raises:
        GalleryError: the list of its pictures cannot be read.
    """
    known = known_contents(folder, SAMPLE)
    return sum(_is_at(root / os.fsdecode(relative), content) for relative, content in known), len(known)


def move_gallery(cache_root: Path, name: str, root: Path) -> None:
    """Point a gallery to the folder that its pictures are in now. They are not touched.

    Args:
        cache_root: where galleries are kept.
        name: of the gallery.
        root: the folder.

    Raises:
        GalleryError: there is no such gallery or folder, its pictures were uploaded, the folder has a gallery
            already, most of the pictures are not in it, or the gallery is being indexed.
    """
    folder, before = existing_gallery(cache_root, name), _root_of(gallery_folder(cache_root, name))
    if before is not None and before.is_relative_to(folder):
        raise GalleryError(f"The pictures of {name} are kept with the gallery itself.", "Rename it instead.")
    others = [one.folder.name for one in galleries_of(cache_root, root) if one.folder.name != name]
    if others:
        message = f"The folder {_called(root)} is the gallery {others[0]} already."
        raise GalleryError(message, "Choose another folder, or delete one of the two galleries.")
    found, looked_for = count_found(folder, root)
    if looked_for and 2 * found <= looked_for:
        message = f"That is not the folder of {name}: {_not_here(found, looked_for, root)}"
        raise GalleryError(
            message, "Choose the folder that holds them now, with the same folders and names inside."
        )
    with locked(folder, name), storage_errors(name):
        top = Path(os.path.realpath(root))
        if (folder / MANIFEST).exists():
            write_manifest(folder, replace(read_manifest(folder), source_root=os.fspath(top)))
        else:
            remember_source(folder, top)


def _called(root: Path) -> str:
    return name_of(Path(os.path.realpath(root)))


def _root_of(folder: Path) -> Path | None:
    """The folder that a gallery's pictures were in; None where that is not known, or there is no gallery."""
    try:
        return source_root_of(folder, read_manifest(folder))
    except GalleryError:
        return noted_source(folder)


def _is_at(path: Path, content: str) -> bool:
    try:
        return content_hash(path) == content
    except BadImage:  # gone, or not to be read: then it was not found
        return False


def _not_here(found: int, looked_for: int, root: Path) -> str:
    return f"of the pictures that were looked for in {_called(root)}, {found} of {looked_for} are there."


def _free_names(cache_root: Path, root: Path, wanted: str) -> Iterator[str]:
    """`wanted`, "wanted 2", ...: those that are no other folder's."""
    for number in count(1):
        name = wanted if number == 1 else f"{wanted} {number}"
        if is_programs_own(name):
            continue
        folder = gallery_folder(cache_root, name)
        if not os.path.lexists(folder) or _is_moved_here(folder, root):
            yield name


def _is_moved_here(folder: Path, root: Path) -> bool:
    before = _root_of(folder)
    if before is None or os.path.isdir(before):
        return False
    found, looked_for = count_found(folder, root)
    return 2 * found > looked_for


def _overlaps(cache_root: Path, root: Path) -> Iterator[str]:
    """Sentences about galleries whose folders lie in this one, or around it."""
    others = [one for one in list_galleries(cache_root) if one.root is not None]
    around = [one.folder.name for one in others if one.root and _is_inside(root, one.root)]
    inside = [one.folder.name for one in others if one.root and _is_inside(one.root, root)]
    if around:
        yield f"These pictures are also in {_named(around)}: a folder around this one was indexed."
    if inside:
        yield f"Some of these pictures are also in {_named(inside)}: a folder inside this one was indexed."


def _is_inside(path: Path, other: Path) -> bool:
    return any(same_folder(parent, other) for parent in Path(os.path.realpath(path)).parents)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{'the gallery' if len(names) == 1 else 'the galleries'} {', '.join(names[:3])}{more}"
