"""Context-I2W with the weights that its authors have published, at their full size.

Differs from ours (`cir.models.patch_networks`) in its depth, and in what it is given: the tokens of the image tower as its last
layer leaves them, the class token first, and the context at the length that the text tower gives it, with a mark in the
word's place. Sizes are read off the file.

Source: Tang et al., "Context-I2W: Mapping Images to Context-Dependent Words for Accurate Zero-Shot Composed Image Retrieval",
AAAI 2024 (intent view selector, visual target extractor, gated fusion); names and shapes of the tensors, and the mark, by the
authors' repository (Pter61/context-i2w): their mark is the last of CLIP's merges, whose embedding is that of "jekyll".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.errors import UnsafeFile
from cir.models.checkpoints import State, count_of, read_checkpoint, renamed, state_in
from cir.models.mapping_files import FETCH

KEY = "state_dict_img2text"
MARK = "jekyll"
HEAD_WIDTH = 64
KEYS: Mapping[str, str] = {
    "to_c.": "context.",
    "W_R.weight_g": "selector.length",
    "W_R.weight_v": "selector.weight",
    "ln_post.": "whole.norm.",
    "proj": "whole.projection",
    "layers.#.0.": "whole.layers.#.",
    "fc_out.": "whole.out.",
    "ln_post_local.": "targets.norm.",
    "proj_local": "targets.projection",
    "layers_local.#.0.": "targets.layers.#.",
    "fc_out_local.": "targets.out.",
    "VT_Extractor.latents": "latents",
    "VT_Extractor.layers.#.0.norm_media.": "looks.#.norm_seen.",
    "VT_Extractor.layers.#.0.norm_latents.": "looks.#.norm_asking.",
    "VT_Extractor.layers.#.0.to_q.": "looks.#.query.",
    "VT_Extractor.layers.#.0.to_kv.": "looks.#.key_and_value.",
    "VT_Extractor.layers.#.0.to_out.": "looks.#.out.",
    "VT_Extractor.layers.#.1.": "thinks.#.",
    "VT_Extractor.norm.": "found.",
    "local_gate": "gate",
}


class Reader(nn.Module):
    """A view of the image -> a word: norm, projection, and layers with ReLU between.

    Args:
        view: the view's width.
        width: of the projection.
        hidden: width between.
        word_width: W.
        layers: before the last.
    """

    def __init__(self, view: int, width: int, hidden: int, word_width: int, layers: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(view)
        self.projection = nn.Parameter(torch.zeros(view, width))
        self.layers = nn.ModuleList(nn.Linear(width if i == 0 else hidden, hidden) for i in range(layers))
        self.out = nn.Linear(hidden, word_width)

    def forward(self, view: Tensor) -> Tensor:
        """(N, V) -> (N, W)."""
        said = self.norm(view) @ self.projection
        for layer in self.layers:
            said = F.relu(layer(said))
        return self.out(said)


class Look(nn.Module):
    """Learnt queries look among the tokens and among themselves.

    Args:
        width: of tokens and queries.
        inner: of all heads together.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm_seen, self.norm_asking = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_and_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.heads = inner // HEAD_WIDTH

    def forward(self, seen: Tensor, asking: Tensor) -> Tensor:
        """(N, P, V) tokens and (N, L, V) queries -> (N, L, V)."""
        asking = self.norm_asking(asking)
        around = torch.cat([self.norm_seen(seen), asking], dim=1)
        parts = (self.query(asking), *self.key_and_value(around).chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Selector(nn.Module):
    """A linear layer whose rows have learnt lengths (weight normalisation).

    Args:
        width: of what goes in and comes out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.length, self.weight = nn.Parameter(torch.ones(width, 1)), nn.Parameter(torch.eye(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, P, V) -> (N, P, V)."""
        return F.linear(tokens, self.length * F.normalize(self.weight, dim=1))


class PublishedContextWords(nn.Module):
    """One word, of the view of the image that the context asks for.

    Args:
        view: V, the width of the image tower's tokens.
        input_dim: D, the width of contexts.
        width, hidden, word_width, layers: of each `Reader`.
        latents: learnt queries.
        inner: of each `Look`.
        looks: how many of them.
        thinking: the width inside of what follows a look.
    """

    raw, mark, words = True, MARK, 1

    def __init__(
        self,
        view: int,
        input_dim: int,
        width: int,
        hidden: int,
        word_width: int,
        layers: int,
        latents: int,
        inner: int,
        looks: int,
        thinking: int,
    ) -> None:
        super().__init__()
        self.patches, self.patch_width, self.input_dim = None, view, input_dim
        self.word_width = word_width
        self.context = nn.Linear(input_dim, view, bias=False)
        self.selector = Selector(view)
        self.whole = Reader(view, width, hidden, word_width, layers)
        self.targets = Reader(view, width, hidden, word_width, layers)
        self.latents = nn.Parameter(torch.zeros(latents, view))
        self.looks = nn.ModuleList(Look(view, inner) for _ in range(looks))
        self.thinks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(view),
                nn.Linear(view, thinking, bias=False),
                nn.GELU(),
                nn.Linear(thinking, view, bias=False),
            )
            for _ in range(looks)
        )
        self.found = nn.LayerNorm(view)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, features: Tensor, context: Tensor) -> Tensor:
        """(N, 1 + P, V) tokens, the class token first, and (N, D) raw contexts -> (N, 1, W); the features do not count."""
        seen = self.selector(tokens) * self.context(context)[:, None]
        targets = self.latents.expand(len(tokens), -1, -1)
        for look, think in zip(self.looks, self.thinks, strict=True):
            targets = look(seen[:, 1:], targets) + targets
            targets = think(targets) + targets
        found = self.targets(self.found(targets).mean(dim=1))
        return (self.whole(seen[:, 0]) + self.gate.tanh() * found)[:, None]

    def shape(self) -> dict[str, object]:
        """What it is, as JSON."""
        return {"published": "Context-I2W", "mark": MARK}


def read_published_context_words(path: Path) -> PublishedContextWords:
    """The published file.

    Raises:
        UnsafeFile: it holds something else, or more than tensors.
    """
    try:
        state = renamed(state_in(read_checkpoint(path), KEY, path), KEYS)
        network = PublishedContextWords(*_sizes(state))
        network.load_state_dict(state, strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is not Context-I2W's network: {error}", FETCH) from error
    return network


def _sizes(state: State) -> tuple[int, ...]:
    view, input_dim = state["context.weight"].shape
    hidden, width = state["whole.layers.0.weight"].shape
    return (
        view,
        input_dim,
        width,
        hidden,
        len(state["whole.out.weight"]),
        count_of(state, "whole.layers.#."),
        len(state["latents"]),
        len(state["looks.0.query.weight"]),
        count_of(state, "looks.#."),
        len(state["thinks.0.1.weight"]),
    )
