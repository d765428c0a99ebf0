"""CLIP4CIR: a Combiner of image and edit, over a text tower that was tuned for their sum first; with marks, BLIP4CIR+Bi.

Source: Baldrati et al., "Effective Conditioned and Composed Image Retrieval Combining CLIP-based Features", CVPR 2022
(the Combiner over frozen features), and "Conditioned and Composed Image Retrieval Combining and Partially Fine-Tuning
CLIP-based Features", CVPR Workshops 2022 (a first stage that tunes CLIP under the loss of the element-wise sum). Both
features are projected, and what they have in common is made of their concatenation; beside it stand the features
themselves, in shares that a sigmoid finds for each query. The paper's widths are four and eight times the features', ours
equal and twice; the first stage tunes the text tower's last layer where theirs tunes all of it. All features have length 1.

BLIP4CIR+Bi: Liu et al., "Bi-directional Training for Composed Image Retrieval via Text Prompt Learning", WACV 2024: the
same on BLIP, where a learnt mark before the edit says in which direction it is meant. Does not know how it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.fusion.network import FusionNetwork, Seen
from cir.models.fusion.tuned_text import TunedText

DROPOUT = 0.5


class Combiner(FusionNetwork):
    """The network over both features.

    Args:
        dim: D, the width of features.
        projected: the width of either projection.
        hidden: the width of the layers over both.
        text: what `TunedText` has to be told; None for the frozen tower.
    """

    recipe = "combiner"

    def __init__(self, dim: int, projected: int, hidden: int, text: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.sizes = {"dim": dim, "projected": projected, "hidden": hidden}
        self.image = _layer(dim, projected)
        self.edit = _layer(dim, projected)
        self.common = nn.Sequential(_layer(2 * projected, hidden), nn.Linear(hidden, dim))
        self.share = nn.Sequential(_layer(2 * projected, hidden), nn.Linear(hidden, 1), nn.Sigmoid())
        self.text = None if text is None else TunedText(**text)

    @classmethod
    def of(cls, clip: ClipModel, *, tuned: bool = False, marks: int = 0) -> Combiner:
        """A fresh one for a CLIP, whose text tower's last layer it goes on from where it is to be tuned."""
        made = cls(clip.dim, clip.dim, 2 * clip.dim)
        made.text = TunedText.of(clip, marks) if tuned else None
        return made

    def shape(self) -> dict[str, Any]:
        """See `FusionNetwork`."""
        return {**self.sizes, "text": None if self.text is None else self.text.shape()}

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, D) unit rows; with marks (N, 2, D): the edit, and the edit meant backwards."""
        return super().edits(clip, texts) if self.text is None else self.text(clip, texts)

    def forward(self, references: Seen, edits: Tensor) -> Tensor:
        """See `FusionNetwork`; of edits with marks, the first."""
        return self.combine(*both_sides(references, edits))

    def combine(self, images: Tensor, said: Tensor) -> Tensor:
        """(N, D) rows of references and (N, D) of edits, as long as they are -> (N, D)."""
        both = torch.cat([self.image(images), self.edit(said)], dim=1)
        share = self.share(both)
        return self.common(both) + share * said + (1.0 - share) * images


class Clip4Cir(Combiner):
    """The same with its first stage."""

    recipe = "clip4cir"


class Blip4CirBi(Combiner):
    """The same with its first stage, and trained in both directions."""

    recipe = "blip4cir-bi"


def both_sides(references: Seen, edits: Tensor) -> tuple[Tensor, Tensor]:
    """(N, D) unit rows of the references and of the edits."""
    return F.normalize(references.features, dim=1), edits if edits.ndim == 2 else edits[:, 0]


def _layer(width: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, out), nn.ReLU(), nn.Dropout(DROPOUT))
