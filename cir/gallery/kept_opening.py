"""A large gallery as it was read from its tables and shards, kept so that opening it again reads none of them.

It counts as long as all files of the gallery have the sizes and times that they had then. That says nothing of bits that
have flipped on the disk since: shards are compared with their checksums behind, by `is_sound`.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cir.cache_keys import digest_of, file_digest
from cir.gallery.cache import is_being_written
from cir.gallery.columns import Column
from cir.gallery.gallery import Gallery
from cir.gallery.kept_arrays import keep_arrays, read_arrays
from cir.gallery.manifest import FEATURES, ROWS, Manifest, source_root_of
from cir.gallery.stored_rows import StoredRows

KIND, VERSION = "opening", 1  # of how it is kept
SETTLED_SECONDS = (
    2.0  # since the last change: a later one has another time, however coarsely the disk tells it
)
_TEXTS = {"image_ids": str, "relatives": bytes, "texts": str, "contents": str, "taken": str}
_SIDES = "image_features", "caption_features"


class Seen:
    """The files of a gallery as they are now.

    Args:
        folder: of the gallery.
        manifest: of it.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        tables = [folder / ROWS, folder / f"{ROWS}-wal"]
        shards = sorted((folder / FEATURES).glob("*.npy"))
        status = {path.name: path.stat() for path in (*tables, *shards) if path.exists()}
        files = {name: (one.st_size, one.st_mtime_ns) for name, one in status.items() if one.st_size}
        self._source = digest_of(VERSION, asdict(manifest), files)
        self._newest = max((one.st_mtime for one in status.values()), default=0.0)

    def kept(self) -> Gallery | None:
        """The gallery of these files, as it was kept; None where that is not."""
        kept = read_arrays(self._folder, KIND, self._source)
        if kept is None:
            time.sleep(min(max(self._newest + SETTLED_SECONDS - time.time(), 0.0), SETTLED_SECONDS))
            return None
        arrays, facts, manifest = kept.arrays, kept.facts, self._manifest
        texts: dict[str, Any] = {
            name: Column(arrays[name], arrays[f"{name} ends"], kind) for name, kind in _TEXTS.items()
        }
        rows: list[StoredRows] = []
        for side in _SIDES:
            small, shards, places = (arrays[f"{side} {part}"] for part in ("small", "shards", "rows"))
            divisors = arrays["norms"] if side == _SIDES[0] else None
            files = [self._folder / FEATURES / name for name in facts[side]]
            try:
                rows.append(StoredRows(files, small, shards, places, manifest.dim, divisors))
            except (OSError, ValueError):  # replaced this moment
                return None
        return Gallery(
            name=manifest.name,
            image_features=rows[0],
            caption_features=rows[1],
            **texts,
            captioned=arrays["captioned"],
            norms=arrays["norms"],
            fingerprints=manifest.models.fingerprints,
            notes=tuple(facts["notes"]),
            root=source_root_of(self._folder, manifest),
            folder=self._folder,
            packed=manifest.packed,
            written=manifest.written,
            known_days=arrays["days"].view("datetime64[D]"),
            kept=kept,
        )

    def keep(self, gallery: Gallery) -> Gallery:
        """The same gallery, kept where that can be: not while it is written, or the disk is full or read only."""
        image, captions = gallery.image_features, gallery.caption_features
        if not isinstance(image, StoredRows) or not isinstance(captions, StoredRows) or gallery.packed:
            return gallery
        if is_being_written(self._folder):
            return gallery
        arrays = {"captioned": gallery.captioned, "norms": gallery.norms, "days": gallery.days.view(np.int64)}
        for name, kind in _TEXTS.items():
            column = Column.of(getattr(gallery, name), kind)
            arrays |= {name: column.data, f"{name} ends": column.ends}
        facts: dict[str, object] = {"notes": gallery.notes}
        for side, rows in zip(_SIDES, (image, captions), strict=True):
            arrays |= {f"{side} {part}": array for part, array in rows.parts.items()}
            facts[side] = [path.name for path in rows.files]
        try:
            keep_arrays(self._folder, KIND, self._source, arrays, facts)
        except OSError:
            return gallery
        return self.kept() or gallery


def is_sound(gallery: Gallery) -> bool:
    """Whether the shards of a gallery that was kept are still what their names say. All of them are read.

    Where they are not, it is not opened so again: the tables and shards are read, and damaged rows are left out.
    """
    kept = gallery.kept
    if kept is None:  # they were read this time
        return True
    sides = (gallery.image_features, gallery.caption_features)
    files = {path for side in sides if isinstance(side, StoredRows) for path in side.files}
    if kept.is_sound() and all(_is_shard(path) for path in sorted(files)):
        return True
    kept.forget()
    return False


def _is_shard(path: Path) -> bool:
    try:
        return file_digest(path) == path.stem
    except OSError:  # indexing has replaced it; what is mapped stays
        return not os.path.exists(path)
