"""PALAVRA's networks: pictures of one concept -> a word for it, and the descent that makes the word fit one picture.

`SetEncoder` stands where a mapping network stands: of a single picture it makes a word as of a set of one. With it are
kept what the descent holds the word against: sentences of classes, and other pictures. Does not know how it is trained.

Source: Cohen et al., "This is my unicorn, Fluffy: Personalizing frozen vision-language representations", ECCV 2022,
section 4 (a set encoder of layers that do not depend on the order; a matrix that brings features of texts to where those
of pictures lie) and its second stage (the word goes on from there by descent; the name of its class is a negative).
Theirs gets some pictures of a thing and its class from a person. Here is one picture: its class is the one that CLIP
finds likeliest, and other pictures are negatives as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.text_tower import encode_with_embeddings, splice
from cir.prompts import searle_template

if TYPE_CHECKING:
    from cir.models.clip import ClipModel

SET_LAYOUT = "recompose-set-encoder-1"
REPORT_EVERY = 10


class SetLayer(nn.Module):
    """Each member by itself, less what all members share: whatever the order is, the answer is the same."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.own, self.shared = nn.Linear(width, out), nn.Linear(width, out, bias=False)

    def forward(self, members: Tensor) -> Tensor:
        """(N, K, width) -> (N, K, out)."""
        return F.elu(self.own(members) - self.shared(members.mean(dim=1, keepdim=True)))


class SetEncoder(nn.Module):
    """Features of the pictures of a concept -> its pseudo-word.

    Args:
        input_dim: D, the width of image features.
        hidden: width between.
        word_width: W, the width of the token-embedding table.
        classes, others: how many sentences and how many pictures are kept for the descent.
        word_length: Euclidean length that a word starts with, the usual one of the table's rows.
        dropout: behind the pooling, in training.

    Attributes:
        alignment: brings unit features of texts to where those of pictures lie.
        class_features, other_features: (C, D) unit features of sentences, (M, D) of pictures.
    """

    class_features: Tensor
    other_features: Tensor

    def __init__(
        self,
        input_dim: int,
        hidden: int,
        word_width: int,
        *,
        classes: int,
        others: int,
        word_length: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_dim, self.hidden, self.words, self.word_width = input_dim, hidden, 1, word_width
        self.members = nn.Sequential(SetLayer(input_dim, hidden), SetLayer(hidden, hidden))
        self.concept = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ELU(), nn.Linear(hidden, word_width)
        )
        self.norm = nn.LayerNorm(word_width)
        nn.init.constant_(self.norm.weight, word_length / math.sqrt(word_width))
        self.alignment = nn.Linear(input_dim, input_dim)
        nn.init.zeros_(self.alignment.weight)
        nn.init.zeros_(self.alignment.bias)
        self.register_buffer("class_features", torch.zeros(classes, input_dim))
        self.register_buffer("other_features", torch.zeros(others, input_dim))

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) unit features of single pictures, or (N, K, D) of sets of K -> (N, 1, W)."""
        sets = features[:, None] if features.ndim == 2 else features
        return self.norm(self.concept(self.members(sets).mean(dim=1)))[:, None]

    def as_pictures(self, texts: Tensor) -> Tensor:
        """(N, D) unit features of texts -> unit features, where those of pictures lie."""
        return F.normalize(texts + self.alignment(texts), dim=1)

    def shape(self) -> dict[str, object]:
        """What the constructor has to be told to make this network again, as JSON."""
        return {
            "layout": SET_LAYOUT,
            "input_dim": self.input_dim,
            "hidden": self.hidden,
            "word_width": self.word_width,
            "classes": len(self.class_features),
            "others": len(self.other_features),
        }


@dataclass(frozen=True, slots=True)
class ConceptSettings:
    """How to descend.

    Attributes:
        steps, rate: of Adam; the authors' code has 30 steps at 0.01.
        temperature: of the contrast.
    """

    steps: int = 30
    rate: float = 0.01
    temperature: float = 0.1


class ConceptRefiner:
    """The second stage, behind the protocol WordRefiner: the sentence shall be nearer to the picture than all it is held against.

    Args:
        clip: the CLIP whose words are sought.
        network: trained for it.
        fingerprint: of the network.
        settings: how to descend.
    """

    def __init__(
        self, clip: ClipModel, network: SetEncoder, fingerprint: str, settings: ConceptSettings | None = None
    ) -> None:
        self.clip, self.network = clip, network
        self.settings = settings or ConceptSettings()
        self.steps = self.settings.steps
        self.fingerprint = f"{clip.fingerprint}/{fingerprint}/{self.settings}"

    def refine(
        self, features: NDArray[np.float32], words: NDArray[np.float32], concepts: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """As the protocol says. `concepts` does not count: the class is found among those of the encoder.

        Yields:
            Steps done, and the pseudo-words (1, T, W); every ten steps and after the last.
        """
        network, model = self.network, self.clip.model
        photo = self.clip.spliced_tokens(*searle_template(""), words=words.shape[1])
        word = torch.from_numpy(np.array(words, np.float32)).to(self.clip.device).requires_grad_(True)
        picture = F.normalize(torch.from_numpy(np.asarray(features, np.float32)), dim=1)
        against = self._against(picture)
        optimiser = torch.optim.Adam([word], lr=self.settings.rate)
        for step in range(1, self.steps + 1):
            with torch.enable_grad():
                said = F.normalize(encode_with_embeddings(model, *splice(model, [photo], word)), dim=1)
                there = network.as_pictures(said.cpu())
                logits = torch.cat([there @ picture.T, there @ against.T], dim=1) / self.settings.temperature
                loss = F.cross_entropy(logits, torch.zeros(1, dtype=torch.long))
                (word.grad,) = torch.autograd.grad(loss, [word])
            optimiser.step()
            if step % REPORT_EVERY == 0 or step == self.steps:
                yield step, word.detach().cpu().numpy().copy()

    @torch.no_grad()
    def _against(self, picture: Tensor) -> Tensor:
        """The sentence of the picture's likeliest class, and all other pictures."""
        classes = self.network.as_pictures(self.network.class_features)
        likeliest = (picture @ classes.T).argmax(dim=1)
        return torch.cat([classes[likeliest], self.network.other_features])
