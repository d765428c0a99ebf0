"""Networks that read the patches of an image: Context-I2W's, whose word also depends on the edit, and ISA's.

`PatchWords` puts either behind the protocol PatchesToWords. Does not know how they are trained, nor how patches are had.

Sources: Tang et al., "Context-I2W: Mapping Images to Context-Dependent Words for Accurate Zero-Shot Composed Image
Retrieval", AAAI 2024 (a view of the image is chosen by the context, by multiplying the two element by element; learnt
queries look for its targets among the patches; a word is made of the whole and, through a gate, of the targets). Theirs
has six layers over a ViT's 256 patches, ours two over as many patches as the tower has, and the place of a patch is
learnt anew, since the map of a convolution has none.
Du et al., "Image2Sentence based Asymmetrical Zero-shot Composed Image Retrieval", ICLR 2024 (an adaptive token learner:
each of several words looks where it wants on the map).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.context_published import PublishedContextWords, read_published_context_words
from cir.models.mapping_files import FETCH, is_safetensors
from cir.models.network_files import read_network
from cir.models.runtime import fingerprint_of

Shape = Mapping[str, Any]


def _two_layers(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))


class PatchNetwork(nn.Module):
    """What both have: patches read with their places, and words at the length of words.

    Args:
        patches, patch_width: P and C of the image tower.
        input_dim: D, the width of image and text features.
        words: T, pseudo-words for an image.
        word_width: W, the width of the token-embedding table.
        width: of what is between.
        word_length: Euclidean length that a word starts with.
    """

    layout = ""
    raw, mark = False, ""

    def __init__(
        self,
        patches: int,
        patch_width: int,
        input_dim: int,
        words: int,
        word_width: int,
        width: int,
        *,
        word_length: float = 1.0,
    ) -> None:
        super().__init__()
        self._shape = {
            "patches": patches,
            "patch_width": patch_width,
            "input_dim": input_dim,
            "words": words,
            "word_width": word_width,
            "width": width,
        }
        self.patches, self.patch_width, self.input_dim = patches, patch_width, input_dim
        self.words, self.word_width = words, word_width
        self.patch = nn.Sequential(nn.LayerNorm(patch_width), nn.Linear(patch_width, width))
        self.places = nn.Parameter(0.02 * torch.randn(patches, width))
        self.norm = nn.LayerNorm(word_width)
        nn.init.constant_(self.norm.weight, word_length / math.sqrt(word_width))

    def forward(self, patches: Tensor, features: Tensor, context: Tensor) -> Tensor:
        """(N, P, C) patches, (N, D) unit features of the images and of what stands round the words -> (N, T, W)."""
        raise NotImplementedError

    def shape(self) -> dict[str, object]:
        """What the constructor has to be told to make this network again, as JSON."""
        return {"layout": self.layout, **self._shape}


class ContextWords(PatchNetwork):
    """Context-I2W: one word, of the view of the image that the context asks for."""

    layout = "recompose-context-words-1"
    queries, layers, heads = 4, 2, 4

    def __init__(self, *shape: int, word_length: float = 1.0) -> None:
        super().__init__(*shape, word_length=word_length)
        width = shape[-1]
        self.whole, self.context = nn.Linear(self.input_dim, width), nn.Linear(self.input_dim, width)
        self.selector = nn.Linear(width, width, bias=False)
        self.latents = nn.Parameter(0.02 * torch.randn(self.queries, width))
        self.looks = nn.ModuleList(
            nn.MultiheadAttention(width, self.heads, batch_first=True) for _ in range(self.layers)
        )
        self.thinks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), _two_layers(width, width, width)) for _ in range(self.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * self.layers + 2))
        self.of_whole = _two_layers(width, 2 * width, self.word_width)
        self.of_targets = _two_layers(width, 2 * width, self.word_width)
        self.gate = nn.Parameter(torch.tensor(0.5))

    def forward(self, patches: Tensor, features: Tensor, context: Tensor) -> Tensor:
        """As the class of both says; T is 1."""
        view = self.context(context * math.sqrt(self.input_dim))
        whole = self.selector(self.whole(features * math.sqrt(self.input_dim))) * view
        seen = self.norms[0](self.selector(self.patch(patches) + self.places) * view[:, None])
        targets = self.latents.expand(len(patches), -1, -1)
        for look, think, norm in zip(self.looks, self.thinks, self.norms[1:], strict=False):
            around = torch.cat([seen, targets], dim=1)
            targets = targets + look(norm(targets), around, around, need_weights=False)[0]
            targets = targets + think(targets)
        found = self.of_targets(self.norms[-2](targets.mean(dim=1)))
        return self.norm(self.of_whole(self.norms[-1](whole)) + self.gate.tanh() * found)[:, None]


class SentenceWords(PatchNetwork):
    """ISA's adaptive token learner: several words, each of where it looks."""

    layout = "recompose-sentence-words-1"

    def __init__(self, *shape: int, word_length: float = 1.0) -> None:
        super().__init__(*shape, word_length=word_length)
        width = shape[-1]
        self.look = _two_layers(width, width, self.words)
        self.role = nn.Parameter(0.02 * torch.randn(self.words, width))
        self.read = nn.Sequential(nn.LayerNorm(width), _two_layers(width, 2 * width, self.word_width))

    def forward(self, patches: Tensor, features: Tensor, context: Tensor) -> Tensor:
        """As the class of both says; the features and the context do not count."""
        seen = self.patch(patches) + self.places
        where = self.look(F.gelu(seen)).softmax(dim=1)  # (N, P, T)
        return self.norm(self.read(where.transpose(1, 2) @ seen + self.role))


NETWORKS = {network.layout: network for network in (ContextWords, SentenceWords)}


class PatchWords:
    """A patch network behind the protocol PatchesToWords: numpy in and out, on the CPU.

    Args:
        network: the network.
        fingerprint: see `fingerprint_of`.
        metadata: what its maker wrote down.
    """

    def __init__(
        self, network: PatchNetwork | PublishedContextWords, fingerprint: str, metadata: Mapping[str, Any]
    ) -> None:
        self.network = network.float().cpu().eval()
        self.fingerprint, self.metadata = fingerprint, dict(metadata)
        self.tokens, self.raw, self.mark = network.words, network.raw, network.mark

    def map_patches(
        self,
        patches: NDArray[np.float32],
        features: NDArray[np.float32],
        context: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """As the protocol says.

        Raises:
            CirError: what another encoder has of an image.
        """
        count = self.network.patches or patches.shape[1]  # of the published network any number will do
        wanted = (count, self.network.patch_width, self.network.input_dim)
        found = (*patches.shape[1:], context.shape[1])
        if found != wanted:
            raise CirError(
                f"The network {self.fingerprint} reads {wanted[0]} patches of {wanted[1]} numbers and features of "
                f"{wanted[2]}, not {found}.",
                "Use the network that was trained for this CLIP model.",
            )
        rows = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        given = (torch.from_numpy(np.asarray(a, np.float32)) for a in (patches, rows, context))
        with torch.inference_mode():
            return self.network(*given).numpy()


def load_patch_words(path: str | Path, *, name: str | None = None) -> PatchWords:
    """Read a patch network that a training of ours has left, or the one of Context-I2W that its authors have published.

    Raises:
        MissingModel: no such file.
        UnsafeFile: it holds no such network.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingModel(f"There is no network at {path}.", FETCH)
    if not is_safetensors(path):
        published = read_published_context_words(path)
        key = fingerprint_of(name or path.stem, published.state_dict(), published.shape())
        return PatchWords(published, key, {})
    state, metadata = read_network(path)
    try:
        shape = dict(metadata["shape"])
        kind = NETWORKS[shape.pop("layout")]
        order = ("patches", "patch_width", "input_dim", "words", "word_width", "width")
        network = kind(*(int(shape[key]) for key in order))
        network.load_state_dict(state, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is no network that reads patches: {error}", FETCH) from error
    return PatchWords(
        network, fingerprint_of(name or path.stem, network.state_dict(), network.shape()), metadata
    )
