"""SPRC: a Q-Former reads the reference together with the edit, and says a prompt that stands before the edit.

Source: Bai et al., "Sentence-level Prompts Benefit Composed Image Retrieval", ICLR 2024: BLIP-2's Q-Former, whose queries
look at the image while they read the edit, makes the prompt; prompt and edit are read by the text encoder. Theirs is the
Q-Former itself once more, with 32 queries and twelve layers of BLIP-2's weights, all tuned; ours has 8 and two, begins with
nothing, and the text encoder is the set's own, whose last layer is tuned. So the gallery keeps its features, where theirs
has 32 for each image. Does not know how it is trained: `cir.training.sprc`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.fusion.network import FusionNetwork, Seen
from cir.models.fusion.tuned_text import TunedText
from cir.models.text_tower import encode_with_embeddings, splice, text_tower, token_ids

WIDTH, LAYERS, HEADS, QUERIES = 128, 2, 4, 8
KNOWN_WORDS = "a photo that shows the same with"  # as whose average the auxiliary prompt begins


class Sprc(FusionNetwork):
    """The Q-Former, and the tuned text tower that reads its prompts.

    Args:
        dim: D, the width of features.
        patches, patch_width: P and C of the image tower.
        word_width: W, the width of the token-embedding table.
        width: of the Q-Former.
        queries: Q, the tokens of a prompt.
        text: what `TunedText` has to be told.

    Attributes:
        auxiliary: (Q, W) one prompt for all, which knows no image: what prompts are held to while they are trained.
    """

    recipe = "sprc"
    reads_patches = True

    def __init__(
        self,
        dim: int,
        patches: int,
        patch_width: int,
        word_width: int,
        width: int,
        queries: int,
        text: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.sizes = {
            "dim": dim,
            "patches": patches,
            "patch_width": patch_width,
            "word_width": word_width,
            "width": width,
            "queries": queries,
        }
        self.whole = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width))
        self.patch = nn.Sequential(nn.LayerNorm(patch_width), nn.Linear(patch_width, width))
        self.places = nn.Parameter(0.02 * torch.randn(patches, width))
        self.words = nn.Sequential(nn.LayerNorm(word_width), nn.Linear(word_width, width))
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.former = _q_former(width)
        self.say = nn.Sequential(nn.Linear(width, word_width), nn.LayerNorm(word_width))
        self.auxiliary = nn.Parameter(torch.zeros(queries, word_width))
        self.length = nn.Parameter(torch.ones(()))  # of a prompt's numbers, as the tower reads them
        self.text = TunedText(**text)
        self._clip: list[ClipModel] = []  # in a list, as it is no part of this module

    @classmethod
    def of(cls, clip: ClipModel) -> Sprc:
        """A fresh one for a CLIP, whose text tower's last layer it goes on from."""
        _, patches, patch_width = clip.encode_patches([Image.new("RGB", (64, 64))]).shape
        text = TunedText.of(clip)
        made = cls(clip.dim, patches, patch_width, clip.word_width, WIDTH, QUERIES, text.shape())
        made.text = text
        table = text_tower(clip.model).token_embedding.weight
        with torch.no_grad():
            known = table[token_ids(clip.tokenizer, KNOWN_WORDS)]
            made.length.copy_(known.norm(dim=1).mean() / math.sqrt(clip.word_width))
            made.auxiliary.copy_(known.mean(dim=0) / made.length)
            made.auxiliary.add_(0.1 * torch.randn_like(made.auxiliary))
        return made

    def shape(self) -> dict[str, Any]:
        """See `FusionNetwork`."""
        return {**self.sizes, "text": self.text.shape()}

    def edits(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """(N, L, W) embeddings of their words up to the end mark, then rows of zeros. This CLIP's tower is read with from now on."""
        self._clip[:] = [clip]
        room = clip.text_length_limit - 2 - len(self.queries)
        end = clip.tokenizer.eot_token_id
        with torch.no_grad():
            rows = [[*token_ids(clip.tokenizer, text)[:room], end] for text in texts]
            embeddings, ends = splice(clip.model, rows)
            kept = torch.arange(embeddings.shape[1], device=ends.device) <= ends[:, None]
            return embeddings * kept[..., None]

    def forward(self, references: Seen, edits: Tensor) -> Tensor:
        """See `FusionNetwork`."""
        return self.read(self.prompts(references, edits), edits)

    def prompts(self, references: Seen, edits: Tensor) -> Tensor:
        """(N, Q, W) what the queries say of each reference, having read its edit; numbers of unit variance."""
        assert references.patches is not None, "a network that `reads_patches` is given them"
        edits = _trimmed(edits)
        whole = self.whole(references.features)[:, None]
        seen = torch.cat([whole, self.patch(references.patches) + self.places], dim=1)
        tower = text_tower(self._tower())
        words = self.words(edits + tower.positional_embedding[: edits.shape[1]].detach())
        count = len(self.queries)
        asked = torch.cat([self.queries.expand(len(words), -1, -1), words], dim=1)
        read = torch.arange(asked.shape[1], device=asked.device) < count + _lengths(edits)[:, None]
        found = self.former(
            query_embeds=asked,
            query_length=count,
            attention_mask=read.long(),
            encoder_hidden_states=seen,
        )
        return self.say(found.last_hidden_state[:, :count])

    def read(self, prompts: Tensor, edits: Tensor) -> Tensor:
        """(N, D) unit rows of (N, Q, W) prompts, each with its edit behind it."""
        edits = _trimmed(edits)
        begin = self._mark(self._clip[0].tokenizer.sot_token_id, len(edits))
        embeddings = torch.cat([begin, self.length * prompts, edits], dim=1)
        ends = prompts.shape[1] + _lengths(edits)
        return F.normalize(encode_with_embeddings(self._tower(), embeddings, ends), dim=1)

    def nothing(self, count: int) -> Tensor:
        """(N, 1, W) edits that say nothing."""
        return self._mark(self._clip[0].tokenizer.eot_token_id, count)

    def _tower(self) -> Any:
        return self.text.tower_of(self._clip[0])

    def _mark(self, token: int, count: int) -> Tensor:
        return text_tower(self._clip[0].model).token_embedding.weight[token].detach().expand(count, 1, -1)


def _trimmed(edits: Tensor) -> Tensor:
    """Edits without the rows of zeros that stand behind all of them."""
    return edits[:, : int(_lengths(edits).amax())]


def _lengths(edits: Tensor) -> Tensor:
    """(N,) the words of each edit with its end mark: a word that was never taught has an embedding of zeros, that mark has not."""
    there = (edits != 0).any(dim=2)
    return edits.shape[1] - there.flip(1).int().argmax(dim=1)


def _q_former(width: int) -> nn.Module:
    """BLIP-2's class, which looks at the image in every layer and reads a text beside its queries."""
    from transformers import Blip2QFormerConfig, Blip2QFormerModel  # takes seconds, for one method of many

    return Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=width,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=2 * width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            cross_attention_frequency=1,
            encoder_hidden_size=width,
            use_qformer_text_input=True,
            initializer_range=1.0 / math.sqrt(width),  # with BERT's 0.02 so narrow a one hardly looks
        )
    )
