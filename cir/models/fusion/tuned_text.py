"""The last layer of a text tower, tuned for a supervised method; all below it is the set's own, shared and untouched.

It may be given marks: learnt words of which one stands before an edit. Captions and plain texts go through the set's own
tower as ever, so a gallery's features stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice, text_tower, token_ids

_LAST = ("ln_final.", "text_projection")  # beside the last of the layers


class TunedText(nn.Module):
    """Own weights in the place of some of a text tower's.

    Args:
        shapes: name of a tower's parameter -> its shape; of those that are tuned.
        marks: how many marks there are; 0 for edits as they are.
        word_width: W, the width of the tower's word embeddings.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], marks: int, word_width: int) -> None:
        super().__init__()
        self.shapes = {name: list(shape) for name, shape in shapes.items()}
        # A name with points would be taken for a path.
        self.weights = nn.ParameterDict(
            {name.replace(".", "/"): nn.Parameter(torch.zeros(*shape)) for name, shape in shapes.items()}
        )
        self.marks = nn.Parameter(torch.zeros(marks, word_width)) if marks else None
        self._tower: list[Any] = []  # in a list, as it is no part of this module

    @classmethod
    def of(cls, clip: ClipModel, marks: int = 0) -> TunedText:
        """The last layer of a CLIP as it is, and marks that begin as an average word."""
        named = _last_layer(clip.model)
        made = cls({name: list(p.shape) for name, p in named.items()}, marks, clip.word_width)
        with torch.no_grad():
            for name, parameter in named.items():
                made.weights[name.replace(".", "/")].copy_(parameter)
            if made.marks is not None:
                known = token_ids(clip.tokenizer, "a photo that shows the same with")
                made.marks.copy_(text_tower(clip.model).token_embedding.weight[known].mean(dim=0))
                made.marks.add_(0.1 * made.marks.std() * torch.randn_like(made.marks))
        return made

    def shape(self) -> dict[str, Any]:
        """What the constructor has to be told, as JSON."""
        marks = 0 if self.marks is None else len(self.marks)
        return {
            "shapes": self.shapes,
            "marks": marks,
            "word_width": 0 if self.marks is None else self.marks.shape[1],
        }

    def forward(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, D) unit rows of texts, or (N, M, D) with each of M marks; keeps gradients."""
        tower = self.tower_of(clip)
        room = clip.text_length_limit - 3
        ids = [token_ids(clip.tokenizer, text)[:room] for text in texts]
        begin, end = clip.tokenizer.sot_token_id, clip.tokenizer.eot_token_id
        if self.marks is None:
            rows = [[begin, *row, end] for row in ids]
            return F.normalize(encode_with_embeddings(tower, *splice(tower, rows)), dim=1)
        rows = [[begin, PSEUDO_WORD, *row, end] for row in ids]
        said = [
            encode_with_embeddings(tower, *splice(tower, rows, mark.expand(len(rows), 1, -1)))
            for mark in self.marks
        ]
        return F.normalize(torch.stack(said, dim=1), dim=2)

    def tower_of(self, clip: ClipModel) -> Any:
        """The CLIP's model once more, sharing every tensor with it but those that are tuned, which are the ones here."""
        if not self._tower:
            shared = {id(tensor): tensor for tensor in (*clip.model.parameters(), *clip.model.buffers())}
            for name, parameter in _last_layer(clip.model).items():
                shared[id(parameter)] = self.weights[name.replace(".", "/")]
            self._tower.append(copy.deepcopy(clip.model, shared))
        return self._tower[0]


def _last_layer(model: nn.Module) -> dict[str, Tensor]:
    """Name -> parameter of the last layer of a text tower and of what comes behind it."""
    tower = text_tower(model)
    is_blip = hasattr(tower, "text_encoder")
    layers = tower.text_encoder.encoder.layer if is_blip else tower.transformer.resblocks
    last = {id(p) for p in layers[-1].parameters()}
    behind = {id(p) for name, p in tower.named_parameters() if name.startswith(_LAST)}
    return {name: p for name, p in model.named_parameters() if id(p) in last | behind}
