"""What indexing has left on disk -> a gallery in memory; what other models made is refused. Nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cir.errors import GalleryError
from cir.gallery.gallery import Gallery
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
    """Open a gallery for searching. Nothing is written.

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
    rows = read_rows(folder, manifest)
    raw, lengths = gather_rows(folder / FEATURES, manifest.dim, [(row.shard, row.row) for row in rows])
    places = [(row.caption_shard, row.caption_row) for row in rows]
    means, caption_lengths = gather_rows(folder / FEATURES, manifest.dim, places)
    without = sum(row is not None for _, row in places) - int(np.count_nonzero(caption_lengths))
    sound = np.flatnonzero(lengths)
    notes = _notes(manifest, len(rows), damaged=len(rows) - len(sound), without_captions=without)
    if not len(sound):
        raise GalleryError(f"There are no images in {manifest.name} that can be searched.", _AGAIN)
    norms = lengths[sound]
    image, captions = raw.among(sound, norms), means.among(sound)
    in_memory = len(sound) < STORED_FROM
    rows = [rows[i] for i in sound] if len(sound) < len(rows) else rows
    return Gallery(
        name=manifest.name,
        image_ids=tuple(row.image_id for row in rows),
        image_features=image[:] if in_memory else image,
        caption_features=captions[:] if in_memory else captions,
        captioned=caption_lengths[sound] > 0,
        norms=norms,
        fingerprints=manifest.models.fingerprints,
        notes=notes,
        relatives=tuple(row.relative for row in rows),
        texts=tuple(row.texts or "" for row in rows),
        contents=tuple(row.content_hash for row in rows),
        root=source_root_of(folder, manifest),
        folder=folder,
        taken=tuple(row.taken or "" for row in rows),
        packed=manifest.packed,
        written=manifest.written,
    )


def picture_places(name_or_folder: str | Path, cache_root: Path) -> tuple[Path, dict[str, str]]:
    """The folder of a gallery's pictures, and image id -> path inside it; no model is asked, whoever made it.

    Args:
        name_or_folder: see `open_gallery`.
        cache_root: where galleries are kept.

    Raises:
        GalleryError: it is not there, or damaged.
    """
    folder = locate_gallery(name_or_folder, cache_root)
    manifest = read_manifest(folder)
    rows = read_rows(folder, manifest)
    return source_root_of(folder, manifest), {row.image_id: os.fsdecode(row.relative) for row in rows}


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
