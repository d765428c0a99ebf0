"""Pseudo-words of the joined space: those of a mapping network for CLIP, followed by what a photograph shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cir.models.photographs.space import Space
from cir.models.protocols import ImageToWords, WordRefiner

Words = NDArray[np.float32]


class JoinedWords:
    """A mapping network for CLIP behind the protocol ImageToWords, for rows of the joined space.

    Args:
        network: for CLIP.
        space: the joined one.
    """

    def __init__(self, network: ImageToWords, space: Space) -> None:
        self.network, self.space = network, space
        self.tokens, self.fingerprint = network.tokens, network.fingerprint

    def map_features(self, features: NDArray[np.float32]) -> Words:
        """(N, D) raw features -> (N, T, W + shown)."""
        drawn = self.space.clip_part(features)
        taken = np.logical_not(drawn.any(axis=1))
        words = self.network.map_features(np.where(taken[:, None], 1.0, drawn).astype(np.float32))
        words[taken] = 0.0  # CLIP has no word for a photograph
        shown = self.space.shown_part(features)[:, None].repeat(words.shape[1], axis=1)
        return np.concatenate([words, shown], axis=2)


class JoinedRefiner:
    """A refiner for CLIP behind the protocol WordRefiner; what a photograph shows stays as it is.

    Args:
        refiner: for CLIP.
        space: the joined one.
    """

    def __init__(self, refiner: WordRefiner, space: Space) -> None:
        self.refiner, self.space = refiner, space
        self.steps, self.fingerprint = refiner.steps, refiner.fingerprint

    def refine(
        self, features: NDArray[np.float32], words: Words, concepts: Sequence[str]
    ) -> Iterator[tuple[int, Words]]:
        """As the protocol says; a photograph's word is not refined, as CLIP knows nothing of it."""
        width = words.shape[2] - self.space.shown
        shown = words[..., width:]
        if np.linalg.norm(shown[0, 0]) >= 1 - 1e-3:
            yield self.steps, words
            return
        for step, found in self.refiner.refine(self.space.clip_part(features), words[..., :width], concepts):
            yield step, np.concatenate([found, shown], axis=2)
