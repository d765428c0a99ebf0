"""While a folder is indexed: is it still there, and can what was known of it still be read?

A disk that is pulled, a share that hangs up or a folder that is renamed shows itself only as files that cannot be
read, one after the other. This tells that from a few bad files. It knows neither rows nor models.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cir.errors import GalleryError
from cir.text import counted

_NOTHING_LOST = "Nothing was forgotten: the index is as it was."


class RootGone(GalleryError):
    """The folder of a gallery went away while it was indexed."""


class ManyUnreadable(GalleryError):
    """More than half of what a gallery holds cannot be read: going on without it has to be confirmed."""


class RootWatch:
    """Looks after one folder during one run."""

    def __init__(self, root: Path, name: str, *, known: int, confirmed: bool) -> None:
        """Remember which folder it is.

        Args:
            root: the folder, which is there now.
            name: of the gallery, for sentences.
            known: how many files the gallery held when the run began.
            confirmed: whether the run is to go on however many of them cannot be read.
        """
        self.root, self.name, self.known, self.confirmed = root, name, known, confirmed
        self._identity = _identity(root)
        self._unreadable = 0

    def check_root(self) -> None:
        """See to it that the folder is there, is the same one, and can be listed.

        Raises:
            RootGone: it is not.
        """
        if self._identity is None or _identity(self.root) != self._identity:
            message = f"The folder {self.root.name} went away while it was indexed. {_NOTHING_LOST}"
            raise RootGone(message, "Connect the disk, or put the folder back; then index it again.")

    def count_unreadable(self, files: int) -> None:
        """Count known files that could not be read; the folder itself is looked at as well.

        Raises:
            RootGone: the folder is not there any more.
            ManyUnreadable: by now it is more than half of all known files, and that was not confirmed.
        """
        self.check_root()
        self._unreadable += files
        if 2 * self._unreadable > self.known and not self.confirmed:
            known = counted(self.known, "image")
            message = f"Unreadable in {self.name}: {self._unreadable} of {known}. {_NOTHING_LOST}"
            remedy = "Check the disk and its permissions. To go on without them: "
            raise ManyUnreadable(message, f"{remedy}python -m cir index PHOTOS --confirm-purge")


def is_replaced(path: Path) -> bool:
    """Whether something that is no file stands there now: a link, a folder. What cannot be told is not replaced."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _identity(root: Path) -> tuple[int, int] | None:
    """Which folder this is; None when it is not there or cannot be listed (a share that went stale, say)."""
    try:
        with os.scandir(root):
            status = os.stat(root)
        return status.st_dev, status.st_ino
    except OSError:
        return None
