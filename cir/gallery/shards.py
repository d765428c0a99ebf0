"""Files that are whole or absent: atomic writes, and features in immutable shards named by their SHA-256.

A shard is a .npy file of one matrix. Its name is the checksum of its bytes, so a flipped bit or a missing end
is noticed when it is read. This module knows neither galleries nor what the rows stand for.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.errors import GalleryError, UnsafeFile
from cir.gallery.stored_rows import BLOCK, NONE, SMALL, StoredRows, load_matrix
from cir.whole_files import NO_ROOM, write_whole

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_SQLITE_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_AGAIN = "Index again: python -m cir index PHOTOS"
READERS = 2  # shards that are read at once
MAPPED_FROM = 4096  # rows of a shard: a map holds a file open, so the rows of smaller ones are kept in memory


@contextlib.contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn what the disk and sqlite raise while gallery `name` is written into sentences.

    Raises:
        GalleryError: the disk is full, the folder cannot be written, the database is damaged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _disk_full(name) from error
        if error.errno in _NOT_WRITABLE:
            raise _not_writable(name) from error
        message = f"The index of {name} could not be written: {error.strerror}."
        raise GalleryError(message, _AGAIN) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest the detail
        if code == sqlite3.SQLITE_FULL:
            raise _disk_full(name) from error
        if code in _SQLITE_NOT_WRITABLE:
            raise _not_writable(name) from error
        message = f"The index of {name} could not be written: {error}."
        raise GalleryError(message, _AGAIN) from error


def write_shard(folder: Path, rows: NDArray[np.floating]) -> str:
    """Write one matrix as a shard.

    Args:
        folder: where shards are kept.
        rows: (N, D), float32 or float16.

    Returns:
        Its name: the SHA-256 of the file, 64 hex digits.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(rows), allow_pickle=False)
    data = buffer.getvalue()
    name = hashlib.sha256(data).hexdigest()
    write_whole(shard_path(folder, name), data)
    return name


def read_shard(folder: Path, name: str) -> NDArray[np.float32]:
    """The matrix of a shard as (N, D) float32, once its checksum was found right.

    Raises:
        UnsafeFile: the file is gone, cannot be read, is not what its name says, or no matrix.
    """
    try:
        data = shard_path(folder, name).read_bytes()
    except OSError as error:
        raise UnsafeFile(f"The features in {name[:12]} cannot be read: {error.strerror}.", _AGAIN) from error
    if hashlib.sha256(data).hexdigest() != name:
        raise UnsafeFile(f"The features in {name[:12]} are damaged: the checksum differs.", _AGAIN)
    return _as_matrix(name, lambda: load_matrix(io.BytesIO(data))).astype(np.float32, copy=False)


def map_shard(folder: Path, name: str) -> NDArray[np.floating]:
    """The matrix of a shard (N, D) as it lies on the disk, once its checksum was found right; nothing of it is kept in memory.

    Raises:
        UnsafeFile: see `read_shard`.
    """
    path = shard_path(folder, name)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnsafeFile(f"The features in {name[:12]} cannot be read: {error.strerror}.", _AGAIN) from error
    if found != name:
        raise UnsafeFile(f"The features in {name[:12]} are damaged: the checksum differs.", _AGAIN)
    return _as_matrix(name, lambda: load_matrix(path, mapped=True))


def _as_matrix(name: str, load: Callable[[], NDArray]) -> NDArray[np.floating]:
    try:
        rows = load()  # never a pickle, whatever the checksum says
    except (ValueError, EOFError) as error:
        raise UnsafeFile(f"The features in {name[:12]} are not a matrix.", _AGAIN) from error
    if rows.ndim != 2 or rows.dtype not in (np.float32, np.float16):
        raise UnsafeFile(f"The features in {name[:12]} are not a matrix of floats.", _AGAIN)
    return rows


def gather_rows(
    folder: Path, dim: int, places: NDArray[np.int64], names: Mapping[int, str]
) -> tuple[StoredRows, NDArray[np.float32]]:
    """Rows out of many shards; each shard is read once, and its checksum compared.

    Args:
        folder: where the shards are.
        dim: D.
        places: (K,) shard << 32 | row; -1 where there is none.
        names: number of a shard -> its name.

    Returns:
        (K, D), zeros where there is no sound row; and the lengths (K,) of those that are there, undamaged, finite and
        not zero, 0 of the others.
    """
    asked, rows = places >> 32, (places & 0xFFFFFFFF).astype(np.int32)
    numbers = np.unique(asked[asked >= 0])
    shards, lengths = np.full(len(places), NONE, np.int32), np.zeros(len(places), np.float32)
    order = np.argsort(asked, kind="stable")
    edges = np.searchsorted(asked[order], [*numbers, np.iinfo(np.int64).max])
    wanted = [order[first:last] for first, last in pairwise(edges)]
    named = [names.get(int(number), "") for number in numbers]  # none of "": its rows stay unsound
    files: list[Path] = []
    small = [np.zeros((0, dim), np.float32)]
    with ThreadPoolExecutor(READERS) as pool:  # most of it is checksums, which hold no lock of Python
        read = pool.map(lambda name, here: _rows_of_shard(folder, name, rows[here], dim), named, wanted)
        for name, here, (norms, matrix) in zip(named, wanted, read, strict=True):
            sound = np.isfinite(norms) & (norms > 0)
            here = here[sound]
            lengths[here] = norms[sound]
            if matrix is None:
                shards[here] = len(files)
                files.append(shard_path(folder, name))
            else:
                shards[here], rows[here] = SMALL, sum(map(len, small)) + np.arange(len(here))
                small.append(matrix[sound])
    return StoredRows(files, np.concatenate(small), shards, rows, dim), lengths


def _rows_of_shard(
    folder: Path, name: str, rows: NDArray[np.int32], dim: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The lengths of some rows of a shard, 0 where they cannot be had; and the rows, where the shard is not to be mapped."""
    try:
        stored = map_shard(folder, name)
        if stored.shape[1] != dim:
            raise UnsafeFile(f"The features in {name[:12]} are not of {dim} dimensions.", _AGAIN)
        is_small = len(stored) < MAPPED_FROM
        matrix = stored[rows].astype(np.float32) if is_small else None
        lengths = _lengths(stored if matrix is None else matrix)
        return (lengths, matrix) if is_small else (lengths[rows], None)
    except (UnsafeFile, IndexError, ValueError):  # told by the rows that stay unsound
        return np.zeros(len(rows), np.float32), np.zeros((len(rows), dim), np.float32)


def _lengths(matrix: NDArray[np.floating]) -> NDArray[np.float32]:
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(matrix), BLOCK):
        part = np.asarray(matrix[start : start + BLOCK], np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            parts.append(np.linalg.norm(part, axis=1))
    return np.concatenate(parts)


def shard_path(folder: Path, name: str) -> Path:
    """Where the shard of that name is kept."""
    return folder / f"{name}.npy"


def _disk_full(name: str) -> GalleryError:
    return GalleryError(
        f"The disk is full: the index of {name} could not be written any further.",
        "Free some space and index again: it goes on where it stopped. What could be searched can still be searched.",
    )


def _not_writable(name: str) -> GalleryError:
    return GalleryError(
        f"The index of {name} cannot be written: its folder allows no writing.",
        "Choose another cache folder, or allow writing. What could be searched can still be searched.",
    )
