"""Features of a gallery's images by other encoders than its own: how they are made, kept beside its own, and read.

Each encoder is a space of its own, known by the encoder's fingerprint; its rows lie in the gallery's shards and tables,
under a key of their own. A space is searched when every image has a row in it. Knows no method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import numpy as np

from cir.errors import GalleryError, MissingFeatures
from cir.files import display_name
from cir.gallery.cache import GalleryCache, open_cache
from cir.gallery.encoding import Encoders, Reading, ThisProcess
from cir.gallery.gallery import Gallery
from cir.gallery.manifest import (
    FEATURES,
    SPACES,
    Manifest,
    image_key,
    moment,
    read_manifest,
    source_root_of,
    write_manifest,
)
from cir.gallery.opening import STORED_FROM
from cir.gallery.rows import read_places
from cir.gallery.shards import gather_rows, storage_errors
from cir.gallery.stored_rows import NONE, StoredRows
from cir.gallery.upkeep import drop_damaged, merge_shards
from cir.models.protocols import ImageEncoder
from cir.text import counted


@dataclass(frozen=True, slots=True)
class SpaceProgress:
    """How far the features of a space are.

    Attributes:
        done, total: images that have them, of how many.
        skipped: (path inside the folder, reason) of those that could not be read.
    """

    done: int
    total: int
    skipped: tuple[tuple[str, str], ...] = ()


def open_space(gallery: Gallery, fingerprint: str, dim: int) -> Gallery:
    """The same images in the same order with the rows of another encoder, and without captions.

    Args:
        gallery: an open one.
        fingerprint: of the encoder.
        dim: D, the length of its rows.

    Raises:
        MissingFeatures: not every image has a row of it. There is no remedy in it: who asks knows what they are for.
        GalleryError: the gallery on the disk is not there any more, or damaged.
    """
    if fingerprint in gallery.spaces:
        lengths = np.ones(len(gallery), np.float32)
        return _with_rows(gallery, gallery.spaces[fingerprint], lengths, fingerprint, dim)
    if gallery.folder is None:
        raise _missing(gallery, len(gallery))
    key = image_key(fingerprint)
    places, shards = read_places(gallery.folder, read_manifest(gallery.folder), key)
    wanted = np.fromiter(map(places.get, gallery.contents, repeat(-1)), np.int64, len(gallery))
    raw, lengths = gather_rows(gallery.folder / FEATURES, dim, wanted, shards)
    if lacking := len(lengths) - np.count_nonzero(lengths):
        raise _missing(gallery, int(lacking))
    stored = raw.among(np.arange(len(gallery)), lengths)
    opened = _with_rows(
        gallery, stored[:] if len(gallery) < STORED_FROM else stored, lengths, fingerprint, dim
    )
    return replace(opened, folder=gallery.folder / SPACES / key)


def add_space(folder: Path, encoder: ImageEncoder, *, batch_size: int = 32) -> Iterator[SpaceProgress]:
    """Encode the images of a gallery by another encoder. What is there stays, so a run that was stopped goes on.

    Args:
        folder: of the gallery.
        encoder: whose features it gets.
        batch_size: images that are encoded at once, and lost at most.

    Yields:
        How far it is, at the beginning and after each batch.

    Raises:
        GalleryError: the gallery is not there, is shipped, is being indexed, or cannot be written.
    """
    manifest = read_manifest(folder)
    if manifest.packed:
        raise GalleryError(
            f"{manifest.name} is shipped with its features and cannot be changed.",
            "Index its pictures as a gallery of your own: python -m cir index FOLDER",
        )
    with open_cache(folder, manifest.name) as cache:
        with storage_errors(manifest.name):
            (folder / SPACES / image_key(encoder.fingerprint)).mkdir(parents=True, exist_ok=True)
        try:
            yield from _encode(cache, manifest, encoder, batch_size)
        finally:  # stopped or whole: who has the gallery open looks at it again
            merge_shards(cache, image_key(encoder.fingerprint))
            with storage_errors(manifest.name):
                write_manifest(folder, replace(manifest, written=moment()))


def _encode(
    cache: GalleryCache, manifest: Manifest, encoder: ImageEncoder, batch_size: int
) -> Iterator[SpaceProgress]:
    own, key = manifest.models.image_key, image_key(encoder.fingerprint)
    drop_damaged(cache, key)
    total = manifest.images
    done = total - cache.count_without(own, key)
    skipped: list[tuple[str, str]] = []
    yield SpaceProgress(done, total)
    known = cache.hashes_with_features(key)
    reading = Reading(source_root_of(cache.folder, manifest), batch_size, thumbnails=False)
    for batch in ThisProcess(Encoders(encoder)).encode(reading, cache.files_without(own, key), known):
        rows = np.array(list(batch.features.values()), np.float32).reshape(-1, encoder.dim)
        sound = np.atleast_1d(np.isfinite(rows).all(axis=1) & rows.any(axis=1))
        hashes = [content for content, good in zip(batch.features, sound.tolist(), strict=True) if good]
        cache.store_features(key, hashes, rows[sound])
        known.update(hashes)
        for one in batch.files:
            if one.content not in known:
                reason = one.reason or "its features are not finite, or zero"
                skipped.append((display_name(one.file.relative), reason))
        done += len(batch.files)
        yield SpaceProgress(done - len(skipped), total, tuple(skipped))


def _with_rows(
    gallery: Gallery, rows: np.ndarray | StoredRows, norms: np.ndarray, fingerprint: str, dim: int
) -> Gallery:
    """A gallery with other rows of its images and none of captions."""
    count = len(gallery)
    nothing = np.zeros((0, dim), np.float32)
    places = np.full(count, NONE, np.int32)
    captions = StoredRows((), nothing, places, places, dim)
    return replace(
        gallery,
        image_features=rows,
        caption_features=captions if isinstance(rows, StoredRows) else captions[:],
        captioned=np.zeros(count, dtype=bool),
        norms=norms,
        fingerprints={"image_encoder": fingerprint},
        kept=None,
        spaces={},
    )


def _missing(gallery: Gallery, lacking: int) -> MissingFeatures:
    return MissingFeatures(
        f"Of {counted(len(gallery), 'picture')} of {gallery.name}, {lacking:,} have none of them yet."
    )
