"""What all networks of supervised methods have in common.

A new one is a file beside this one, a line in `NETWORKS` of `cir.models.fusion.files`, a line in `RECIPES` of
`cir.training.fusion` and a `MethodCard`. Does not know how a network is trained, nor where its file lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from cir.models.clip import ClipModel
from cir.models.text_tower import splice, token_ids, token_states


class Seen(NamedTuple):
    """What an image tower has of N pictures.

    Attributes:
        features: (N, D) raw image features.
        patches: (N, P, C) what it has of their patches; None for a network that does not read them.
    """

    features: Tensor
    patches: Tensor | None = None


class FusionNetwork(nn.Module):
    """A reference and an edit -> the query.

    Attributes:
        recipe: by which it is trained; the name of its file and on the command line.
        reads_patches: whether it reads the patches of the reference beside its feature.
    """

    recipe: ClassVar[str]
    reads_patches: ClassVar[bool] = False

    def shape(self) -> dict[str, Any]:
        """What the constructor has to be told to make this network again, as JSON."""
        raise NotImplementedError

    def seen(self, clip: ClipModel, images: Sequence[Image.Image]) -> Seen:
        """What is read of N pictures."""
        features = torch.from_numpy(clip.encode_images(images)).to(clip.device)
        if not self.reads_patches:
            return Seen(features)
        return Seen(features, torch.from_numpy(clip.encode_patches(images)).to(clip.device))

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, D) what is read of the edits: unit rows of the frozen text tower, if the network has no other way."""
        return torch.from_numpy(clip.encode_texts(texts)).to(clip.device)

    def forward(self, references: Seen, edits: Tensor) -> Tensor:
        """Queries, of any length.

        Args:
            references: N pictures, with their patches where the network reads them.
            edits: of `edits`.

        Returns:
            (N, D) rows in the space of image features.
        """
        raise NotImplementedError

    def rows(self, references: Seen, edits: Tensor) -> Tensor:
        """(R, D) what one query is searched with: one row, if the method does not weigh several of them."""
        return self(references, edits)


@torch.no_grad()
def edit_tokens(clip: ClipModel, texts: Sequence[str]) -> Tensor:
    """(N, L, W) what the frozen tower says of each token up to the end mark, then rows of zeros; in half precision.

    Those of all triplets are kept while a network is trained, so they are kept small. Too long a text is cut, its end mark kept.
    """
    begin, end, room = clip.tokenizer.sot_token_id, clip.tokenizer.eot_token_id, clip.text_length_limit - 2
    rows = [[begin, *token_ids(clip.tokenizer, text)[:room], end] for text in texts]
    return token_states(clip.model, *splice(clip.model, rows)).half()
