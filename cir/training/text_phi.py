"""A mapping network from texts alone, where none is published: first in closed form, then by LinCIR's steps.

The closed form needs forward passes only, minutes on any computer: of each word that the tokenizer has whole, the feature
of "a photo of WORD" and the word's own token embedding are known, and a ridge regression leads from one to the other. The
network starts as exactly that line, and LinCIR's self-masking goes on from there for as long as is given.

Does not know where words and captions come from (`cir.training.plain_captions`).

Source: LinCIR, section 3. The start is our own. LinCIR disturbs its features by u * N(0, 1), u ~ U(0, 1); the least
squares over features that are disturbed so are those of a ridge, whose weight is the disturbance's mean square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cir.errors import CirError
from cir.models.clip import ClipModel
from cir.models.mapping import MappingNetwork
from cir.models.text_tower import text_tower, token_ids
from cir.text import counted
from cir.training.hycir import HycirSettings
from cir.training.lincir import RELATIVE_NOISE, LincirTraining

Say = Callable[[str], None]
FEWEST_WORDS = 100
ENCODED_AT_ONCE = 1024


def whole_words(clip: ClipModel, words: Sequence[str]) -> list[tuple[str, int]]:
    """(word, token) of those words that the tokenizer has whole."""
    tokens = {word: token_ids(clip.tokenizer, word) for word in words}
    return [(word, ids[0]) for word, ids in tokens.items() if len(ids) == 1]


def ridge(
    features: NDArray[np.float32], words: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The line from unit features (N, D) to token embeddings (N, W): a matrix (D, W) and what is added (W,).

    Its weight is the mean square of LinCIR's noise in one dimension, RELATIVE_NOISE^2 / 3 D: u^2 is 1 / 3 on average.
    """
    mean, target = features.mean(axis=0, dtype=np.float64), words.mean(axis=0, dtype=np.float64)
    centred = features - mean
    count, width = features.shape
    weight = count * RELATIVE_NOISE**2 / (3 * width)
    matrix = np.linalg.solve(centred.T @ centred + weight * np.eye(width), centred.T @ (words - target))
    return matrix, target - mean @ matrix


def network_of_line(
    matrix: NDArray[np.float64], added: NDArray[np.float64], word_length: float, dropout: float = 0.0
) -> MappingNetwork:
    """A network of two hidden layers that computes a line exactly, and then gives its words their usual length.

    GELU(z) - GELU(-z) = z: each hidden layer carries every number twice, with both signs. They are carried at about the
    size 1, where GELU bends, so that training has something to bend.
    """
    width, word_width = matrix.shape
    network = MappingNetwork(
        width, (2 * width, 2 * width), 1, word_width, dropout=dropout, word_length=word_length
    )
    one = torch.eye(width)
    scale = math.sqrt(width)
    out = torch.from_numpy(matrix.T / scale)
    weights = (
        scale * torch.cat([one, -one]),
        torch.cat([torch.cat([one, -one], dim=1), torch.cat([-one, one], dim=1)]),
        torch.cat([out, -out], dim=1),
    )
    with torch.no_grad():
        linears = [linear for linear in network.linears if isinstance(linear, nn.Linear)]
        for linear, weight in zip(linears, weights, strict=True):
            linear.weight.copy_(weight)
            linear.bias.zero_()
        linears[-1].bias.copy_(torch.from_numpy(added))
    return network


def closed_form(clip: ClipModel, words: Sequence[str], say: Say, dropout: float = 0.0) -> MappingNetwork:
    """The network of the ridge over those words that the tokenizer has whole.

    Raises:
        CirError: it has hardly any of them whole.
    """
    pairs = whole_words(clip, words)
    if len(pairs) < FEWEST_WORDS:
        raise CirError(
            f"Of {counted(len(words), 'word')}, the tokenizer of {clip.name} has {len(pairs)} whole.",
            "Give other words, or another CLIP.",
        )
    rows = []
    for start in range(0, len(pairs), ENCODED_AT_ONCE):
        say(f"reading words: {start} of {len(pairs)}")
        rows.append(
            clip.encode_texts([f"a photo of {word}" for word, _ in pairs[start : start + ENCODED_AT_ONCE]])
        )
    with torch.inference_mode():
        table = (
            text_tower(clip.model).token_embedding.weight[[token for _, token in pairs]].float().cpu().numpy()
        )
    matrix, added = ridge(np.concatenate(rows), table)
    return network_of_line(matrix, added, float(np.linalg.norm(table, axis=1).mean()), dropout)


class TextPhiTraining(LincirTraining):
    """LinCIR's training from captions, begun at the closed form over words.

    Args:
        clip: frozen here.
        captions: to learn from.
        words: of the closed form.
        settings: see there; its hidden widths are taken from the CLIP.
        folder: for checkpoint and log; a training that is there already goes on.
        say: told how far the closed form is.

    Raises:
        CirError: too few captions or words, or a checkpoint of other settings or other data.
    """

    def __init__(
        self,
        clip: ClipModel,
        captions: Sequence[str],
        words: Sequence[str],
        settings: HycirSettings,
        folder: Path,
        say: Say = lambda _: None,
    ) -> None:
        self.words, self._say = list(words), say
        super().__init__(
            clip, captions, replace(settings, tokens=1, hidden=(2 * clip.dim, 2 * clip.dim)), folder
        )
        if self.step == 0:
            self.save({"step": 0})

    @property
    def data(self) -> tuple[object, ...]:
        """What is learned from, for a key."""
        return self.captions, self.words

    def _fresh_network(self) -> MappingNetwork:
        if (self.folder / "checkpoint.pt").exists():  # it is about to be read
            return super()._fresh_network()
        return closed_form(self.clip, self.words, self._say, self.settings.dropout).to(self.clip.device)
