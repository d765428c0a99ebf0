"""Where a page keeps uploads: a folder of its process alone, which goes when that ends, or at the next start."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "recompose-"
IN_USE = ".in-use"  # locked by the process whose folder it is, for as long as that lives
YOUNG_SECONDS = 60.0  # a folder is made before it is locked


def keep_uploads_apart() -> None:
    """Give uploads a folder of this process alone, which nobody else may read and which goes when it ends.

    To be called before the page is built. A folder that $GRADIO_TEMP_DIR names is left to who named it.
    """
    if os.environ.get("GRADIO_TEMP_DIR"):
        return
    remove_left_behind(Path(tempfile.gettempdir()))
    folder = tempfile.mkdtemp(prefix=PREFIX)
    lock = FileLock(Path(folder, IN_USE))
    with suppress(OSError, NotImplementedError):  # without it, nobody else removes the folder
        lock.acquire(timeout=0)
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(_remove, Path(folder), lock)


def remove_left_behind(place: Path) -> None:
    """Remove the folders of processes that were killed: nobody holds their locks any more.

    Args:
        place: where such folders are made.
    """
    for mark in place.glob(f"{PREFIX}*/{IN_USE}"):
        lock = FileLock(mark)
        try:
            seen = mark.lstat()
            is_own = not hasattr(os, "getuid") or seen.st_uid == os.getuid() == mark.parent.lstat().st_uid
            if not is_own or time.time() - seen.st_mtime < YOUNG_SECONDS or mark.parent.is_symlink():
                continue
            lock.acquire(timeout=0)
        except (OSError, NotImplementedError, Timeout):  # in use, or not to be told
            continue
        _remove(mark.parent, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)
