"""ISA's token learner for the embedded CLIP: a sentence of several words has to say what the whole picture says.

Source: Du et al., ICLR 2024, its global contrastive distillation: the sentence of the words is held against the picture's
own feature (contrastive, in both directions). Its local alignment brings a light image tower to a large one; there is
only one here, so it is left out. Pictures without texts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cir.models.patch_networks import SentenceWords
from cir.prompts import hycir_template
from cir.training.seen import SeenPictures, contrastive
from cir.training.token_learners import Step

BATCH, WIDTH, WORDS = 128, 192, 4
template = hycir_template


def build(seen: SeenPictures, rng: np.random.Generator) -> SentenceWords:
    """A fresh network."""
    return SentenceWords(*seen.patch_shape, WORDS, seen.word_width, WIDTH, word_length=seen.word_length)


def step(network: SentenceWords, seen: SeenPictures) -> Step:
    """Pictures against their own sentences."""

    def one(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = rng.integers(len(seen), size=BATCH)
        images = seen.unit[torch.from_numpy(chosen)]
        said = seen.encode(["a photo of $"] * BATCH, network(seen.patches(chosen), images, images))
        own = (said.detach() * images).sum(dim=1).mean()
        return contrastive(said, torch.arange(BATCH), images, seen.scale), {"cosine": float(own)}

    return one


def says(network: SentenceWords, seen: SeenPictures) -> Callable[[np.ndarray, object], Tensor]:
    """Pictures -> their words, whatever the edit is."""

    def words(rows: np.ndarray, _: object) -> Tensor:
        images = seen.unit[torch.from_numpy(rows)]
        return network(seen.patches(rows), images, images)

    return words
