"""Networks of ours as safetensors files: their tensors, and what their maker wrote down. Knows no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from cir.errors import CirError, UnsafeFile
from cir.models.mapping_files import FETCH
from cir.whole_files import replacing


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
    from safetensors.torch import save_file

    path = Path(path)
    record = {**metadata, "shape": network.shape()}
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise CirError(
            "The training has run away: the network has values that are no numbers, and is not written.",
            "Train again with a lower rate (--rate).",
        )
    with replacing(path) as draft:
        save_file(state, draft, metadata={"mapping": json.dumps(record, sort_keys=True)})


def read_network(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, and what its maker wrote down.

    Raises:
        UnsafeFile: it is no whole one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return state, json.loads((file.metadata() or {}).get("mapping", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise UnsafeFile(f"{path} is no whole safetensors file: {error}", FETCH) from error
