"""What is kept of a gallery while it is written: rows in sqlite, features in shards, one writer at a time.

Features are keyed by content hash and encoder, captions by content hash and captioner. `store_images` and
`store_captions` write a shard first and then, in one transaction, the rows that name it: killed at any
moment, at most that batch is lost. It knows neither models nor images.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.errors import GalleryError
from cir.files import WalkedFile, image_id_of
from cir.gallery.manifest import FEATURES, LOCK, LOCK_HOLDER, ROWS, THUMBNAILS, Models
from cir.gallery.rows import GALLERY_TABLES, connect_to_write, key_values
from cir.gallery.shards import storage_errors, write_shard
from cir.whole_files import write_whole

_PAGE = 512
_PENDING = """
FROM scan s LEFT JOIN files f ON f.relative = s.relative
            LEFT JOIN features x ON x.key = ? AND x.content_hash = f.content_hash
WHERE (x.content_hash IS NULL OR f.size != s.size OR f.mtime_ns != s.mtime_ns OR ?)
"""
_WITHOUT = """
FROM files f JOIN features x ON x.key = :own AND x.content_hash = f.content_hash
             LEFT JOIN features o ON o.key = :other AND o.content_hash = f.content_hash
WHERE o.row IS NULL
"""
_UNCAPTIONED = """
FROM files f JOIN features x ON x.key = :images AND x.content_hash = f.content_hash
             LEFT JOIN captions t ON t.key = :captions AND t.content_hash = f.content_hash
             LEFT JOIN features c ON c.key = :features AND c.content_hash = f.content_hash
WHERE ((t.texts IS NULL AND :make) OR (t.texts IS NOT NULL AND c.row IS NULL AND :encode))
"""


class GalleryCache:
    """The cache of one gallery, open for writing. Made by `open_cache`, which holds the lock.

    Attributes:
        folder: where it is.
        name: what the gallery is called.
        database: the connection to its rows.
        notes: what had to be repaired, as sentences for the person.
    """

    def __init__(self, folder: Path, name: str, database: sqlite3.Connection, notes: list[str]) -> None:
        self.folder, self.name, self.database, self.notes = folder, name, database, notes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is executed inside, durable when it ends.

        Raises:
            GalleryError: the disk is full or cannot be written; nothing has changed then.
        """
        with storage_errors(self.name):
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise

    def count(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> int:
        """The single whole number that a query yields."""
        return int(self.database.execute(sql, values).fetchone()[0])

    # --- the files of the folder ---

    def record_scan(self, files: Iterable[WalkedFile]) -> int:
        """Remember which candidates the folder holds now. Returns how many."""
        rows = ((file.relative, file.size, file.mtime_ns) for file in files)
        self.database.execute("BEGIN")
        self.database.executemany("INSERT INTO scan VALUES (?, ?, ?)", rows)
        self.database.execute("COMMIT")
        return self.count("SELECT count(*) FROM scan")

    def count_files(self) -> int:
        """How many files are in the gallery."""
        return self.count("SELECT count(*) FROM files")

    def count_known(self, relatives: Iterable[bytes]) -> int:
        """How many of these paths are in the gallery."""
        sql = "SELECT count(*) FROM files WHERE relative = ?"
        return sum(self.count(sql, (relative,)) for relative in relatives)

    def count_contents(self) -> int:
        """How many different contents they have."""
        return self.count("SELECT count(DISTINCT content_hash) FROM files")

    def vanished(self) -> list[bytes]:
        """Indexed files that the scan did not meet."""
        sql = "SELECT relative FROM files WHERE relative NOT IN (SELECT relative FROM scan)"
        return [row[0] for row in self.database.execute(sql)]

    def forget(self, relatives: Sequence[bytes]) -> None:
        """Take files out of the gallery. Their features and captions stay: they are keyed by content."""
        if relatives:
            with self.transaction():
                self.database.executemany("DELETE FROM files WHERE relative = ?", [(r,) for r in relatives])

    def count_pending(self, key: str, *, everything: bool = False) -> int:
        """How many scanned files are new, changed, or without features under `key`."""
        return self.count(f"SELECT count(*) {_PENDING}", (key, everything))

    def pending_files(self, key: str, *, everything: bool = False) -> Iterator[WalkedFile]:
        """These files, in order of their paths; rows may be stored meanwhile."""
        sql = f"SELECT s.relative, s.size, s.mtime_ns {_PENDING} AND s.relative > ? ORDER BY 1 LIMIT ?"
        last = b""
        while page := self.database.execute(sql, (key, everything, last, _PAGE)).fetchall():
            yield from (WalkedFile(*row) for row in page)
            last = page[-1][0]

    def files_with(self, content: str) -> list[bytes]:
        """The paths of the files with this content hash, in order."""
        sql = "SELECT relative FROM files WHERE content_hash = ? ORDER BY 1"
        return [row[0] for row in self.database.execute(sql, (content,))]

    # --- features and captions ---

    def hashes_with_features(self, key: str) -> set[str]:
        """The content hashes that have features under `key`."""
        rows = self.database.execute("SELECT content_hash FROM features WHERE key = ?", (key,))
        return {row[0] for row in rows}

    def store_images(
        self,
        key: str,
        hashes: Sequence[str],
        rows: NDArray[np.float32],
        files: Iterable[tuple[WalkedFile, str]],
        taken: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the features of some contents, and the files that hold them.

        Args:
            key: `Models.image_key`.
            hashes: N content hashes.
            rows: (N, D) raw features.
            files: (file, content hash): what was read.
            taken: content hash -> when the picture was taken, ISO 8601, of those that say so.
        """
        shard = self.write_rows(hashes, rows)
        values = [(f.relative, image_id_of(f.relative), content, f.size, f.mtime_ns) for f, content in files]
        with self.transaction():
            self.insert_features(key, hashes, shard)
            self.database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)
            # An earlier reader may have found another day.
            self.database.executemany("DELETE FROM dates WHERE content_hash = ?", [(one,) for one in hashes])
            dates = (taken or {}).items()
            self.database.executemany("INSERT OR REPLACE INTO dates VALUES (?, ?)", dates)

    def count_without(self, own: str, other: str) -> int:
        """How many files have features under the key `own`, and none under `other`."""
        return self.count(f"SELECT count(*) {_WITHOUT}", {"own": own, "other": other})

    def files_without(self, own: str, other: str) -> Iterator[WalkedFile]:
        """These files, in order of their paths; rows may be stored meanwhile."""
        sql = (
            f"SELECT f.relative, f.size, f.mtime_ns {_WITHOUT} AND f.relative > :last ORDER BY 1 LIMIT :page"
        )
        values: dict[str, object] = {"own": own, "other": other, "last": b"", "page": _PAGE}
        while page := self.database.execute(sql, values).fetchall():
            yield from (WalkedFile(*row) for row in page)
            values["last"] = page[-1][0]

    def store_features(self, key: str, hashes: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Keep the features (N, D) of N contents whose files are known already."""
        shard = self.write_rows(hashes, rows)
        with self.transaction():
            self.insert_features(key, hashes, shard)

    def store_captions(
        self,
        models: Models,
        captions: Mapping[str, Sequence[str]],
        hashes: Sequence[str],
        rows: NDArray[np.float32],
    ) -> None:
        """Keep new captions by content hash, and the mean caption features (N, D) of N contents."""
        shard = self.write_rows(hashes, rows)
        key = models.captions_key
        values = [(key, content, json.dumps(list(texts))) for content, texts in captions.items()]
        with self.transaction():
            self.insert_features(models.caption_features_key, hashes, shard)
            self.database.executemany("INSERT OR REPLACE INTO captions VALUES (?, ?, ?)", values)

    def count_uncaptioned(self, models: Models, *, make: bool, encode: bool) -> int:
        """How many contents lack captions (if `make`) or have some without features (if `encode`)."""
        sql = f"SELECT count(DISTINCT f.content_hash) {_UNCAPTIONED}"
        return self.count(sql, key_values(models) | {"make": make, "encode": encode})

    def uncaptioned(self, models: Models, *, make: bool, encode: bool, page: int) -> Iterator[list[str]]:
        """These contents, `page` at a time, in order; rows may be stored meanwhile."""
        sql = (
            f"SELECT DISTINCT f.content_hash {_UNCAPTIONED} AND f.content_hash > :last ORDER BY 1 LIMIT :page"
        )
        values = key_values(models) | {"make": make, "encode": encode, "last": "", "page": page}
        while rows := self.database.execute(sql, values).fetchall():
            yield [row[0] for row in rows]
            values["last"] = rows[-1][0]

    def captions_of(self, models: Models, hashes: Sequence[str]) -> dict[str, list[str]]:
        """The captions that are already there, by content hash."""
        sql = "SELECT content_hash, texts FROM captions WHERE key = ? AND content_hash = ?"
        found: dict[str, list[str]] = {}
        for content in hashes:
            rows = self.database.execute(sql, (models.captions_key, content))
            found.update((row[0], json.loads(row[1])) for row in rows)
        return found

    def count_gallery(self, models: Models) -> tuple[int, int]:
        """(images with features, images with caption features)."""
        sql = f"SELECT count(*), count(c.row) {GALLERY_TABLES}"
        return self.database.execute(sql, key_values(models)).fetchone()

    def write_rows(self, hashes: Sequence[str], rows: NDArray[np.floating]) -> str:
        """Write the shard for these contents. Returns its name, "" when there are none."""
        if not hashes:
            return ""
        with storage_errors(self.name):
            return write_shard(self.folder / FEATURES, rows)

    def insert_features(self, key: str, hashes: Sequence[str], name: str) -> int:
        """Inside a transaction: say that the rows of shard `name` are the features of these contents.

        Returns:
            The shard's number; 0 when there are none.
        """
        if not hashes:
            return 0
        sql = "INSERT OR IGNORE INTO shards (key, name, rows) VALUES (?, ?, ?)"
        self.database.execute(sql, (key, name, len(hashes)))
        shard = self.count("SELECT id FROM shards WHERE key = ? AND name = ?", (key, name))
        values = [(key, content, shard, row) for row, content in enumerate(hashes)]
        self.database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", values)
        return shard


@contextmanager
def open_cache(folder: Path, name: str) -> Iterator[GalleryCache]:
    """Open the cache of a gallery for writing, alone; made when it is not there, repaired when damaged.

    Raises:
        GalleryError: another process holds it, or the folder cannot be written.
    """
    with storage_errors(name):
        for part in (folder, folder / FEATURES, folder / THUMBNAILS):
            part.mkdir(parents=True, exist_ok=True)
    with locked(folder, name):
        with storage_errors(name):
            database, notes = connect_to_write(folder / ROWS)
        with closing(database):
            yield GalleryCache(folder, name, database, notes)


def write_thumbnail(folder: Path, content: str, data: bytes) -> Path:
    """Keep a thumbnail by content hash. Returns where."""
    path = thumbnail_file(folder, content)
    write_whole(path, data, durable=False)
    return path


def thumbnail_file(folder: Path, content: str) -> Path:
    """Where the thumbnail of a content is kept."""
    return folder / THUMBNAILS / f"{content}.webp"


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the gallery's lock. The operating system frees it when its holder dies, however that happens."""
    from filelock import FileLock, Timeout

    # Not bound to a thread: a generator may be driven by one thread and closed by another.
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    holder = folder / LOCK_HOLDER
    with storage_errors(name):
        try:
            lock.acquire()
        except Timeout as error:
            pid = holder.read_text(encoding="ascii", errors="replace")[:10] if holder.exists() else "unknown"
            message = f"{name} is being indexed already: it is locked by pid {pid}."
            raise GalleryError(message, "Wait until that has finished, or end it.") from error
    try:
        with storage_errors(name):
            holder.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def is_being_written(folder: Path) -> bool:
    """Whether some process, this one or another, is writing the gallery in `folder` now. It is not waited for.

    The holder's number only says where to look: it also stays behind where a holder was killed, and may be another
    process's by now.
    """
    holder = folder / LOCK_HOLDER
    if not holder.exists():
        return False
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / LOCK, timeout=0):
            holder.unlink(missing_ok=True)
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written
        return False
    return False
