"""A folder -> the files below it that may be images, and what is left out on purpose.

No link is followed. It knows how files are called and how they begin, not what is in them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cir.errors import BadImage
from cir.exclusions import HIDDEN, Patterns, junk_file, junk_folder, marked_folder, patterns_of_folder
from cir.files import WalkedFile, kind_of, open_regular, why
from cir.formats import (
    IMAGE_SUFFIXES,
    RAW_BESIDE_PICTURE,
    RAW_WITHOUT_PACKAGE,
    begins_like_image,
    is_raw_name,
    raw_is_readable,
    unreadable_by_content,
    unreadable_by_name,
)

# Told of what is left out on purpose: (path inside the root, reason, pictures, whether it is a folder).
LeaveOut = Callable[[bytes, str, int, bool], None]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way: its path, and the patterns that count below it, each with where it begins."""

    path: bytes
    patterns: tuple[tuple[bytes, Patterns], ...]

    def reason(self, path: bytes, *, is_folder: bool) -> str:
        found = (p.reason(_inside(path, start), is_folder=is_folder) for start, p in self.patterns)
        return next(filter(None, found), "")


def walk_images(
    root: Path,
    *,
    exclude: Collection[Path] = (),
    patterns: Patterns | None = None,
    left_out: LeaveOut = lambda relative, reason, pictures, is_folder: None,
) -> Iterator[WalkedFile]:
    """Every file below `root` that may be an image, and what cannot be looked at, with the reason.

    Links are not followed, so nothing outside the root is met and no loop is walked. Folders that no person
    put pictures into, hidden ones, those that hold a .nomedia, and formats that are not read are told to
    `left_out`; other files that are no images by name and by their first bytes are passed over in silence.
    Files named like images are not opened.

    Args:
        root: a folder. What is said of folders by their names does not count for itself: it was asked for.
        exclude: folders that are passed over in silence, such as the cache.
        patterns: what else is left out.
        left_out: told of each file and folder that is left out on purpose.

    Yields:
        Candidates, and files and folders that cannot be read (with `skip_reason`), folder by folder in order
        of names.
    """
    top = os.fsencode(os.path.realpath(root))
    barred = {os.fsencode(os.path.realpath(folder)) for folder in exclude}
    waiting = [_Folder(top, ((top, patterns),) if patterns else ())]
    with_raw = raw_is_readable()
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
        except OSError as error:
            yield WalkedFile(_inside(folder.path, top), skip_reason=why(error))
            continue
        names = {entry.name for entry in entries}
        reason = marked_folder(os.path.basename(folder.path), names) if folder.path != top else ""
        if reason:
            left_out(_inside(folder.path, top), reason, _pictures_below(folder.path), True)
            continue
        own = patterns_of_folder(folder.path, names)
        here = _Folder(folder.path, (*folder.patterns, (folder.path, own))) if own else folder
        waiting.extend(reversed(list(_folders(here, entries, top, barred, left_out))))
        stems = {_stem(name) for name in names if _suffix(name) in IMAGE_SUFFIXES}
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                continue
            reason = _reason_by_name(entry, here, stems, with_raw)
            if reason is None:
                yield from _examine(entry, top, left_out)
            elif reason:
                left_out(_inside(entry.path, top), reason, 1, False)


def _folders(
    folder: _Folder,
    entries: Collection[os.DirEntry[bytes]],
    top: bytes,
    barred: Collection[bytes],
    left_out: LeaveOut,
) -> Iterator[_Folder]:
    """The folders in this one that are walked; the others are told to `left_out`."""
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False) or entry.path in barred:
            continue
        holder = os.path.basename(folder.path)
        reason = junk_folder(entry.name, holder) or folder.reason(entry.path, is_folder=True)
        if not reason:
            yield _Folder(entry.path, folder.patterns)
            continue
        pictures = _pictures_below(entry.path)
        if pictures or reason != HIDDEN:
            left_out(_inside(entry.path, top), reason, pictures, True)


def _reason_by_name(
    entry: os.DirEntry[bytes], folder: _Folder, stems: Collection[bytes], with_raw: bool
) -> str | None:
    """Why a file is left out without a look at it: "" for nothing worth a word, None when it is not."""
    suffix = _suffix(entry.name)
    is_raw, is_named_like_image = is_raw_name(suffix), suffix in IMAGE_SUFFIXES
    reason = junk_file(entry.name)
    if reason:
        return reason if is_raw or is_named_like_image or reason != HIDDEN else ""
    reason = folder.reason(entry.path, is_folder=False)
    if reason:
        return reason if is_raw or is_named_like_image else ""
    if is_raw and _stem(entry.name) in stems:
        return RAW_BESIDE_PICTURE
    if is_raw and not with_raw:
        return RAW_WITHOUT_PACKAGE
    return unreadable_by_name(suffix) or None


def _examine(entry: os.DirEntry[bytes], top: bytes, left_out: LeaveOut) -> Iterator[WalkedFile]:
    """One file as a candidate or as skipped; nothing when it is plainly no image."""
    relative, suffix = _inside(entry.path, top), _suffix(entry.name)
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            yield WalkedFile(relative, skip_reason="a link: links are not followed")
        elif not stat.S_ISREG(status.st_mode):
            yield WalkedFile(relative, skip_reason=f"not a file but {kind_of(status.st_mode)}")
        else:
            head = b"" if suffix in IMAGE_SUFFIXES or is_raw_name(suffix) else _beginning(entry.path)
            if head is None or (head and not begins_like_image(head)):
                reason = unreadable_by_content(head or b"")
                if reason:
                    left_out(relative, reason, 1, False)
                return
            yield WalkedFile(relative, status.st_size, status.st_mtime_ns)
    except OSError as error:
        yield WalkedFile(relative, skip_reason=why(error))


def _beginning(path: bytes) -> bytes | None:
    """The first bytes of a file; None when there are none to be had."""
    try:
        with open_regular(Path(os.fsdecode(path)), follow_links=False) as file:
            return file.read(64) or None
    except (BadImage, OSError):  # a film of a gigabyte, say: neither its name nor its content is an image's
        return None


def _pictures_below(folder: bytes) -> int:
    """How many files below a folder are named like images; what cannot be read counts for nothing."""
    count, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        count += _suffix(entry.name) in IMAGE_SUFFIXES
        except OSError:  # it is left out in any case
            continue
    return count


def _suffix(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0].lower()


def _inside(path: bytes, top: bytes) -> bytes:
    return path[len(top) :].replace(os.fsencode(os.sep), b"/").strip(b"/") or b"."
