"""The models folder: which files are in it, and whether they are what they should be. Asks nobody.

Trust: a file with a SHA-256 in the catalog has to have it. For a file without one, what the hub itself said
at the first download was checked and written to `models.lock.json`; from then on that hash is demanded (trust
on first use). This guards against a later exchange of the file, not against a bad one on the first day.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cir.environment import folder_setting, home_folder
from cir.errors import UnsafeFile
from cir.models.sources import CHUNK_BYTES, HubFile, WheelPart
from cir.whole_files import write_json

LOCK_FILE = "models.lock.json"
_PULL_AGAIN = "Do not use it. Remove it and fetch it again: python -m cir models pull NAME"


def fetch_again(source: str | Path) -> str:
    """What to do about a model that cannot be used. A folder that was put there by hand counts as here until it is gone."""
    if Path(source).is_dir():
        return f"Remove the folder {source} and fetch it again (python -m cir models pull NAME), or give another one."
    return f"Fetch it again (python -m cir models pull NAME), or give another folder than {source}."


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file. `name` is its path below the models folder; `sha256` None means trust on first use.

    `parts` are members of wheels that make up the file when they are put one after another.
    """

    name: str
    size: int | None = None
    sha256: str | None = None
    hub: HubFile | None = None
    parts: tuple[WheelPart, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder. Its files are written down here (names below the folder), or the hub is asked for their list.

    Attributes:
        name: the folder's path below the models folder.
        files: where they are known.
        repository, revision, patterns: else, a hub repository and which of its files are wanted. Without a
            revision the newest is taken at the first download and kept to from then on.
    """

    name: str
    files: tuple[ModelFile, ...] = ()
    repository: str = ""
    revision: str | None = None
    patterns: tuple[str, ...] = ()


Downloadable = ModelFile | ModelFolder


def models_folder() -> Path:
    """Where fetched models are kept: CIR_HOME, or ~/.cache/recompose/models."""
    return folder_setting("CIR_HOME") or home_folder() / ".cache" / "recompose" / "models"


class LockFile:
    """`models.lock.json`: for each file its hash, size, time and source, and the commit of each hub folder.

    Size and time spare a second hashing of a gigabyte at every start.

    Args:
        folder: the models folder.
        name: another file of records beside it.
    """

    def __init__(self, folder: Path, name: str = LOCK_FILE) -> None:
        self.path = folder / name

    def read(self) -> dict[str, dict[str, Any]]:
        """Name -> record. A damaged file counts as empty: everything is then hashed again."""
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {k: v for k, v in rows.items() if isinstance(v, dict)} if isinstance(rows, dict) else {}

    def record(self, name: str, row: Mapping[str, Any]) -> None:
        """Add or replace one record."""
        rows = self.read()
        rows[name] = dict(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, rows)


def locate(spec: Downloadable, *, folder: Path | None = None) -> Path | None:
    """Where a model is, or None when it is not here whole. Asks nobody.

    Raises:
        UnsafeFile: it is here, but with another hash than it should have.
    """
    root = folder or models_folder()
    if isinstance(spec, ModelFile):
        return locate_file(spec, root)
    files = known_files(spec, root)
    if not files:
        return _placed_by_hand(root / spec.name)
    found = [locate_file(replace(f, name=f"{spec.name}/{f.name}"), root) for f in files]
    return root / spec.name if all(found) else None


def _placed_by_hand(folder: Path) -> Path | None:
    """A folder that a person has copied here, on a computer without a network: settings and weights, whatever they are."""
    whole = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return folder if whole else None


def check_file(path: Path, sha256: str, size: int | None = None) -> None:
    """Hash a file.

    Raises:
        UnsafeFile: another size or another SHA-256.
    """
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        raise UnsafeFile(f"{path.name} has {found_size:,} bytes, not {size:,}.", _PULL_AGAIN)
    if (found := sha256_of(path)) != sha256.lower():
        raise UnsafeFile(f"{path.name} has the SHA-256 {found}, not {sha256}.", _PULL_AGAIN)


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locate_file(spec: ModelFile, root: Path) -> Path | None:
    """`locate` for one file below `root`. It is hashed when it changed since it was hashed last."""
    path = root / spec.name
    if not path.is_file():
        return None
    status, lock = path.stat(), LockFile(root)
    row = lock.read().get(spec.name, {})
    expected = spec.sha256 or row.get("sha256")
    unchanged = row.get("size") == status.st_size and row.get("mtime_ns") == status.st_mtime_ns
    if expected is None or not (unchanged and row.get("sha256") == expected):
        if expected is not None:
            check_file(path, expected, spec.size)
        if os.access(root, os.W_OK):
            record_file(
                lock, spec, path, expected or sha256_of(path), row.get("source", "found in the models folder")
            )
    return path


def record_file(lock: LockFile, spec: ModelFile, path: Path, sha256: str, source: str) -> None:
    """Write down that a file was checked."""
    status = path.stat()
    lock.record(
        spec.name,
        {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns, "source": source},
    )


def known_files(spec: ModelFolder, root: Path) -> tuple[ModelFile, ...]:
    """The files of a folder, as written down in the catalog or at its first download."""
    if spec.files:
        return spec.files
    rows = LockFile(root).read().get(f"{spec.name}/", {}).get("files", {})
    return tuple(ModelFile(name, row.get("size"), row.get("sha256")) for name, row in sorted(rows.items()))


def git_blob_of(path: Path) -> str:
    """Git's object id of a file: the hub's name for a small one."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()
