"""What the network sees of one photograph, as probabilities of its thousand classes. Knows no network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SOFTENED = 2.5  # what logits are divided by: second guesses tell much of what a photograph is like
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network sees of one picture.

    Attributes:
        logits: (V, 1000) of each look.
        alone: it looked at a thing before a plain ground.
    """

    logits: Floats
    alone: bool

    def classes(self, softened: float = SOFTENED) -> Floats:
        """(1000,) probabilities: the mean of those of all looks; of a thing alone as sure as the network is.

        Args:
            softened: what logits are divided by. 1: as sure as the network is.
        """
        logits = self.logits / (1.0 if self.alone else softened)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
