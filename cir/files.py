"""Files of the disk: regular ones only, read once, named harmlessly, walked without following a link.

It knows how an image file is called and how it begins, not what is in it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cir.errors import BadImage

MAX_FILE_BYTES = 512 * 2**20  # room for 50 megapixels in 16 bits a channel, uncompressed
IMAGE_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif".split()
)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
_REASONS = {
    errno.EACCES: "permission denied",
    errno.ENOENT: "it is gone",
    errno.EIO: "the disk cannot read it",
    errno.ENAMETOOLONG: "its name is too long",
}


@dataclass(frozen=True, slots=True)
class WalkedFile:
    """A file that a walk met.

    Attributes:
        relative: its path inside the root, as the bytes of the file system: names need not be UTF-8.
        size: bytes.
        mtime_ns: when it was last changed, in nanoseconds.
        skip_reason: why it is no gallery image; "" for a candidate.
    """

    relative: bytes
    size: int = 0
    mtime_ns: int = 0
    skip_reason: str = ""


@contextmanager
def open_regular(path: Path, *, follow_links: bool) -> Iterator[io.BufferedReader]:
    """Open a regular file of sensible size. Nothing else is even opened: a pipe would wait for ever.

    Raises:
        BadImage: it is not there, cannot be opened, is no regular file, or is above 512 MB.
    """
    with open(_descriptor(path, follow_links), "rb") as file:
        yield file


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """The content of a regular file that is no link, and its status after it was read.

    Raises:
        BadImage: a link, a pipe, a device, a file that cannot be read or is above 512 MB.
    """
    with open_regular(path, follow_links=False) as file:
        try:
            return file.read(), os.fstat(file.fileno())
        except OSError as error:
            raise unreadable(name_of(path), error) from error


def content_hash(source: Path | bytes) -> str:
    """BLAKE2b of a file's content, 40 hex digits: the same for the same bytes under any name.

    Raises:
        BadImage: the file cannot be read.
    """
    content = source if isinstance(source, bytes) else read_bytes(source)[0]
    return hashlib.blake2b(content, digest_size=20).hexdigest()


def image_id_of(relative: bytes) -> str:
    """The id of a gallery image: 20 hex digits of the hash of its path inside the root.

    Stable, safe in a browser, different for names that only look alike, and silent about the disk.
    """
    return hashlib.blake2b(relative, digest_size=10).hexdigest()


def display_name(relative: bytes) -> str:
    """A file name as one harmless line: what is not UTF-8, or would steer the line, is shown as U+FFFD."""
    text = relative.decode("utf-8", "replace")
    return "".join("\ufffd" if _steers_the_line(character) else character for character in text)


def walk_images(root: Path, *, exclude: Collection[Path] = ()) -> Iterator[WalkedFile]:
    """Every file below `root` that may be an image, and what was left out, with the reason.

    Links are not followed, so nothing outside the root is met and no loop is walked. Names that begin with a
    dot, and files that are no images by name and by their first bytes, are passed over in silence. Files
    named like images are not opened.

    Args:
        root: a folder.
        exclude: folders that are passed over, such as the cache.

    Yields:
        Candidates, and skipped files and folders (with `skip_reason`), folder by folder in order of names.
    """
    top = os.fsencode(os.path.realpath(root))
    barred = {os.fsencode(os.path.realpath(folder)) for folder in exclude}
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield WalkedFile(_inside(folder, top), skip_reason=_why(error))
            continue
        shown = [entry for entry in entries if not entry.name.startswith(b".")]
        folders = [entry.path for entry in shown if entry.is_dir(follow_symlinks=False)]
        waiting.extend(path for path in reversed(folders) if path not in barred)
        for entry in shown:
            met = None if entry.is_dir(follow_symlinks=False) else _examine(entry, top)
            if met is not None:
                yield met


def _examine(entry: os.DirEntry[bytes], top: bytes) -> WalkedFile | None:
    """One directory entry as a candidate, as skipped, or None when it is plainly no image."""
    relative = _inside(entry.path, top)
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return WalkedFile(relative, skip_reason="a link: links are not followed")
        if not stat.S_ISREG(status.st_mode):
            return WalkedFile(relative, skip_reason=f"not a file but {_kind(status.st_mode)}")
        named_like_image = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
        if not named_like_image and not _begins_like_image(Path(os.fsdecode(entry.path))):
            return None
    except OSError as error:
        return WalkedFile(relative, skip_reason=_why(error))
    return WalkedFile(relative, status.st_size, status.st_mtime_ns)


def _begins_like_image(path: Path) -> bool:
    try:
        with open_regular(path, follow_links=False) as file:
            head = file.read(64)
    except (BadImage, OSError):  # a film of a gigabyte, say: neither its name nor its content is an image's
        return False
    return begins_like_image(head)


def begins_like_image(head: bytes) -> bool:
    """Whether these are the first bytes of an image. TIFF does not count: raw camera files begin like it."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in (*_AVIF_BRANDS, *HEIF_BRANDS))
    )


def _descriptor(path: Path, follow_links: bool) -> int:
    name = name_of(path)
    # Not blocking, and a second look: the file may be exchanged between the first look and the opening.
    wanted = ("O_RDONLY", "O_NONBLOCK", "O_NOFOLLOW", "O_BINARY")  # not all exist on every system
    flags = sum(getattr(os, flag, 0) for flag in wanted)
    try:
        real = os.path.realpath(path) if follow_links else os.fspath(path)
        _check_regular(os.lstat(real), name)
        descriptor = os.open(real, flags)
        try:
            _check_regular(os.fstat(descriptor), name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    except ValueError as error:  # a NUL in the name
        raise BadImage(f"{name} is no possible file name.", "Choose another file.") from error
    except OSError as error:
        raise unreadable(name, error) from error


def _check_regular(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadImage(f"{name} is not a file but {_kind(status.st_mode)}.", "Choose an image file.")
    if status.st_size > MAX_FILE_BYTES:
        raise BadImage(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB.", "Save it smaller.")


def _inside(path: bytes, top: bytes) -> bytes:
    return path[len(top) :].replace(os.fsencode(os.sep), b"/").strip(b"/") or b"."


def _steers_the_line(character: str) -> bool:
    return character in _DIRECTION_MARKS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def name_of(path: Path) -> str:
    """The last part of a path, to be shown."""
    return display_name(path.name.encode("utf-8", "replace")) or "The file"


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def _why(error: OSError) -> str:
    """The operating system's reason, as the end of a sentence."""
    return _REASONS.get(error.errno or 0, (error.strerror or "it cannot be read").lower())


def unreadable(name: str, error: OSError) -> BadImage:
    """The error for a file that the operating system does not give."""
    if error.errno == errno.ENOENT:
        return BadImage(f"{name} is not there.", "Check the path.")
    return BadImage(f"{name} cannot be read: {_why(error)}.", "Check the file and its permissions.")
