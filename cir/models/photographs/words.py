"""Pseudo-words of the joined space: those of a mapping network for CLIP, followed by what a photograph shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cir.models.photographs.space import Space, unit
from cir.models.protocols import ImageToWords, PatchesToWords, WordRefiner

Words = NDArray[np.float32]


def joined_words(space: Space, features: Words, words_of: Callable[[Words], Words]) -> Words:
    """(N, T, W + shown) of rows of the joined space.

    Args:
        space: the joined one.
        features: (N, D) raw features of pictures.
        words_of: (N, clip) raw features of CLIP -> (N, T, W).
    """
    drawn = space.clip_part(features)
    taken = np.logical_not(drawn.any(axis=1))
    words = words_of(np.where(taken[:, None], 1.0, drawn).astype(np.float32))
    words[taken] = 0.0  # CLIP has no word for a photograph
    shown = space.shown_part(features)[:, None].repeat(words.shape[1], axis=1)
    return np.concatenate([words, shown], axis=2)


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
        return joined_words(self.space, features, self.network.map_features)


class JoinedPatchWords:
    """A network that reads CLIP's patches behind the protocol PatchesToWords, for rows of the joined space.

    Args:
        network: for CLIP.
        space: the joined one.
    """

    raw, mark = False, ""  # what is published is for sets that read all pictures alike

    def __init__(self, network: PatchesToWords, space: Space) -> None:
        self.network, self.space = network, space
        self.tokens, self.fingerprint = network.tokens, network.fingerprint

    def map_patches(self, patches: Words, features: Words, context: Words) -> Words:
        """As the protocol says; (N, T, W + shown)."""
        read = unit(context[:, : self.space.clip])
        return joined_words(
            self.space, features, lambda drawn: self.network.map_patches(patches, drawn, read)
        )


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
