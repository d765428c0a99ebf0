"""The sqlite database of a gallery: its tables, how it is opened, and how a gallery is read from it.

Tables: `files` (path -> content hash), `features` (content hash -> row of a shard), `captions`, `dates`,
`shards`. The
log (WAL) keeps it whole when the process is killed. It knows neither images nor what is in a shard.
"""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from urllib.parse import quote_from_bytes

import numpy as np
from numpy.typing import NDArray

from cir.errors import GalleryError
from cir.gallery.manifest import ROWS, SCHEMA, Manifest, Models

_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    relative BLOB PRIMARY KEY, image_id TEXT UNIQUE NOT NULL, content_hash TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_content ON files (content_hash);
CREATE TABLE IF NOT EXISTS shards (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, name TEXT NOT NULL, rows INTEGER NOT NULL, UNIQUE (key, name));
CREATE TABLE IF NOT EXISTS features (
    key TEXT NOT NULL, content_hash TEXT NOT NULL, shard INTEGER NOT NULL, row INTEGER NOT NULL,
    PRIMARY KEY (key, content_hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS captions (
    key TEXT NOT NULL, content_hash TEXT NOT NULL, texts TEXT NOT NULL,
    PRIMARY KEY (key, content_hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dates (content_hash TEXT PRIMARY KEY, taken TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE scan (relative BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;
"""
GALLERY_TABLES = """
FROM files f JOIN features x ON x.key = :images AND x.content_hash = f.content_hash
             JOIN shards s ON s.id = x.shard
             LEFT JOIN features c ON c.key = :features AND c.content_hash = f.content_hash
             LEFT JOIN shards cs ON cs.id = c.shard
             LEFT JOIN captions t ON t.key = :captions AND t.content_hash = f.content_hash
"""
# A place is the number of a shard and a row of it, as one whole number.
_PLACES = "SELECT content_hash, (shard << 32) | row FROM features WHERE key = ?"
_TEXTS = "SELECT content_hash, texts FROM captions WHERE key = ?"
_DATES = "SELECT content_hash, taken FROM dates"
_FILES = "SELECT image_id, relative, content_hash FROM files ORDER BY relative"
_HAS_DATES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'dates'"


@dataclass(frozen=True, slots=True, eq=False)
class GalleryRows:
    """K images of a gallery in order of their paths: who they are, and where their features are.

    Attributes:
        image_ids, relatives, contents: K ids, paths and content hashes.
        places, caption_places: (K,) shard << 32 | row; -1 where there are no features.
        texts: K JSON lists of captions; "" for none.
        taken: K times, ISO 8601, local time of the camera; "" for none.
        shards: number of a shard -> its name.
    """

    image_ids: tuple[str, ...]
    relatives: tuple[bytes, ...]
    contents: tuple[str, ...]
    places: NDArray[np.int64]
    caption_places: NDArray[np.int64]
    texts: tuple[str, ...]
    taken: tuple[str, ...]
    shards: Mapping[int, str]


def read_rows(folder: Path, manifest: Manifest) -> GalleryRows:
    """The rows of a gallery that have features, from one snapshot; nothing is written.

    Every table is read from its beginning to its end and joined here: of a million rows in half the time of a JOIN.

    Raises:
        GalleryError: the database is not there or damaged.
    """
    try:
        with (
            closing(_connect_to_read(folder / ROWS, packed=manifest.packed)) as database,
            _without_collecting(),
        ):
            return _rows_of(database, key_values(manifest.models))
    except (sqlite3.Error, OSError) as error:
        message = f"The index of {manifest.name} is damaged: {error}."
        raise GalleryError(message, "Index it again: python -m cir index PHOTOS") from error


def _rows_of(database: sqlite3.Connection, keys: Mapping[str, object]) -> GalleryRows:
    database.execute("BEGIN")  # one snapshot for all that follows
    images = dict(database.execute(_PLACES, (keys["images"],)))
    files = [file for file in database.execute(_FILES) if file[2] in images]
    image_ids, relatives, contents = zip(*files, strict=True) if files else ((), (), ())
    captions = dict(database.execute(_PLACES, (keys["features"],)))
    texts = dict(database.execute(_TEXTS, (keys["captions"],)))
    dated = database.execute(_HAS_DATES).fetchone()[0]  # an older gallery has no such table
    taken = dict(database.execute(_DATES)) if dated else {}
    return GalleryRows(
        image_ids,
        relatives,
        contents,
        np.fromiter(map(images.__getitem__, contents), np.int64, len(contents)),
        np.fromiter(map(captions.get, contents, repeat(-1)), np.int64, len(contents)),
        tuple(map(texts.get, contents, repeat(""))),
        tuple(map(taken.get, contents, repeat(""))),
        dict(database.execute("SELECT id, name FROM shards")),
    )


def read_places(folder: Path, manifest: Manifest, key: str) -> tuple[dict[str, int], dict[int, str]]:
    """Content hash -> place of its features under a key; number of a shard -> its name.

    Raises:
        GalleryError: the database is not there or damaged.
    """
    try:
        with closing(_connect_to_read(folder / ROWS, packed=manifest.packed)) as database:
            database.execute("BEGIN")
            places = dict(database.execute(_PLACES, (key,)))
            return places, dict(database.execute("SELECT id, name FROM shards WHERE key = ?", (key,)))
    except (sqlite3.Error, OSError) as error:
        message = f"The index of {manifest.name} is damaged: {error}."
        raise GalleryError(message, "Index it again: python -m cir index PHOTOS") from error


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Python looks through all that it made for circles again and again as more is made: of a million rows it need not."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def known_contents(folder: Path, limit: int) -> list[tuple[bytes, str]]:
    """(path inside the root, content hash) of some files of a gallery: the same ones each time, from anywhere in it.

    Raises:
        GalleryError: the database is not there or damaged.
    """
    sql = "SELECT relative, content_hash FROM files ORDER BY content_hash LIMIT ?"  # hashes are in no order of people's
    try:
        with closing(_connect_to_read(folder / ROWS, packed=False)) as database:
            return database.execute(sql, (limit,)).fetchall()
    except (sqlite3.Error, OSError) as error:
        message = f"The index of {folder.name} is damaged: {error}."
        raise GalleryError(message, "Index it again: python -m cir index PHOTOS") from error


def key_values(models: Models) -> dict[str, object]:
    """The keys of these models, as the parameters of GALLERY_TABLES."""
    return {
        "images": models.image_key,
        "captions": models.captions_key,
        "features": models.caption_features_key,
    }


def connect_to_write(path: Path) -> tuple[sqlite3.Connection, list[str]]:
    """Open a database for writing: made when it is not there, set aside and begun anew when it is damaged.

    Returns:
        The connection, which several threads may use in turn, and notes for the person.

    Raises:
        sqlite3.Error, OSError: the folder cannot be written.
    """
    try:
        return _connect(path), []
    except sqlite3.DatabaseError as error:
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if kind not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
    for end in ("", "-wal", "-shm"):
        part = path.with_name(path.name + end)
        if part.exists():
            os.replace(part, path.with_name(f"{path.name}.damaged{end}"))
    return _connect(path), [
        "The list of indexed files was damaged. It is set aside, and all is indexed anew."
    ]


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        intact = database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        if version not in (0, SCHEMA) or not intact:
            raise sqlite3.DatabaseError("no sound list of this version")
        database.executescript(_TABLES)
        database.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        database.close()
        raise
    return database


def _connect_to_read(path: Path, *, packed: bool) -> sqlite3.Connection:
    """Read only. `immutable` needs no file beside the database, so it works in a read-only folder too."""
    address = f"file:{quote_from_bytes(os.fsencode(path.absolute()))}?mode=ro"
    if not packed:
        database = sqlite3.connect(address, uri=True)
        try:
            database.execute("SELECT 1 FROM files LIMIT 1").fetchall()
            return database
        except sqlite3.OperationalError:
            database.close()
            log = path.with_name(f"{path.name}-wal")
            if log.exists() and log.stat().st_size:  # it holds rows that `immutable` would not see
                raise
    return sqlite3.connect(f"{address}&immutable=1", uri=True)
