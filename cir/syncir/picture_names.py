"""Which pictures a file of triplets means: those of the gallery that it was made from, or of one that has them by name.

Triplets that were made here name pictures by their ids in that gallery, which mean nothing anywhere else; those of other
projects by names or paths of files.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from cir.cache_keys import gallery_digest
from cir.errors import CirError, GalleryError
from cir.gallery.gallery import Gallery
from cir.gallery.opening import picture_places
from cir.gallery.searchable import Searchable
from cir.places import SAMPLES, SHIPPED_TRIPLETS, gallery_cache
from cir.syncir.records import read_manifest
from cir.syncir.table import TripletTable
from cir.types import Triplet


def pictures_of_triplets(
    file: Path, triplets: Iterable[Triplet], gallery: str | None = None
) -> tuple[Path, dict[str, str]]:
    """The folder of the pictures that triplets were made from, and image id -> path in it.

    An imported file has no gallery: its pictures are called as they were, and lie beside it.

    Args:
        file: of the triplets.
        triplets: what is in it.
        gallery: that they were made from; None for the one that the file's manifest names.

    Raises:
        CirError: no such gallery is here, or it has none of the pictures.
    """
    manifest = read_manifest(file)
    rows = list(triplets)
    ids = {one for row in rows for one in (row.reference_id, row.target_id, *row.members)}
    if not manifest and gallery is None:
        return file.parent, {one: one for one in ids}
    told = manifest.get("gallery", {})
    name = gallery or told.get("name", "")
    # A shipped gallery's name may be that of one of people's own, too, and its files may be called alike.
    own = [] if is_shipped(file) else [*filter(None, [name])]
    shipped = sorted(SAMPLES.values(), key=lambda folder: folder.name != name)
    found: list[tuple[tuple[bool, int], Path, dict[str, str]]] = []
    for one in [gallery] if gallery else [*own, *shipped]:
        try:
            root, places, content = picture_places(one, gallery_cache())
        except GalleryError:
            if gallery:
                raise
            continue
        if not ids or ids & places.keys():
            found.append(((content == told.get("content"), len(ids & places.keys())), root, places))
    if found:
        _, root, places = max(found, key=lambda one: one[0])  # of equals, the first
        return root, places
    where = f"no gallery here that is called {name}" if name else "no gallery here"
    raise CirError(
        f"The pictures of {file.name} are in {where}.",
        "Name the gallery that the triplets were made from: --gallery NAME",
    )


def is_shipped(file: Path) -> bool:
    """Whether a file of triplets came with the program, of a gallery that did, too."""
    return file.parent == SHIPPED_TRIPLETS


def has_pictures_of(table: TripletTable, gallery: Searchable) -> int:
    """How sure it is that triplets were made from a gallery; 0 where they were not, whatever its files are called.

    A picture's id follows its path, so that pictures of another gallery may have the same ones. What the gallery held
    decides; a gallery that has changed since is told by its name, one that came with the program by that, too.
    """
    if table.content and table.content == _content_of(gallery):
        return 3
    if table.gallery in ("", gallery.name):
        return (3 if gallery.packed else 0) if table.shipped else (1 if gallery.packed else 2)
    return 0


@lru_cache(maxsize=4)
def _content_of(gallery: Searchable) -> str:
    """The digest of what a gallery holds, as manifests of triplets have it; "" for one on a server."""
    if not isinstance(gallery, Gallery):
        return ""
    return gallery_digest(gallery.image_ids, gallery.contents, gallery.texts)


def in_gallery(triplets: Sequence[Triplet], gallery: Gallery) -> list[Triplet]:
    """Triplets with a gallery's own ids for their pictures; those of which it does not have both are left out.

    A picture is called by its id, or by the name or path of its file as another data set has it: with or without its
    folders, and without its ending where that says enough. Of several files of a name, the one whose folders agree
    most is meant; where none does more than another, the triplet is left out. Subgroups are not kept.
    """
    find = _Finder(gallery)
    found = []
    for triplet in triplets:
        reference, target = find(triplet.reference_id), find(triplet.target_id)
        if reference is not None and target is not None:
            own = (reference, target) == (triplet.reference_id, triplet.target_id)
            members = triplet.members if own else ()
            found.append(replace(triplet, reference_id=reference, target_id=target, members=members))
    return found


def own_id(gallery: Searchable, name: str) -> str:
    """A gallery's own id of what a triplet calls `name`, as `in_gallery` finds it; `name` where it is none of its pictures."""
    if not isinstance(gallery, Gallery):  # on a server: there a picture is called by its id alone
        return name
    return _finder_of(gallery)(name) or name


@lru_cache(maxsize=2)
def _finder_of(gallery: Gallery) -> _Finder:
    return _Finder(gallery)


class _Finder:
    """What another data set calls a picture -> its id in a gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self._ids = {*gallery.image_ids}
        self._by_stem: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for image_id, relative in zip(gallery.image_ids, gallery.relatives, strict=False):
            parts = PurePosixPath(os.fsdecode(relative)).parts
            for stem in {
                PurePosixPath(parts[-1]).stem,
                parts[-1],
            }:  # "a.b" may be all of a name, or more of it
                self._by_stem[stem].append((parts[::-1], image_id))

    def __call__(self, name: str) -> str | None:
        if name in self._ids:
            return name
        parts = PurePosixPath(name).parts[::-1]
        if not parts:
            return None
        files = self._by_stem.get(parts[0]) or self._by_stem.get(PurePosixPath(parts[0]).stem) or []
        alike = [(_agreeing(parts[1:], own[1:]), image_id) for own, image_id in files]
        most = max((count for count, _ in alike), default=0)
        meant = {image_id for count, image_id in alike if count == most}
        return meant.pop() if len(meant) == 1 else None


def _agreeing(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many folders of two paths agree, from the innermost."""
    count = 0
    for one, other in zip(folders, others, strict=False):
        if one != other:
            break
        count += 1
    return count
