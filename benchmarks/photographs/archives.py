"""The files inside a package: a Debian package, a wheel, a source distribution, and Qt's resource files in them."""

from __future__ import annotations

import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

COMPRESSED, FOLDER = 1, 2  # flags of a node in Qt's resource files


def members(package: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Each wanted file of a package: (path inside, bytes).

    A file inside a Qt resource file is named `PATH.rcc!PATH INSIDE`, and a resource file is opened when `wanted`
    says yes to its own path.

    Raises:
        ValueError: no kind of package that is known here.
        OSError: it cannot be read.
    """
    for path, data in _files(package, wanted):
        if path.endswith(".rcc"):
            inside = ((f"{path}!{name}", found) for name, found in resources(data))
            yield from ((name, found) for name, found in inside if wanted(name))
        else:
            yield path, data


def _files(package: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    if package.suffix == ".deb":
        yield from _debian(package, wanted)
    elif package.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(package) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist() if wanted(name))
    elif package.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(package) as archive:
            yield from _tar(archive, wanted)
    else:
        raise ValueError(f"{package.name} is no Debian package, wheel or source distribution")


def _debian(package: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    opened = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    with opened, tarfile.open(fileobj=opened.stdout, mode="r|") as archive:
        yield from _tar(archive, wanted)
        opened.stdout.read()  # to its end, or dpkg-deb dies of a closed pipe
    if opened.returncode:
        raise OSError(f"{package.name} cannot be unpacked")


def _tar(archive: tarfile.TarFile, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    for entry in archive:
        path = entry.name.removeprefix("./")
        if entry.isfile() and wanted(path):
            yield path, archive.extractfile(entry).read()


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each file of a Qt resource file (rcc, format 1 to 3): (path inside, bytes)."""
    magic, version, tree, contents, names = struct.unpack(">4s4I", data[:20])
    if magic != b"qres":
        raise ValueError("this is no Qt resource file")
    size = 14 if version < 2 else 22  # of a node; since format 2 with the date of the file

    def name(offset: int) -> str:
        start = names + offset
        length = 2 * struct.unpack(">H", data[start : start + 2])[0]
        return data[start + 6 : start + 6 + length].decode("utf-16-be")

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        start = tree + node * size
        offset, flags = struct.unpack(">IH", data[start : start + 6])
        path = f"{folder}/{name(offset)}".lstrip("/") if node else ""
        if flags & FOLDER:
            count, first = struct.unpack(">II", data[start + 6 : start + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
        else:
            yield path, content(struct.unpack(">I", data[start + 10 : start + 14])[0], flags)

    def content(offset: int, flags: int) -> bytes:
        start = contents + offset
        length = struct.unpack(">I", data[start : start + 4])[0]
        found = data[start + 4 : start + 4 + length]
        return zlib.decompress(found[4:]) if flags & COMPRESSED else found

    yield from walk(0, "")
