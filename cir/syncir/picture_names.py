"""Where the pictures of a file of triplets are: the gallery that they were made from, by the file's own word.

Triplets name pictures by their ids in that gallery, which mean nothing anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cir.errors import CirError, GalleryError
from cir.gallery.opening import picture_places
from cir.places import SAMPLE_GALLERY, gallery_cache
from cir.syncir.records import read_manifest
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
    name = gallery or manifest.get("gallery", {}).get("name", "")
    # The shipped gallery's name may be that of one of people's own, too: the pictures decide.
    for one in [name] if gallery else [*filter(None, [name]), SAMPLE_GALLERY]:
        try:
            root, places = picture_places(one, gallery_cache())
        except GalleryError:
            if gallery:
                raise
            continue
        if ids & places.keys() or not ids:
            return root, places
    where = f"no gallery here that is called {name}" if name else "no gallery here"
    raise CirError(
        f"The pictures of {file.name} are in {where}.",
        "Name the gallery that the triplets were made from: --gallery NAME",
    )
