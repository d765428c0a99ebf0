"""Files that are whole or absent: atomic writes, and features in immutable shards named by their SHA-256.

A shard is a .npy file of one matrix. Its name is the checksum of its bytes, so a flipped bit or a missing end
is noticed when it is read. This module knows neither galleries nor what the rows stand for.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.errors import GalleryError, UnsafeFile
from cir.gallery.stored_rows import NONE, SMALL, StoredRows

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
        if error.errno in _FULL:
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


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that at any moment the old one or the new one is whole.

    Args:
        path: the file.
        data: its content.
        durable: wait for the disk, so that this holds after a power loss too.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


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
    write_atomically(shard_path(folder, name), data)
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
    try:
        rows = np.load(io.BytesIO(data), allow_pickle=False)  # never a pickle, whatever the checksum says
    except (ValueError, EOFError) as error:
        raise UnsafeFile(f"The features in {name[:12]} are not a matrix.", _AGAIN) from error
    if rows.ndim != 2 or rows.dtype not in (np.float32, np.float16):
        raise UnsafeFile(f"The features in {name[:12]} are not a matrix of floats.", _AGAIN)
    return rows.astype(np.float32, copy=False)


def gather_rows(
    folder: Path, dim: int, places: Sequence[tuple[str | None, int | None]]
) -> tuple[StoredRows, NDArray[np.float32]]:
    """Rows out of many shards; each shard is read once, and its checksum compared.

    Args:
        folder: where the shards are.
        dim: D.
        places: K times (shard, row); None where there is none.

    Returns:
        (K, D), zeros where there is no sound row; and the lengths (K,) of those that are there, undamaged, finite and
        not zero, 0 of the others.
    """
    names = list(dict.fromkeys(name for name, _ in places if name is not None))
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    asked = np.fromiter(
        (NONE if row is None else numbers.get(name, NONE) for name, row in places), np.int32, len(places)
    )
    rows = np.fromiter((-1 if row is None else row for _, row in places), np.int32, len(places))
    shards, lengths = np.full(len(places), NONE, np.int32), np.zeros(len(places), np.float32)
    order = np.argsort(asked, kind="stable")
    edges = np.searchsorted(asked[order], np.arange(len(names) + 1))
    wanted = [order[edges[number] : edges[number + 1]] for number in range(len(names))]
    files: list[Path] = []
    small = [np.zeros((0, dim), np.float32)]
    with ThreadPoolExecutor(READERS) as pool:  # most of it is checksums, which hold no lock of Python
        read = pool.map(lambda name, here: _rows_of_shard(folder, name, rows[here], dim), names, wanted)
        for name, here, (norms, matrix) in zip(names, wanted, read, strict=True):
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
        stored = read_shard(folder, name)
        matrix = stored[rows].reshape(len(rows), dim)
    except (UnsafeFile, IndexError, ValueError):  # told by the rows that stay unsound
        return np.zeros(len(rows), np.float32), np.zeros((len(rows), dim), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(matrix, axis=1)
    return lengths, None if len(stored) >= MAPPED_FROM else matrix


def shard_path(folder: Path, name: str) -> Path:
    """Where the shard of that name is kept."""
    return folder / f"{name}.npy"


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power loss, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_full(name: str) -> GalleryError:
    return GalleryError(
        f"The disk is full: the index of {name} could not be written any further.",
        "Free some space and index again: it goes on where it stopped. What is indexed can be searched.",
    )


def _not_writable(name: str) -> GalleryError:
    return GalleryError(
        f"The index of {name} cannot be written: its folder allows no writing.",
        "Choose another cache folder, or allow writing. What is indexed can be searched.",
    )
