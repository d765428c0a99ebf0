"""Uploaded pictures and zip archives -> files in a gallery's own folder, within bounds; what looks whole is not decoded.

An archive is never unpacked by its own word: every member is read up to the limit, named harmlessly, and
refused by name when it is encrypted, leads out of the archive, is an archive itself or is no picture.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cir.errors import BadImage, GalleryError
from cir.files import display_name, open_regular
from cir.formats import (
    IMAGE_SUFFIXES,
    RAW_WITHOUT_PACKAGE,
    begins_like_image,
    is_raw_name,
    raw_is_readable,
    unreadable_by_content,
    unreadable_by_name,
)
from cir.gallery.shards import storage_errors
from cir.images import check_image
from cir.text import counted
from cir.whole_files import write_whole

UPLOADS = "images"  # inside the gallery's folder
_ARCHIVE_HEADS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
_ARCHIVE_SUFFIXES = (".zip", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".tar", ".jar")
_DIRECTORY_BYTES = 8 * 2**20  # of a zip's list of members: room for some 80,000
_END_OF_ARCHIVE = struct.Struct("<4s4H2LH")
_DRIVE = re.compile(r"[A-Za-z]:")
_UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may ask for gigabytes to unpack
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, NotImplementedError)
_NAME_BYTES = 180


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What may be uploaded.

    Attributes:
        file_bytes: of one picture.
        total_bytes: of all uploaded pictures of all galleries together.
        files: pictures of one gallery.
    """

    file_bytes: int = 150_000_000
    total_bytes: int = 4_000_000_000
    files: int = 5_000


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of an upload: how many pictures are kept, and (name, reason) of what was refused."""

    kept: int
    refused: tuple[tuple[str, str], ...] = ()


class _Refused(Exception):
    """This file is not kept; the message says why, as the end of a sentence."""


def uploaded_bytes(cache_root: Path) -> int:
    """How many bytes of uploaded pictures all galleries hold."""
    files = (path for folder in cache_root.glob(f"*/{UPLOADS}") for path in folder.rglob("*"))
    return sum(path.lstat().st_size for path in files if path.is_file())


def take_in(
    uploads: Sequence[tuple[Path, str]],
    folder: Path,
    *,
    used_bytes: int = 0,
    limits: IntakeLimits | None = None,
) -> Intake:
    """Keep uploaded pictures, and the pictures of uploaded zip archives, below a gallery's folder.

    Args:
        uploads: (file, the name that it had where it came from).
        folder: the gallery's folder; the pictures go into its `images`.
        used_bytes: what earlier uploads take of `limits.total_bytes`.
        limits: how much is taken.

    Raises:
        GalleryError: no picture is among them, or the disk is full.
    """
    images = folder / UPLOADS
    keeper = _Keeper(images, limits or IntakeLimits(), used_bytes)
    with storage_errors(folder.name):
        images.mkdir(parents=True, exist_ok=True)
        for path, name in uploads:
            keeper.take(path, name)
    if not keeper.kept:
        refused = "; ".join(f"{name}: {why}" for name, why in keeper.refused[:3])
        raise GalleryError(
            f"No picture could be kept. {refused}".strip(), "Choose pictures, or a zip of some."
        )
    return Intake(keeper.kept, tuple(keeper.refused))


def share_uploads(gallery: Path, other: Path) -> Path:
    """Let another gallery have the pictures that were uploaded for a gallery: each lives on when the first is deleted.

    No bytes are copied where the disk can give a file a second name.

    Args:
        gallery: the folder of the gallery that has them.
        other: the folder of the gallery that gets them; what it has already stays.

    Returns:
        The folder of the other's pictures.

    Raises:
        GalleryError: the disk refuses.
    """

    def share(source: str, target: str) -> None:
        if os.path.lexists(target):
            return
        try:
            os.link(source, target)
        except OSError:  # a disk without second names
            shutil.copy2(source, target)

    with storage_errors(other.name):
        shutil.copytree(gallery / UPLOADS, other / UPLOADS, copy_function=share, dirs_exist_ok=True)
    return (other / UPLOADS).absolute()


class _Keeper:
    """Writes what passes, counts, and remembers what does not."""

    def __init__(self, images: Path, limits: IntakeLimits, used_bytes: int) -> None:
        self.images, self.limits = images, limits
        self.room = limits.total_bytes - used_bytes
        self.files = sum(path.is_file() for path in images.rglob("*")) if images.is_dir() else 0
        self.kept = 0
        self.refused: list[tuple[str, str]] = []

    def take(self, path: Path, name: str) -> None:
        """One upload: a picture, or an archive of some."""
        shown = display_name(os.fsencode(name))
        try:
            with open_regular(path, follow_links=False) as file:
                if file.read(4) in _ARCHIVE_HEADS[:2]:
                    file.seek(0)
                    self._unpack(file, shown)
                    return
                file.seek(0)
                self._keep([name], file.read(self.limits.file_bytes + 1))
        except _Refused as refusal:
            self.refused.append((shown, str(refusal)))
        except BadImage as error:
            self.refused.append((shown, error.message))

    def _unpack(self, file: BinaryIO, shown: str) -> None:
        _check_directory(file)
        try:
            archive = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise _Refused("the archive is damaged") from error
        with archive:
            members = [one for one in archive.infolist() if not one.is_dir() and not _is_hidden(one.filename)]
            unpacked = sum(one.file_size for one in members)
            if unpacked > self.room:
                raise _Refused(
                    f"unpacked it would take {unpacked / 1e6:,.0f} MB, and {self.room / 1e6:,.0f} MB are left"
                )
            for member in members:
                self._take_member(archive, member, shown)

    def _take_member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: str) -> None:
        name = member.filename
        try:
            self._keep(_safe_parts(name), self._read(archive, member))
        except _Refused as refusal:
            self.refused.append((f"{shown} / {display_name(name.encode('utf-8', 'replace'))}", str(refusal)))

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        if member.flag_bits & 1:
            raise _Refused("it is encrypted")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _Refused("it is a link")
        if member.filename.lower().endswith(_ARCHIVE_SUFFIXES):
            raise _Refused("it is an archive inside the archive")
        if member.compress_type not in _UNPACKED:
            raise _Refused("its kind of compression is not supported")
        if member.file_size > self.limits.file_bytes:
            raise _Refused(self._too_large())
        try:
            with archive.open(member) as stream:  # never by its own word: it is read up to the limit only
                return stream.read(self.limits.file_bytes + 1)
        except _DAMAGE as error:
            raise _Refused("it is damaged") from error

    def _keep(self, parts: Sequence[str], data: bytes) -> None:
        """Write one picture under a harmless name that no other has.

        Raises:
            _Refused: it is too large, no picture, or there is no room.
        """
        if len(data) > self.limits.file_bytes:
            raise _Refused(self._too_large())
        _refuse_no_picture(parts[-1], data)
        path = self.images.joinpath(*map(_harmless, parts))
        path, is_new = _free_place(path, data)
        if not is_new:
            self.kept += 1
            return
        if len(data) > self.room:
            raise _Refused("there is no room for more uploads: delete a gallery that was uploaded")
        if self.files >= self.limits.files:
            raise _Refused(f"a gallery of uploads holds at most {counted(self.limits.files, 'picture')}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _Refused("its folder is called like a picture that is there") from error
        write_whole(path, data, durable=False)
        self.kept, self.files, self.room = self.kept + 1, self.files + 1, self.room - len(data)

    def _too_large(self) -> str:
        return f"it is larger than {self.limits.file_bytes / 1e6:.0f} MB"


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive whose list of members is absurdly long, before that list is read."""
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(max(0, size - _END_OF_ARCHIVE.size - 65_535))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_OF_ARCHIVE.size:
        raise _Refused("the archive is damaged")
    if _END_OF_ARCHIVE.unpack_from(tail, at)[5] > _DIRECTORY_BYTES:
        raise _Refused("the archive has too many members")
    file.seek(0)


def _is_hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or (parts[-1].startswith(".") and parts[-1] != "..")


def _safe_parts(name: str) -> list[str]:
    """The path of a member, part by part.

    Raises:
        _Refused: it would lead out of the archive.
    """
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or _DRIVE.match(parts[0]) or ".." in parts:
        raise _Refused("its path leads out of the archive")
    return [part for part in parts if part not in ("", ".")][-8:]


def _harmless(part: str) -> str:
    """A name that every file system takes: no separator, no leading dot, not too long, its ending kept."""
    plain = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", display_name(part.encode("utf-8", "replace")))
    plain = plain.lstrip(". ").rstrip(". ") or "picture"
    stem, suffix = os.path.splitext(plain)
    suffix = suffix.encode()[:12].decode("utf-8", "ignore")
    return stem.encode()[: _NAME_BYTES - len(suffix)].decode("utf-8", "ignore") + suffix


def _refuse_no_picture(name: str, data: bytes) -> None:
    """Refuse what cannot be read as a picture. Archives are none whatever they are called.

    Raises:
        _Refused: with what it is, where that is known.
    """
    suffix = os.fsencode(os.path.splitext(name)[1].lower())
    if data.startswith(_ARCHIVE_HEADS):
        raise _Refused("it is an archive: only zips are unpacked, and none inside another")
    kind = unreadable_by_name(suffix) or (
        "" if suffix in IMAGE_SUFFIXES else unreadable_by_content(data[:64])
    )
    if is_raw_name(suffix):
        kind = "" if raw_is_readable() else RAW_WITHOUT_PACKAGE
    elif not kind and suffix not in IMAGE_SUFFIXES and not begins_like_image(data[:64]):
        raise _Refused("it is no picture")
    if kind:
        raise _Refused(f"it is one of the {kind}" + ("" if ":" in kind else ", which are not read"))
    try:
        check_image(data, name)
    except BadImage as error:
        raise _Refused(error.message[:1].lower() + error.message[1:].rstrip(".")) from error


def _free_place(path: Path, data: bytes) -> tuple[Path, bool]:
    """A path that is free, or the one that holds these very bytes already; and whether it is free."""
    stem, number = path.stem, 1
    while path.exists():
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return path, False
        number += 1
        path = path.with_name(f"{stem} ({number}){path.suffix}")
    return path, True
