"""Optimised textual inversion: the pseudo-word of an image found by descent through the frozen text tower.

The text tower reads "a photo of $", and $ is moved until the text's feature points where the image's does. That alone
drives it out of the region where words lie; so phrases with $ in them have to mean what the same phrases mean with
words for what the image shows. `invert` does many images at once, for training; `ImageWordRefiner` one, for a query.
Does not know where the words for an image come from.

Source: SEARLE, section 3.1 (AdamW, 350 steps at 2e-2, an exponential average of the pseudo-word with decay 0.99, weight
1 for the image, 0.5 for the phrases). There the phrases are written by a GPT round concepts that CLIP finds in the
image among the classes of Open Images; where ours come from, `cir.composers.searle` and `cir.training.searle` say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cir.models.clip import ClipModel
from cir.models.text_tower import encode_with_embeddings, splice
from cir.prompts import SEARLE_PHRASES, searle_template

REPORT_EVERY = 20
# The phrase of a step: a row of token ids with its pseudo-word, and (N, D) or (D,) unit features that it should have.
DrawPhrase = Callable[[np.random.Generator], tuple[Sequence[int], Tensor]]


@dataclass(frozen=True, slots=True)
class InversionSettings:
    """How to descend.

    Attributes:
        steps: how many. Paper: 350, from noise; ours start from a mapping network's word.
        rate, weight_decay: of AdamW.
        decay: of the exponential average of the pseudo-word; shorter than the paper's 0.99, as the descent is.
        image, phrases: weights of the two losses.
        seed: of the phrases that are drawn.
    """

    steps: int = 100
    rate: float = 2e-2
    weight_decay: float = 0.01
    decay: float = 0.95
    image: float = 1.0
    phrases: float = 0.5
    seed: int = 0


def invert(
    model: nn.Module,
    features: Tensor,
    start: Tensor,
    photo: Sequence[int],
    draw: DrawPhrase | None,
    settings: InversionSettings,
) -> Iterator[tuple[int, Tensor]]:
    """Descend from `start`, for N images at once; each is independent of the others.

    Args:
        model: an open_clip model; its weights get no gradients.
        features: (N, D) image features of any length.
        start: (N, T, W) pseudo-words.
        photo: token ids of "a photo of $", PSEUDO_WORD for the word.
        draw: the phrase of a step; None leaves that loss out.
        settings: how to descend.

    Yields:
        Steps done, and the averaged pseudo-words (N, T, W), after every step.
    """
    target = F.normalize(features, dim=1)
    words = start.detach().clone().requires_grad_(True)
    average = start.detach().clone()
    optimiser = torch.optim.AdamW([words], lr=settings.rate, weight_decay=settings.weight_decay)
    rng = np.random.default_rng(settings.seed)
    for step in range(1, settings.steps + 1):
        with torch.enable_grad():
            loss = settings.image * apart(model, photo, words, target)
            if draw is not None:
                row, meant = draw(rng)
                loss = loss + settings.phrases * apart(model, row, words, meant)
            (words.grad,) = torch.autograd.grad(loss, [words])
        optimiser.step()
        average.lerp_(words.detach(), 1.0 - settings.decay)
        yield step, average


def apart(model: nn.Module, row: Sequence[int], words: Tensor, target: Tensor) -> Tensor:
    """The sum over N of 1 - cos(f_t(row with a word in it), target). Source: SEARLE, section 3.1."""
    texts = encode_with_embeddings(model, *splice(model, [row] * len(words), words))
    return (1.0 - (F.normalize(texts, dim=1) * target).sum(dim=1)).sum()


class ImageWordRefiner:
    """Inversion of one image, behind the protocol WordRefiner.

    Args:
        clip: the CLIP whose words are sought.
        settings: how to descend.
    """

    def __init__(self, clip: ClipModel, settings: InversionSettings | None = None) -> None:
        self.clip = clip
        self.settings = settings or InversionSettings()
        self.steps = self.settings.steps
        self.fingerprint = f"{clip.fingerprint}/{self.settings}"

    def refine(
        self, features: NDArray[np.float32], words: NDArray[np.float32], concepts: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Refine a pseudo-word for one image.

        Args:
            features: (1, D) raw image features.
            words: (1, T, W) to start from.
            concepts: what the image shows, in words, for the phrases; without any, that loss is left out.

        Yields:
            Steps done, and the pseudo-words (1, T, W); every 20 steps and after the last.
        """
        device, count = self.clip.device, words.shape[1]
        photo = self.clip.spliced_tokens(*searle_template(""), words=count)
        draw = self._phrases(concepts, count) if concepts else None
        image, start = (torch.from_numpy(np.asarray(a, np.float32)).to(device) for a in (features, words))
        for step, found in invert(self.clip.model, image, start, photo, draw, self.settings):
            if step % REPORT_EVERY == 0 or step == self.steps:
                yield step, found.cpu().numpy().copy()

    def _phrases(self, concepts: Sequence[str], count: int) -> DrawPhrase:
        pairs = [(before, concept, after) for concept in concepts for before, after in SEARLE_PHRASES]
        texts = [" ".join(filter(None, pair)) for pair in pairs]
        meant = torch.from_numpy(self.clip.encode_texts(texts)).to(self.clip.device)
        rows = [self.clip.spliced_tokens(before, after, words=count) for before, _, after in pairs]

        def draw(rng: np.random.Generator) -> tuple[Sequence[int], Tensor]:
            chosen = int(rng.integers(len(rows)))
            return rows[chosen], meant[chosen]

        return draw
