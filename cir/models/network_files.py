"""Networks of ours as safetensors files: their tensors, and what their maker wrote down. Knows no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from cir.errors import CirError, UnsafeFile
from cir.models.eight_bits import packed, unpacked
from cir.models.mapping_files import FETCH
from cir.whole_files import replacing

ENTRIES = (
    "mapping",
    "fusion",
    "tuned",
    "delta",
)  # of the metadata: where the record stands, by the kind of network
_BITS = "bits"  # the entry that says that matrices are packed


class Network(Protocol):
    """What can be written: it says with what it can be made again."""

    def shape(self) -> dict[str, object]:
        """As JSON, with its layout's name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Its tensors."""
        ...


def save_network(network: Network, path: str | Path, metadata: Mapping[str, object]) -> None:
    """Write a network as safetensors, whole or not at all; call `.half()` on it first for half the size.

    Args:
        network: what to write.
        path: where; the name is free, but .safetensors is what others know it by.
        metadata: JSON; "normalise_input" (false by default) is obeyed when it is loaded, the rest ("recipe",
            "trained_for", figures) is kept for people.

    Raises:
        CirError: it has values that are no numbers, or too large for half the size: its training has run away.
    """
    state = network.state_dict()
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise CirError(
            "The training has run away: the network has values that are no numbers, and is not written.",
            "Train again with a lower rate (--rate).",
        )
    write_tensors(Path(path), state, "mapping", {**metadata, "shape": network.shape()})


def read_network(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, and what its maker wrote down.

    Raises:
        UnsafeFile: it is no whole one.
    """
    return read_tensors(path, "mapping", FETCH)


def write_tensors(path: Path, state: Mapping[str, Tensor], entry: str, record: object) -> None:
    """Write tensors as safetensors, whole or not at all, with a record as JSON in an entry of the metadata."""
    _write(path, state, {entry: json.dumps(record, sort_keys=True)})


def read_tensors(path: Path, entry: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` has written, or `pack_matrices` after it; an empty record where that entry is none.

    Raises:
        UnsafeFile: it is no whole safetensors file; with this remedy.
    """
    from safetensors import SafetensorError

    try:
        state, metadata = _read(path)
        return (unpacked(state) if _BITS in metadata else state), json.loads(metadata.get(entry, "{}"))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UnsafeFile(f"{path} is no whole safetensors file: {error}", remedy) from error


def pack_matrices(path: Path) -> None:
    """Write the file of a network again with its large matrices in eight bits; one that is so already stays.

    Raises:
        UnsafeFile: it is no file of a network of ours.
    """
    from safetensors import SafetensorError

    try:
        state, metadata = _read(path)
    except (SafetensorError, OSError) as error:
        raise UnsafeFile(f"{path} is no whole safetensors file: {error}", FETCH) from error
    if not metadata.keys() & set(ENTRIES):
        raise UnsafeFile(f"{path} is no network that a training has left.", "Give the file of one.")
    if _BITS not in metadata:
        _write(path, packed(state), {**metadata, _BITS: "8"})


def _write(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        save_file({k: t.detach().cpu().contiguous() for k, t in state.items()}, draft, metadata=metadata)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
