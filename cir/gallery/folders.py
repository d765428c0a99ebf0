"""The folders on this computer that a visitor of the page may make a gallery of: those below allowed roots.

The page shows their names and hands back a key; a path from outside never reaches this module.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cir.errors import GalleryError
from cir.exclusions import junk_folder, marked_folder
from cir.files import display_name

_SALT = secrets.token_bytes(16)  # so that no key tells a path, not even to who guesses it
MOST_FOLDERS = 3000  # of which a browser still makes a list that can be searched


@dataclass(frozen=True, slots=True)
class OfferedFolder:
    """A folder that may be indexed: an allowed root, and a path inside it (b"" for the root itself)."""

    root: Path
    relative: bytes = b""

    @property
    def label(self) -> str:
        """Its name from the root's own on, as one harmless line; nothing of what is above the root."""
        top = display_name(os.fsencode(self.root.name)) or "everything"
        return " / ".join([top, *filter(None, display_name(self.relative).split("/"))])

    @property
    def key(self) -> str:
        """What a page hands back for it: the same however the list around it has changed, until the program ends."""
        path = os.fsencode(self.root) + b"/" + self.relative
        return hashlib.blake2b(path, key=_SALT, digest_size=8).hexdigest()

    def path(self) -> Path:
        """Where it is, checked again: it must still be a folder, and no link may have come into its path.

        Raises:
            GalleryError: it is gone, or leads elsewhere now.
        """
        top = os.fsencode(os.path.realpath(self.root))
        path = os.path.join(top, self.relative) if self.relative else top
        if not os.path.isdir(path):
            raise GalleryError(f"The folder {self.label} is not there.", "Is the disk connected?")
        if os.path.realpath(path) != path:
            raise GalleryError(
                f"The folder {self.label} leads elsewhere.", "Choose a folder that is no link."
            )
        return Path(os.fsdecode(path))


def offered_folders(roots: Sequence[Path], *, limit: int = MOST_FOLDERS) -> list[OfferedFolder]:
    """The folders below the roots, in order of their paths; the shallow ones where there are more than `limit`.

    Links, folders that indexing leaves out by their names or by what lies in them, such as galleries, and what cannot be
    read are passed over; a root that is not there offers nothing.
    """
    found: list[OfferedFolder] = []
    for folder in _by_depth(roots):
        if len(found) == limit:
            break
        found.append(folder)
    return sorted(found, key=lambda one: (roots.index(one.root), one.relative.split(b"/")))


def _by_depth(roots: Sequence[Path]) -> Iterator[OfferedFolder]:
    waiting = deque(OfferedFolder(root) for root in roots if root.is_dir())
    while waiting:
        folder = waiting.popleft()
        top = os.fsencode(os.path.realpath(folder.root))
        inside = os.path.join(top, folder.relative) if folder.relative else top
        subfolders, files = _entries(inside)
        if folder.relative and marked_folder(os.path.basename(inside), [*subfolders, *files]):
            continue
        yield folder
        waiting.extend(
            OfferedFolder(folder.root, b"/".join(filter(None, (folder.relative, name))))
            for name in subfolders
            if not junk_folder(name, os.path.basename(inside))
        )


def _entries(path: bytes) -> tuple[list[bytes], list[bytes]]:
    """The names of the folders in a folder, sorted, and those of all else in it."""
    folders: list[bytes] = []
    others: list[bytes] = []
    with (
        suppress(OSError),
        os.scandir(path) as entries,
    ):  # no permission, or gone since: it has nothing to offer
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return sorted(folders), others
