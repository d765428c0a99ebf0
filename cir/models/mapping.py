"""The mapping network phi: image features -> pseudo-words. Ours, and the layouts of published checkpoints.

Does not know how a pseudo-word is spliced into a prompt (`cir.models.text_tower`) nor how phi is trained
(`cir.training`).

Source: CVSI, section III-B, Eq. 1, after LinCIR (phi: three linear layers with GELU, one pseudo-word;
SEARLE's is alike); Pic2Word (three linear layers with ReLU); HyCIR, "Model architecture" (several
pseudo-words for one image).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.checkpoints import read_checkpoint, state_in
from cir.models.keds import KEDS_LAYOUT, Keds
from cir.models.keds_published import KEDS_ALONE, KEDS_FILES, PublishedKeds, read_published_keds
from cir.models.mapping_files import FETCH, is_safetensors
from cir.models.network_files import read_network, save_network
from cir.models.palavra import SET_LAYOUT, SetEncoder
from cir.models.runtime import fingerprint_of

LAYOUT = "recompose-mapping-1"
Activation = Literal["gelu", "relu"]
_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"gelu": nn.functional.gelu, "relu": torch.relu}


class MappingNetwork(nn.Module):
    """Linear layers with an activation and dropout between them; `words` pseudo-words come out.

    Published networks differ in the order of dropout and activation. With ReLU the order does not matter
    (dropout scales by a positive number), and with both switched to evaluation none does.

    Args:
        input_dim: D, the width of image features.
        hidden: widths of the layers between.
        words: T, pseudo-words for one image.
        word_width: W, the width of the token-embedding table.
        activation: between the layers.
        dropout: after each activation, in training.
        word_length: where given, each pseudo-word ends in a layer norm that starts at this Euclidean length,
            the usual one of the table's rows: a pseudo-word out of scale with real words is not read as one.
    """

    def __init__(
        self,
        input_dim: int,
        hidden: Sequence[int],
        words: int,
        word_width: int,
        *,
        activation: Activation = "gelu",
        dropout: float = 0.0,
        word_length: float | None = None,
    ) -> None:
        super().__init__()
        widths = [input_dim, *hidden, words * word_width]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(word_width) if word_length is not None else None
        if self.norm is not None:
            nn.init.constant_(self.norm.weight, float(word_length or 0.0) / math.sqrt(word_width))
        self.input_dim, self.words, self.word_width = input_dim, words, word_width
        self.activation: Activation = activation

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) image features -> (N, T, W) pseudo-words."""
        hidden = features
        for linear in self.linears[:-1]:
            hidden = self.dropout(_ACTIVATIONS[self.activation](linear(hidden)))
        words = self.linears[-1](hidden).unflatten(-1, (self.words, self.word_width))
        return words if self.norm is None else self.norm(words)

    def shape(self) -> dict[str, object]:
        """What the constructor has to be told to make this network again, as JSON."""
        return {
            "layout": LAYOUT,
            "input_dim": self.input_dim,
            "hidden": [linear.out_features for linear in self.linears[:-1]],
            "words": self.words,
            "word_width": self.word_width,
            "activation": self.activation,
            "normed": self.norm is not None,
        }


class MappingModel:
    """A mapping network behind the protocol ImageToWords: numpy in and out, on the CPU, in evaluation mode.

    Args:
        network: the network.
        fingerprint: see `fingerprint_of`.
        normalise_input: whether it was trained on unit features. Published ones were trained on raw features,
            whatever their papers' figures show; feeding them unit rows is a silent error.
        metadata: what its maker wrote down.
    """

    def __init__(
        self,
        network: MappingNetwork | SetEncoder | Keds | PublishedKeds,
        fingerprint: str,
        *,
        normalise_input: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network.float().cpu().eval()
        self.fingerprint = fingerprint
        self.normalise_input = normalise_input
        self.metadata = dict(metadata or {})
        self.tokens = network.words
        self.input_dim = network.input_dim
        self.word_width = network.word_width

    def map_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) raw image features -> (N, T, W) pseudo-words.

        Raises:
            CirError: features of another width (another CLIP model's), or values that are not finite.
        """
        rows = np.asarray(features, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.input_dim:
            raise CirError(
                f"The mapping network {self.fingerprint} takes image features of width "
                f"{self.input_dim}, not an array of shape {rows.shape}.",
                "Use the mapping network that was trained for this CLIP model.",
            )
        if self.normalise_input:
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        with torch.inference_mode():
            words = self.network(torch.from_numpy(rows)).numpy()
        if not np.isfinite(words).all():
            raise CirError(
                f"The mapping network {self.fingerprint} gave values that are not finite.",
                "Index the gallery again; if that does not help, fetch the network again.",
            )
        return words


save_mapping = save_network  # a mapping network is written as every network of ours is


def load_mapping(path: str | Path, *, sha256: str | None = None, name: str | None = None) -> MappingModel:
    """Read our safetensors, or a published checkpoint: LinCIR's, SEARLE's ("Phi"), Pic2Word's; or the folder of KEDs' published files.

    Args:
        path: the file or folder.
        sha256: what its content has to hash to, where that is known.
        name: for people; the file's name by default.

    Raises:
        MissingModel: no such file.
        UnsafeFile: another hash, a pickle with more than tensors in it, or no mapping network of a known
            layout.
    """
    path = Path(path)
    if path.is_dir():
        return _published_keds(path, name or path.name)
    if not path.is_file():
        raise MissingModel(f"There is no mapping network at {path}.", FETCH)
    if sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256.lower():
            raise UnsafeFile(f"{path} has the SHA-256 {found}, not {sha256}.", f"Do not use it. {FETCH}")
    state, metadata = read_network(path) if is_safetensors(path) else _read_checkpoint(path)
    network = _network_for(state, metadata, path)
    return MappingModel(
        network,
        fingerprint_of(name or path.stem, network.state_dict(), {**network.shape(), "unit": _unit(metadata)}),
        normalise_input=_unit(metadata),
        metadata=metadata,
    )


def _published_keds(folder: Path, name: str) -> MappingModel:
    network = read_published_keds(folder)
    return MappingModel(network, fingerprint_of(name, network.state_dict(), network.shape()))


def _unit(metadata: Mapping[str, Any]) -> bool:
    return bool(metadata.get("normalise_input", False))


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    checkpoint = read_checkpoint(path)
    if isinstance(checkpoint, Mapping):
        if KEDS_ALONE in checkpoint:
            raise UnsafeFile(
                f"{path} is a stream of KEDs, which says nothing without the other one and their base.",
                f"Put all of KEDs' files into one folder: {', '.join(KEDS_FILES)}.",
            )
        for key in ("Phi", "state_dict_img2text"):
            if isinstance(checkpoint.get(key), Mapping):
                return state_in(checkpoint, key, path), {}
    try:
        return state_in({"": checkpoint}, "", path), {}
    except UnsafeFile as error:
        raise UnsafeFile(f'{path} has neither "Phi" nor "state_dict_img2text" in it.', FETCH) from error


def _network_for(
    state: Mapping[str, Tensor], metadata: Mapping[str, Any], path: Path
) -> MappingNetwork | SetEncoder | Keds:
    """Build the network that `state` belongs to, and load it."""
    shape = metadata.get("shape")
    try:
        if shape is not None:
            network = _network_of_shape(shape)
            renamed = dict(state)
        else:
            names, activation = _published_layers(state)
            renamed = {
                f"linears.{i}.{kind}": state[f"{layer}.{kind}"]
                for i, layer in enumerate(names)
                for kind in ("weight", "bias")
            }
            widths = [int(state[f"{layer}.weight"].shape[0]) for layer in names]
            entry = int(state[f"{names[0]}.weight"].shape[1])
            network = MappingNetwork(entry, widths[:-1], 1, widths[-1], activation=activation)
            if len(renamed) != len(state):
                raise ValueError(f"it has more than {len(renamed)} tensors")
        network.load_state_dict(renamed, strict=True)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is not a mapping network of a known layout: {error}", FETCH) from error
    return network


def _network_of_shape(shape: Mapping[str, Any]) -> MappingNetwork | SetEncoder | Keds:
    if shape.get("layout") == SET_LAYOUT:
        names = ("input_dim", "hidden", "word_width", "classes", "others")
        return SetEncoder(**{name: int(shape[name]) for name in names})
    if shape.get("layout") == KEDS_LAYOUT:
        return Keds(*(int(shape[name]) for name in ("input_dim", "hidden", "word_width", "pairs")))
    if shape.get("layout") != LAYOUT:
        raise ValueError(f"its layout is {shape.get('layout')!r}, not {LAYOUT!r}")
    return MappingNetwork(
        int(shape["input_dim"]),
        [int(width) for width in shape["hidden"]],
        int(shape["words"]),
        int(shape["word_width"]),
        activation="relu" if shape["activation"] == "relu" else "gelu",
        word_length=1.0 if shape["normed"] else None,
    )


def _published_layers(state: Mapping[str, Tensor]) -> tuple[list[str], Activation]:
    """Names of the linear layers in order, and the activation that goes with such names.

    LinCIR and SEARLE number Linear, GELU and Dropout through (layers.0, .3, .6). Pic2Word numbers blocks,
    whose first member is the linear layer (layers.0.0, layers.1.0), and ends in fc_out.
    """
    found = {key.removesuffix(".weight") for key in state if key.endswith(".weight")}
    if "fc_out" in found:
        blocks = sorted(found - {"fc_out"}, key=lambda layer: int(layer.split(".")[1]))
        return [*blocks, "fc_out"], "relu"
    return sorted(found, key=lambda layer: int(layer.split(".")[1])), "gelu"
