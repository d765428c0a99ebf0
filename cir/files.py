"""Files of the disk: regular ones only, read once, named harmlessly. It does not know what is in them."""

from __future__ import annotations

import codecs
import errno
import hashlib
import io
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cir.errors import BadImage, CirError, GalleryError

MAX_FILE_BYTES = 512 * 2**20  # room for 50 megapixels in 16 bits a channel, uncompressed
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


def read_text(path: Path) -> str:
    """The text of a file that somebody wrote in UTF-8, with a byte order mark or without.

    Raises:
        CirError: it is in UTF-16 or UTF-32, which some editors call Unicode.
        UnicodeDecodeError: it is no text.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        raise CirError(
            f"{path.name} is text in UTF-16 or UTF-32, not in UTF-8.", "Save it as UTF-8 in your editor."
        )
    return content.decode("utf-8-sig")


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
        raise BadImage(f"{name} is not a file but {kind_of(status.st_mode)}.", "Choose an image file.")
    if status.st_size > MAX_FILE_BYTES:
        raise BadImage(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB.", "Save it smaller.")


def _steers_the_line(character: str) -> bool:
    return character in _DIRECTION_MARKS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def name_of(path: Path) -> str:
    """The last part of a path, to be shown."""
    return display_name(path.name.encode("utf-8", "replace")) or "The file"


def file_name(text: str, gap: str = "-") -> str:
    """A text as a harmless name of a file: letters, digits, "-", "_" and "." as they are, `gap` for all else."""
    return "".join(c if c.isalnum() or c in "-_." else gap for c in text)


def kind_of(mode: int) -> str:
    """What something of this mode is, when it is no regular file."""
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def why(error: OSError) -> str:
    """The operating system's reason, as the end of a sentence."""
    return _REASONS.get(error.errno or 0, (error.strerror or "it cannot be read").lower())


def unreadable(name: str, error: OSError) -> BadImage:
    """The error for a file that the operating system does not give."""
    if error.errno == errno.ENOENT:
        return BadImage(f"{name} is not there.", "Check the path.")
    return BadImage(f"{name} cannot be read: {why(error)}.", "Check the file and its permissions.")


def real_folder(root: Path) -> Path:
    """The folder without links in its path.

    Raises:
        GalleryError: it is missing, no folder, or cannot be read.
    """
    top = Path(os.path.realpath(root))
    remedy = "Check the path, or connect the disk. An index made before is untouched."
    if not top.exists():
        raise GalleryError(f"{root} is not there.", remedy)
    if not top.is_dir():
        raise GalleryError(f"{root} is not a folder.", "Give the folder that holds the images.")
    if not os.access(top, os.R_OK | os.X_OK):
        raise GalleryError(f"{root} cannot be read: permission denied.", remedy)
    return top
