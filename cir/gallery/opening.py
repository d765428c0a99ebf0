"""What indexing has left on disk -> a gallery in memory; what other models made is refused.

What was read of a large gallery is kept, so that it opens at once the next time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from cir.cache_keys import gallery_digest
from cir.errors import GalleryError
from cir.gallery.gallery import Gallery
from cir.gallery.kept_opening import Seen
from cir.gallery.manifest import (
    FEATURES,
    Manifest,
    locate_gallery,
    read_manifest,
    refuse_other_models,
    source_root_of,
)
from cir.gallery.rows import read_rows
from cir.gallery.shards import gather_rows
from cir.text import counted

STORED_FROM = 20_000  # images: their rows stay on the disk, where engines read those that they need
_AGAIN = "Index it again: python -m cir index PHOTOS"


def open_gallery(
    name_or_folder: str | Path,
    *,
    cache_root: Path,
    image_encoder_fingerprint: str,
    text_encoder_fingerprint: str | None = None,
) -> Gallery:
    """Open a gallery for searching. Nothing is written but what keeps a large one from being read again.

    Args:
        name_or_folder: a gallery's name, its own folder, or the folder of images that it was made from.
        cache_root: where galleries are kept.
        image_encoder_fingerprint: of the model that will encode queries.
        text_encoder_fingerprint: of the model that will encode texts; None when there are none.

    Raises:
        GalleryError: it is not there, is damaged beyond use, or was made by other models.
    """
    folder = locate_gallery(name_or_folder, cache_root)
    manifest = read_manifest(folder)
    refuse_other_models(manifest, image_encoder_fingerprint, text_encoder_fingerprint)
    if manifest.images < STORED_FROM:  # read in a moment: nothing of it is kept, and nothing waited for
        return _read_gallery(folder, manifest)
    seen = Seen(folder, manifest)
    return seen.kept() or seen.keep(_read_gallery(folder, manifest))


def _read_gallery(folder: Path, manifest: Manifest) -> Gallery:
    """The gallery from its tables and shards, each of which is compared with its checksum."""
    rows = read_rows(folder, manifest)
    raw, lengths = gather_rows(folder / FEATURES, manifest.dim, rows.places, rows.shards)
    means, caption_lengths = gather_rows(folder / FEATURES, manifest.dim, rows.caption_places, rows.shards)
    without = np.count_nonzero(rows.caption_places >= 0) - np.count_nonzero(caption_lengths)
    sound = np.flatnonzero(lengths)
    damaged = len(lengths) - len(sound)
    notes = _notes(manifest, len(lengths), damaged=damaged, without_captions=int(without))
    if not len(sound):
        raise GalleryError(f"There are no images in {manifest.name} that can be searched.", _AGAIN)
    norms = lengths[sound]
    image, captions = raw.among(sound, norms), means.among(sound)
    in_memory = len(sound) < STORED_FROM

    def of_sound(column: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(column[i] for i in sound) if damaged else column

    return Gallery(
        name=manifest.name,
        image_ids=of_sound(rows.image_ids),
        image_features=image[:] if in_memory else image,
        caption_features=captions[:] if in_memory else captions,
        captioned=caption_lengths[sound] > 0,
        norms=norms,
        fingerprints=manifest.models.fingerprints,
        notes=notes,
        relatives=of_sound(rows.relatives),
        texts=of_sound(rows.texts),
        contents=of_sound(rows.contents),
        root=source_root_of(folder, manifest),
        folder=folder,
        taken=of_sound(rows.taken),
        packed=manifest.packed,
        written=manifest.written,
    )


def picture_places(name_or_folder: str | Path, cache_root: Path) -> tuple[Path, dict[str, str], str]:
    """The folder of a gallery's pictures, image id -> path inside it, and the digest of what it holds.

    No model is asked, whoever made it.

    Args:
        name_or_folder: see `open_gallery`.
        cache_root: where galleries are kept.

    Raises:
        GalleryError: it is not there, or damaged.
    """
    folder = locate_gallery(name_or_folder, cache_root)
    manifest = read_manifest(folder)
    rows = read_rows(folder, manifest)
    places = dict(zip(rows.image_ids, map(os.fsdecode, rows.relatives), strict=True))
    content = gallery_digest(rows.image_ids, rows.contents, rows.texts)
    return source_root_of(folder, manifest), places, content


def _notes(manifest: Manifest, images: int, *, damaged: int, without_captions: int) -> tuple[str, ...]:
    name, notes = manifest.name, []
    if images != manifest.images:
        notes.append(
            f"{name} is being indexed, or that was interrupted: {counted(images, 'image')} can be searched."
        )
    if damaged:
        notes.append(
            f"Left out of {name}, as their features are damaged: {counted(damaged, 'image')}. {_AGAIN}"
        )
    if without_captions:
        notes.append(
            f"Captions of {counted(without_captions, 'image')} of {name} are damaged and left out. {_AGAIN}"
        )
    return tuple(notes)
