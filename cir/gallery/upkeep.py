"""Repair and order in a gallery's cache: damaged shards, leftovers, many small shards, a gallery to ship."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cir.errors import GalleryError, UnsafeFile
from cir.gallery.cache import GalleryCache, open_cache
from cir.gallery.manifest import (
    FEATURES,
    LOCK,
    LOCK_HOLDER,
    SPACES,
    THUMBNAILS,
    image_key,
    read_manifest,
    write_manifest,
)
from cir.gallery.shards import read_shard, shard_path, storage_errors

SHARD_ROWS = 65_536
SMALL_SHARDS = 8  # every batch makes a shard; more small ones than this are merged


def sweep(cache: GalleryCache) -> None:
    """Delete what no row names: shards of a batch that was cut off or merged, and half-written files.

    Done at the beginning of a run, not after merging: a reader may still hold the older rows.
    """
    features = cache.folder / FEATURES
    shards = cache.database.execute("SELECT name FROM shards")
    named = {shard_path(features, row[0]).name for row in shards}
    with storage_errors(cache.name):
        for folder in (cache.folder, features, cache.folder / THUMBNAILS):
            for entry in os.scandir(folder):
                half_written = entry.name.startswith(".") and entry.name.endswith(".tmp")
                orphan = folder == features and entry.name not in named
                if entry.is_file() and (half_written or orphan):
                    os.unlink(entry.path)


def drop_damaged(cache: GalleryCache, key: str) -> int:
    """Forget the features under `key` whose shard is not what its name says; they will be made again.

    Returns:
        How many rows that were.

    Raises:
        GalleryError: the disk does not give a shard, which says nothing about what is in it.
    """
    dropped = 0
    sql = "SELECT id, name, rows FROM shards WHERE key = ?"
    for shard, name, rows in cache.database.execute(sql, (key,)).fetchall():
        try:
            intact = len(read_shard(cache.folder / FEATURES, name)) == rows
        except UnsafeFile as error:  # not in silence: the caller says how many rows are made again
            if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
                raise GalleryError(error.message, "Check the disk that the gallery is kept on.") from error
            intact = False
        if not intact:
            with cache.transaction():
                dropped += cache.database.execute("DELETE FROM features WHERE shard = ?", (shard,)).rowcount
                cache.database.execute("DELETE FROM shards WHERE id = ?", (shard,))
    return dropped


def merge_shards(
    cache: GalleryCache, key: str, *, everything: bool = False, dtype: type[np.floating] = np.float32
) -> None:
    """Write many small shards as few large ones, rows in order of their content hashes.

    Args:
        cache: whose shards.
        key: of which features.
        everything: merge whatever there is; otherwise the small shards, once they are many.
        dtype: float32, or float16 for half the size.
    """
    sql = "SELECT id, name FROM shards WHERE key = ? AND (rows < ? OR ?)"
    shards = dict(cache.database.execute(sql, (key, SHARD_ROWS, everything)).fetchall())
    if not everything and len(shards) <= SMALL_SHARDS:
        return
    matrices = {shard: read_shard(cache.folder / FEATURES, name) for shard, name in shards.items()}
    sql = "SELECT content_hash, shard, row FROM features WHERE key = ? ORDER BY content_hash"
    live = [row for row in cache.database.execute(sql, (key,)) if row[1] in matrices]
    kept = []
    for start in range(0, len(live), SHARD_ROWS):
        part = live[start : start + SHARD_ROWS]
        rows = np.stack([matrices[shard][row] for _, shard, row in part]).astype(dtype)
        hashes = [content for content, _, _ in part]
        name = cache.write_rows(hashes, rows)
        with cache.transaction():
            kept.append(cache.insert_features(key, hashes, name))
    with cache.transaction():
        outdated = [(shard,) for shard in shards if shard not in kept]
        cache.database.executemany("DELETE FROM shards WHERE id = ?", outdated)


def pack_gallery(folder: Path, *, half: bool = False, spaces: Sequence[str] = ()) -> None:
    """Make a gallery small, read-only and self-contained, fit to be shipped in a repository.

    Its images have to lie inside its folder. So: put them into `assets/gallery/images`, call
    `index_folder(Path("assets/gallery/images"), name="gallery", cache_root=Path("assets"), thumbnails=False)`
    with the models, and then `pack_gallery(Path("assets/gallery"))`. What remains is one shard of image
    features, one of caption features, one sqlite file and the manifest. It opens from a read-only folder, and
    wherever it is moved.

    Args:
        folder: the gallery's folder.
        half: keep features as float16: half the size, relative error up to 0.0005.
        spaces: fingerprints of other encoders whose features are kept too (`cir.gallery.spaces`).

    Raises:
        GalleryError: its images lie elsewhere.
    """
    manifest = read_manifest(folder)
    if os.path.isabs(manifest.source_root):
        remedy = f"Put them below {folder.name}/images and index that folder."
        raise GalleryError(f"The images of {manifest.name} are not inside its own folder.", remedy)
    models = manifest.models
    with open_cache(folder, manifest.name) as cache:
        keys = (models.image_key, models.caption_features_key, *map(image_key, spaces))
        _keep_only(cache, keys, models.captions_key)
        for key in keys:
            merge_shards(cache, key, everything=True, dtype=np.float16 if half else np.float32)
        sweep(cache)
        with storage_errors(manifest.name):
            cache.database.execute("PRAGMA journal_mode = DELETE")
            cache.database.execute("VACUUM")
            write_manifest(folder, replace(manifest, packed=True))
    shutil.rmtree(folder / SPACES, ignore_errors=True)  # what engines keep
    for leftover in (LOCK, LOCK_HOLDER):
        (folder / leftover).unlink(missing_ok=True)
    if not any((folder / THUMBNAILS).iterdir()):
        (folder / THUMBNAILS).rmdir()


def _keep_only(cache: GalleryCache, keys: Sequence[str], captions: str) -> None:
    """Drop what this gallery does not need: rows and captions under other keys, and contents that no file has."""
    marks = ", ".join("?" * len(keys))
    with cache.transaction():
        cache.database.execute(f"DELETE FROM features WHERE key NOT IN ({marks})", keys)
        cache.database.execute(f"DELETE FROM shards WHERE key NOT IN ({marks})", keys)
        cache.database.execute("DELETE FROM captions WHERE key != ?", (captions,))
        for table in ("features", "captions", "dates"):
            sql = f"DELETE FROM {table} WHERE content_hash NOT IN (SELECT content_hash FROM files)"
            cache.database.execute(sql)
