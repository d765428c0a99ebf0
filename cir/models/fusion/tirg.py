"""TIRG: the image's feature, let through by a gate, and a residual that the edit adds to it.

Source: Vo et al., "Composing Text and Image for Image Retrieval - An Empirical Odyssey", CVPR 2019, section 3.2, Eq. 1-3:
w_g sigma(f_gate(x, t)) x + w_r f_res(x, t), both functions two layers over the concatenated features, both weights
learnt. The paper trains ResNet and LSTM with it; here both towers are a frozen CLIP, and their features have length 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.fusion.network import FusionNetwork, Seen

# The image first, the residual a tenth: at its start the query is about the reference.
START = (1.0, 0.1)


class Tirg(FusionNetwork):
    """The gated residual.

    Args:
        dim: D, the width of features.
    """

    recipe = "tirg"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.gate, self.residual = _two_layers(dim), _two_layers(dim)
        self.weights = nn.Parameter(torch.tensor(START))

    def shape(self) -> dict[str, Any]:
        """See `FusionNetwork`."""
        return {"dim": self.dim}

    def forward(self, references: Seen, edits: Tensor) -> Tensor:
        """See `FusionNetwork`."""
        images = F.normalize(references.features, dim=1)
        both = torch.cat([images, edits], dim=1)
        kept = torch.sigmoid(self.gate(both)) * images
        return self.weights[0] * kept + self.weights[1] * self.residual(both)


def _two_layers(dim: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm1d(2 * dim), nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)
    )
