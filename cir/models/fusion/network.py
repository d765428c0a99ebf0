"""What all networks of supervised methods have in common.

A new one is a file beside this one, a line in `NETWORKS` of `cir.models.fusion.files`, a line in `RECIPES` of
`cir.training.fusion` and a `MethodCard`. Does not know how a network is trained, nor where its file lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cir.models.clip import ClipModel


class FusionNetwork(nn.Module):
    """A reference and an edit -> the query.

    Attributes:
        recipe: by which it is trained; the name of its file and on the command line.
    """

    recipe: ClassVar[str]

    def shape(self) -> dict[str, Any]:
        """What the constructor has to be told to make this network again, as JSON."""
        raise NotImplementedError

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, D) what is read of the edits: unit rows of the frozen text tower, if the network has no other way."""
        return torch.from_numpy(clip.encode_texts(texts)).to(clip.device)

    def forward(self, references: Tensor, edits: Tensor) -> Tensor:
        """Queries, of any length.

        Args:
            references: (N, D) raw image features.
            edits: of `edits`.

        Returns:
            (N, D) rows in the space of image features.
        """
        raise NotImplementedError
