"""The files of mapping networks: where a training leaves one, and what its maker wrote down. Nothing of torch is imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cir.errors import MissingModel, UnsafeFile

MAX_HEADER_BYTES = 1_000_000
MAPPING_FILE = "mapping.safetensors"  # in the folder of a training
FETCH = "Fetch it again, or give another mapping network: python -m cir models list shows the known ones."


def mapping_file(path: str | Path) -> Path:
    """The network's file: the path itself, or what a training has left in this folder.

    Raises:
        MissingModel: there is none.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        if path.is_file():
            return path
        raise MissingModel(
            f"There is no mapping network at {path}.", "Give its file, or the folder of its training."
        )
    if not (path / MAPPING_FILE).is_file():
        raise MissingModel(
            f"The folder {path} holds no finished mapping network.",
            "Finish its training with the command that began it: python -m cir train mapping",
        )
    return path / MAPPING_FILE


def mapping_facts(path: Path) -> dict[str, Any]:
    """What the maker of a mapping network wrote down, without its tensors; nothing of another file."""
    return facts_in(path, "mapping")


def facts_in(path: Path, entry: str) -> dict[str, Any]:
    """What stands as JSON in an entry of a safetensors file's metadata; nothing where there is none."""
    if not is_safetensors(path):
        return {}
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), MAX_HEADER_BYTES)))
        return json.loads(header.get("__metadata__", {}).get(entry, "{}"))
    except (OSError, ValueError, AttributeError) as error:
        raise UnsafeFile(f"{path} is no whole safetensors file: {error}", FETCH) from error


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as one: a length of eight bytes, then a JSON object. A person may have named it freely."""
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:  # told when it is read
        return False
