"""KEDs' networks: a picture's word is made with what a base of pictures and captions knows of its like.

Each stream has words of its own: what the picture is, what its nearest pictures are and what its nearest captions are, both
seen from the picture by attention. Does not know how the streams are trained.

Source: Suo et al., "Knowledge-Enhanced Dual-stream Zero-shot Composed Image Retrieval", CVPR 2024 (bi-modality
knowledge-guided projection; the captions that are nearest to a picture are found by the picture's feature, as in their
code). Theirs has half a million pairs of the web and 16 neighbours, ours two thousand of the illustrated world and 8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KEDS_LAYOUT = "recompose-keds-1"
NEIGHBOURS, STREAM_WORDS, HEADS = 8, 3, 4


class Stream(nn.Module):
    """One stream.

    Args:
        input_dim: D, the width of features.
        hidden: width between.
        word_width: W, the width of the token-embedding table.
        word_length: Euclidean length that a word starts with.
    """

    def __init__(self, input_dim: int, hidden: int, word_width: int, word_length: float) -> None:
        super().__init__()
        self.phi = nn.Sequential(
            nn.Linear(input_dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, word_width),
        )
        self.pictures = nn.MultiheadAttention(word_width, HEADS, batch_first=True)
        self.captions = nn.MultiheadAttention(word_width, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(word_width)
        nn.init.constant_(self.norm.weight, word_length / math.sqrt(word_width))

    def forward(self, features: Tensor, pictures: Tensor, captions: Tensor) -> Tensor:
        """(N, D) unit features, (N, K, D) of the nearest pictures and of the nearest captions -> (N, 3, W)."""
        own, near, said = self.phi(features)[:, None], self.phi(pictures), self.phi(captions)
        seen = self.pictures(own, near, near, need_weights=False)[0]
        told = self.captions(own, said, said, need_weights=False)[0]
        return self.norm(torch.cat([seen, told, own], dim=1))


class Keds(nn.Module):
    """Both streams and the base, where a mapping network stands; the image stream's words come first.

    Args:
        input_dim, hidden, word_width, word_length: of both streams.
        pairs: how many the base has.

    Attributes:
        known_pictures, known_captions: (B, D) unit features of pairs.
    """

    known_pictures: Tensor
    known_captions: Tensor

    def __init__(
        self, input_dim: int, hidden: int, word_width: int, pairs: int, *, word_length: float = 1.0
    ) -> None:
        super().__init__()
        self.input_dim, self.hidden, self.word_width = input_dim, hidden, word_width
        self.words = 2 * STREAM_WORDS
        self.image_stream = Stream(input_dim, hidden, word_width, word_length)
        self.text_stream = Stream(input_dim, hidden, word_width, word_length)
        self.register_buffer("known_pictures", torch.zeros(pairs, input_dim))
        self.register_buffer("known_captions", torch.zeros(pairs, input_dim))

    def neighbours(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) unit features of pictures -> (N, K, D) of the nearest pictures of the base, and of the nearest captions."""
        return _nearest(features, self.known_pictures), _nearest(features, self.known_captions)

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) unit features of pictures -> (N, 6, W): three words of each stream."""
        near = self.neighbours(features)
        return torch.cat([self.image_stream(features, *near), self.text_stream(features, *near)], dim=1)

    def shape(self) -> dict[str, object]:
        """What the constructor has to be told to make this network again, as JSON."""
        return {
            "layout": KEDS_LAYOUT,
            "input_dim": self.input_dim,
            "hidden": self.hidden,
            "word_width": self.word_width,
            "pairs": len(self.known_pictures),
        }


def _nearest(features: Tensor, known: Tensor) -> Tensor:
    rows = F.normalize(features, dim=1) @ known.T
    return known[rows.topk(min(NEIGHBOURS, len(known)), dim=1).indices]
