"""Arrays that can be made again, kept beside a gallery so that they need not be: mapped into memory, never read whole.

A kind of them is one file, named by its checksum, and a manifest, which is written last and says what they were made of. At
any moment the old ones or the new ones are whole. What is damaged, or was made of something else, is as good as absent.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cir.cache_keys import digest_of, file_digest
from cir.whole_files import write_whole

FOLDER = "prepared"  # inside the gallery's
_ALIGNED = 64  # bytes: where each array begins
_AT_ONCE = 2**24  # bytes that are written at once


@dataclass(frozen=True, slots=True, eq=False)
class KeptArrays:
    """Arrays as they lie on the disk, read only.

    Attributes:
        arrays: by name.
        facts: what JSON can hold, kept with them.
        kind: what they are for.
        path: of their file.
        checksum: of that.
    """

    arrays: Mapping[str, NDArray]
    facts: Mapping[str, Any]
    kind: str
    path: Path
    checksum: str

    def is_sound(self) -> bool:
        """Whether the file is what was written, to the last bit. All of it is read."""
        try:
            return file_digest(self.path) == self.checksum
        except OSError:  # replaced by newer ones: what is mapped stays
            return True

    def forget(self) -> None:
        """They are not read again. Nothing is said where that cannot be."""
        with suppress(OSError):
            self.path.with_name(f"{self.kind}.json").unlink(missing_ok=True)


def read_arrays(folder: Path, kind: str, source: str) -> KeptArrays | None:
    """What is kept of a kind; None where that is nothing, damaged, or made of something else.

    A file of the size and time with which it was written is not read; `KeptArrays.is_sound` does that when there is time.

    Args:
        folder: of the gallery.
        kind: what they are for.
        source: of what they have to be made: changes whenever that does.
    """
    folder = folder / FOLDER
    try:
        manifest = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        seal = manifest.pop("seal")
        if seal != digest_of(manifest) or manifest["source"] != source:
            return None
        path = _path(folder, kind, manifest["checksum"])
        if _stamp(path) != manifest["stamp"] and file_digest(path) != manifest["checksum"]:
            return None
        return _mapped(kind, path, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep_arrays(
    folder: Path,
    kind: str,
    source: str,
    arrays: Mapping[str, NDArray],
    facts: Mapping[str, Any] | None = None,
) -> KeptArrays:
    """Write arrays; what lay there of the same kind goes.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    folder = folder / FOLDER
    folder.mkdir(exist_ok=True)
    draft, digest, places, end = folder / f".{kind}.{os.getpid()}.tmp", hashlib.sha256(), [], 0
    try:
        with draft.open("wb") as file:
            for name, array in arrays.items():
                padding = bytes(-end % _ALIGNED)
                data = np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
                places.append([name, array.dtype.str, array.shape, end + len(padding)])
                for part in (padding, *(data[i : i + _AT_ONCE] for i in range(0, len(data), _AT_ONCE))):
                    file.write(part)
                    digest.update(part)
                end += len(padding) + len(data)
            file.flush()
            os.fsync(file.fileno())
        checksum = digest.hexdigest()
        path = _path(folder, kind, checksum)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    manifest = {
        "source": source,
        "checksum": checksum,
        "stamp": _stamp(path),
        "arrays": places,
        "facts": dict(facts or {}),
    }
    manifest = json.loads(json.dumps(manifest))
    sealed = {**manifest, "seal": digest_of(manifest)}
    write_whole(folder / f"{kind}.json", json.dumps(sealed).encode())
    for older in folder.glob(f"{kind}-*.arrays"):
        if older != path:
            with suppress(OSError):  # somebody has it open, where that matters
                older.unlink()
    return _mapped(kind, path, manifest)


def _mapped(kind: str, path: Path, manifest: Mapping[str, Any]) -> KeptArrays:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays = {
        name: np.frombuffer(mapped, dtype, int(np.prod(shape)), offset).reshape(shape)
        for name, dtype, shape, offset in manifest["arrays"]
    }
    return KeptArrays(arrays, manifest["facts"], kind, path, manifest["checksum"])


def _path(folder: Path, kind: str, checksum: str) -> Path:
    return folder / f"{kind}-{checksum}.arrays"


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
