"""Early fusion: the edit's tokens read the reference's patches, and what a mark before them has gathered is the query.

Sources: Levy et al., "Data Roaming and Quality Assessment for Composed Image Retrieval", AAAI 2024 (CASE), and Ventura et
al., "CoVR: Learning Composed Video Retrieval from Web Video Captions", AAAI 2024 (CoVR-BLIP, its image part). Both take
BLIP's image-grounded text encoder, whose layers have a cross-attention to the image between self-attention and the two
linear ones (Li et al., BLIP, ICML 2022, section 3.1), and project the output of its [ENC] mark to where the frozen image
encoder has the gallery. Theirs has twelve layers and begins with BLIP's weights; ours has two, begins with nothing, and
reads what the set's frozen text tower says of each token, so that it fits any CLIP. They differ in what they learn by
(`cir.training.fusion_losses`): CASE also asks for the reference, under a mark of its own, [REV]. Of CASE's paper we had
the abstract, and what others say of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.fusion.network import FusionNetwork, Seen, edit_tokens

WIDTH, LAYERS, HEADS = 192, 2, 4
REVERSED = 1  # the mark that asks targets and edits for references; in training alone
DROPOUT = 0.1


class EarlyFusion(FusionNetwork):
    """The network of both.

    Args:
        dim: D, the width of features.
        patches, patch_width: P and C of the image tower.
        token_width: W, the width of what the text tower says of tokens.
        width: of the layers.
    """

    reads_patches = True
    marks = 1  # [ENC]

    def __init__(
        self, dim: int, patches: int, patch_width: int, token_width: int, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.sizes = {
            "dim": dim,
            "patches": patches,
            "patch_width": patch_width,
            "token_width": token_width,
            "width": width,
        }
        self.whole = nn.Linear(dim, width)
        self.patch = nn.Sequential(nn.LayerNorm(patch_width), nn.Linear(patch_width, width))
        self.places = nn.Parameter(0.02 * torch.randn(patches, width))
        self.token = nn.Sequential(nn.LayerNorm(token_width), nn.Linear(token_width, width))
        self.mark = nn.Parameter(0.02 * torch.randn(self.marks, width))
        self.image_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(GroundedLayer(width) for _ in range(LAYERS))
        self.query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    @classmethod
    def of(cls, clip: ClipModel) -> Self:
        """A fresh one for a CLIP."""
        _, patches, patch_width = clip.encode_patches([Image.new("RGB", (64, 64))]).shape
        return cls(clip.dim, patches, patch_width, clip.word_width)

    def shape(self) -> dict[str, Any]:
        """See `FusionNetwork`."""
        return dict(self.sizes)

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """See `edit_tokens`."""
        return edit_tokens(clip, texts)

    def forward(self, references: Seen, edits: Tensor, mark: int = 0) -> Tensor:
        """See `FusionNetwork`; `mark`: which of the marks asks."""
        around = self._image_tokens(references)
        there = edits.abs().amax(dim=2) > 0
        longest = int(there.sum(dim=1).amax())
        there = F.pad(there[:, :longest], (1, 0), value=True)  # the mark
        said = self.token(edits[:, :longest].to(around.dtype))
        hidden = torch.cat([self.mark[mark].expand(len(said), 1, -1), said], dim=1)
        for layer in self.layers[:-1]:
            hidden = layer(hidden, hidden, there, around)
        return self.query(self.layers[-1](hidden[:, :1], hidden, there, around)[:, 0])

    def _image_tokens(self, images: Seen) -> Tensor:
        """(N, 1 + P, width): the whole picture, in the place of a vision transformer's class token, and its patches."""
        assert images.patches is not None, "`reads_patches` says so"
        unit = F.normalize(images.features, dim=1) * math.sqrt(images.features.shape[1])
        whole = self.whole(unit)[:, None]
        return self.image_norm(torch.cat([whole, self.patch(images.patches) + self.places], dim=1))


class Covr(EarlyFusion):
    """CoVR-BLIP's image part."""

    recipe = "covr"


class Case(EarlyFusion):
    """CASE's shift encoder."""

    recipe = "case"
    marks = 2  # [ENC], and [REV] at `REVERSED`


class GroundedLayer(nn.Module):
    """A layer of a text encoder that also looks at an image; normalised before each step, where BLIP's is after it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.reads, self.looks = Attention(width), Attention(width)
        self.thinks = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor, text: Tensor, there: Tensor, image: Tensor) -> Tensor:
        """(N, L, width) tokens, which may be the first of those of the text alone, as they are after the layer.

        Args:
            tokens: see above.
            text: (N, M, width) all tokens of the text.
            there: (N, M) which of them are there.
            image: (N, P, width) tokens of the image.
        """
        read, look, think = self.norms
        tokens = tokens + self.dropout(self.reads(read(tokens), read(text), there))
        tokens = tokens + self.dropout(self.looks(look(tokens), image))
        return tokens + self.dropout(self.thinks(think(tokens)))


class Attention(nn.Module):
    """Rows look at other rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asks, self.says, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )

    def forward(self, rows: Tensor, others: Tensor, there: Tensor | None = None) -> Tensor:
        """(N, L, width) what each row finds in (N, M, width) others; `there`: (N, M) which of those are there."""
        asked, keys, values = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in (self.asks(rows), *self.says(others).chunk(2, dim=2))
        )
        mask = None if there is None else there[:, None, None]
        found = F.scaled_dot_product_attention(asked, keys, values, attn_mask=mask)
        return self.out(found.transpose(1, 2).flatten(2))
