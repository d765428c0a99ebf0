"""Files that are written whole or not at all: a draft beside the place, which takes it once it is finished.

Each process and thread has a draft of its own, so that two that write the same file do not write into each other's; a
draft that fails is deleted.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

NO_ROOM = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
)  # what the system says of a full disk, and of one's share of it
_BLOCK = 2**16
LONGEST_NAME = 200  # bytes of a name that its draft's begins with: file systems take 255


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """The draft of a file, to be written by the body; at its end it takes the place of what was there.

    It is hidden and called `.NAME...tmp`, as whoever clears up after a killed process expects it. The folder has to be there.

    Args:
        path: the file.
        durable: wait for the disk, so that the old file or the new one is whole after a power loss, too.

    Raises:
        OSError: the disk is full, or the folder cannot be written; the old file stays.
    """
    name = os.fsencode(path.name)[:LONGEST_NAME].decode("utf-8", "replace")
    draft = path.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with _errors_of_the_disk(draft):
            yield draft
        if durable:
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    if durable:
        _sync_folder(path.parent)


@contextmanager
def _errors_of_the_disk(draft: Path) -> Iterator[None]:
    """Let the system say why it refuses to write, where a library has only said that writing failed, as torch does of a full disk.

    Raises:
        OSError: there is no room for more of the draft.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        refusal = _refusal(draft)
        if refusal is None:
            raise
        raise refusal from error


def _refusal(draft: Path) -> OSError | None:
    """What the system says to more bytes in a draft that has failed; None where it takes them."""
    try:
        with draft.open("ab", buffering=0) as file:
            for _ in range(2):  # of what has room in part, that part is written without an error
                file.write(bytes(_BLOCK))
            os.fsync(file.fileno())
    except OSError as error:
        return error if error.errno in NO_ROOM else None
    return None


def write_whole(path: Path, data: bytes | str, *, durable: bool = True) -> None:
    """Write bytes, or a text in UTF-8. See `replacing`."""
    with replacing(path, durable=durable) as draft, open(draft, "wb") as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, its keys sorted. See `replacing`."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True))


def write_array(path: Path, rows: ArrayLike) -> None:
    """Write an array as .npy. See `replacing`."""
    with replacing(path) as draft, draft.open("wb") as file:
        np.save(file, rows, allow_pickle=False)


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power loss, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
