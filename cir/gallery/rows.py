"""The sqlite database of a gallery: its tables, how it is opened, and how a gallery is read from it.

Tables: `files` (path -> content hash), `features` (content hash -> row of a shard), `captions`, `dates`,
`shards`. The
log (WAL) keeps it whole when the process is killed. It knows neither images nor what is in a shard.
"""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

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
_GALLERY = f"""
SELECT f.image_id, f.relative, f.content_hash, s.name, x.row, cs.name, c.row, t.texts {{taken}}
{GALLERY_TABLES} {{dates}} ORDER BY f.relative
"""
_WITH_DATES = _GALLERY.format(taken=", d.taken", dates="LEFT JOIN dates d ON d.content_hash = f.content_hash")
_WITHOUT_DATES = _GALLERY.format(taken=", NULL", dates="")
_HAS_DATES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'dates'"


class GalleryRow(NamedTuple):
    """One image of a gallery: who it is, and where its features are."""

    image_id: str
    relative: bytes
    content_hash: str
    shard: str
    row: int
    caption_shard: str | None
    caption_row: int | None
    texts: str | None  # JSON list of captions
    taken: str | None  # ISO 8601, local time of the camera


def read_rows(folder: Path, manifest: Manifest) -> list[GalleryRow]:
    """The rows of a gallery in order of their paths, from one snapshot; nothing is written.

    Raises:
        GalleryError: the database is not there or damaged.
    """
    try:
        with closing(_connect_to_read(folder / ROWS, packed=manifest.packed)) as database:
            dated = database.execute(_HAS_DATES).fetchone()[0]  # an older gallery has no such table
            sql = _WITH_DATES if dated else _WITHOUT_DATES
            with _without_collecting():
                return list(map(GalleryRow._make, database.execute(sql, key_values(manifest.models))))
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
