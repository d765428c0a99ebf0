"""An index on the disk, beside the shards that it was built of: read only where it is whole, of these rows and settings.

The manifest is written last and names the files by their checksums: at any moment the old index or the new one is whole.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss

from cir.cache_keys import digest_of, file_digest
from cir.errors import UnsafeFile
from cir.gallery.gallery import Gallery
from cir.gallery.shards import read_shard, shard_path, storage_errors, write_shard
from cir.ranking.engines.fused_index import FusedIndex, IndexSettings, Measured
from cir.whole_files import write_whole

FOLDER = "index"


def index_folder_of(gallery: Gallery) -> Path | None:
    """Where the index of a gallery is kept; None for one that is shipped, or has no files."""
    return None if gallery.folder is None or gallery.packed else gallery.folder / FOLDER


def rows_fingerprint(gallery: Gallery) -> str:
    """Changes whenever a row does: by what was read, in which order, and by which models."""
    return digest_of(
        gallery.fingerprints,
        "\n".join(gallery.contents).encode(),
        "\n".join(gallery.texts).encode("utf-8", "surrogatepass"),
        gallery.captioned,
        gallery.norms,
    )


def read_index(folder: Path, settings: IndexSettings, rows: str) -> FusedIndex | None:
    """The index that is kept in a folder; None where there is none.

    Args:
        folder: of the index.
        settings: it has to be of.
        rows: `rows_fingerprint` of the gallery as it is now.

    Raises:
        UnsafeFile: it is damaged, or of other rows or settings.
    """
    path = folder / f"{settings.kind}.json"
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        seal = manifest.pop("seal")
        if seal != digest_of(manifest):
            raise UnsafeFile("The index is damaged: its manifest is not what was written.")
        if manifest["rows"] != rows or manifest["settings"] != asdict(settings):
            raise UnsafeFile("The gallery has changed since its index was built.")
        file = _index_path(folder, manifest["index"])
        if file_digest(file) != manifest["index"]:
            raise UnsafeFile("The index is damaged: the checksum differs.")
        norms = read_shard(folder, manifest["norms"])
        index = faiss.read_index(str(file))
        measured = Measured(**manifest["measured"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UnsafeFile("The index is damaged: it cannot be read.") from error
    return FusedIndex(index, settings, norms, measured)


def keep_index(folder: Path, found: FusedIndex, rows: str, gallery_name: str) -> None:
    """Write an index; what lay there of the same kind goes.

    Raises:
        GalleryError: the disk is full, or the folder cannot be written.
    """
    kind = found.settings.kind
    with storage_errors(gallery_name):
        folder.mkdir(exist_ok=True)
        draft = folder / f".{kind}.{os.getpid()}.tmp"
        try:
            _write(found.index, draft)
            name = file_digest(draft)
            os.replace(draft, _index_path(folder, name))
        finally:
            draft.unlink(missing_ok=True)
        manifest: dict[str, Any] = {
            "settings": asdict(found.settings),
            "measured": asdict(found.measured),
            "rows": rows,
            "index": name,
            "norms": write_shard(folder, found.norms),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        sealed = {**manifest, "seal": digest_of(manifest)}
        write_whole(folder / f"{kind}.json", json.dumps(sealed, indent=1).encode())
        _sweep(folder)


def _write(index: Any, path: Path) -> None:
    """Raises OSError, as other writing does."""
    path.touch()
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # FAISS has its own sentences for all that goes wrong
        raise OSError(
            errno.ENOSPC if "No space left" in str(error) else errno.EIO, str(error)[-200:]
        ) from error
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sweep(folder: Path) -> None:
    """Delete what no manifest names: older files, and those of a writing that was cut off."""
    named = set()
    for path in folder.glob("*.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        named |= {path.name, _index_path(folder, manifest["index"]).name}
        named.add(shard_path(folder, manifest["norms"]).name)
    for entry in folder.iterdir():
        if entry.name not in named:
            with suppress(OSError):
                entry.unlink()


def _index_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.faiss"
