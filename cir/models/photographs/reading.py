"""Pictures -> how far each is a photograph, and what it then shows: concepts of its classes, its colours and its light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cir.models.photographs.knowledge import TRUNK_FILE, Floats, Knowledge, read_knowledge
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.light import light_of
from cir.models.photographs.space import join_shown, share_of, unit

if TYPE_CHECKING:
    from cir.models.photographs.recogniser import Recogniser

GROUP_MASS = 0.25  # probability of a group of classes that counts 1 - 1/e


class PhotographReader:
    """Reads photographs.

    Args:
        recogniser: the network.
        knowledge: of its classes.

    Attributes:
        dim: the width of its concepts.
    """

    def __init__(self, recogniser: Recogniser, knowledge: Knowledge) -> None:
        self.recogniser, self.knowledge = recogniser, knowledge
        self.fingerprint = f"{recogniser.fingerprint}+{knowledge.digest}"
        self.dim = knowledge.concepts.shape[1]

    def shares(self, images: Sequence[Image.Image]) -> Floats:
        """(N,) 1 for a photograph, 0 for a drawing, between them where it is not sure."""
        return share_of(self.recogniser.photograph_logits(images))

    def shown(self, images: Sequence[Image.Image]) -> Floats:
        """(N, concepts + attributes) unit rows."""
        classes = self.recogniser.classes(images)
        return join_shown(self.concepts(classes), self.attributes(images, classes))

    def concepts(self, classes: Floats) -> Floats:
        """(N, C) unit rows: the mean of the concepts of all classes, by their probabilities.

        Source: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (ConSE), ICLR 2014;
        they take the ten likeliest classes, we all of them, softened, and without what all have in common.
        """
        return unit(classes @ self.knowledge.concepts)

    def attributes(self, images: Sequence[Image.Image], classes: Floats) -> Floats:
        """(N, A) in [0, 1]: what the pixels say, or the groups of classes say."""
        light = [light_of(image) for image in images]
        pixels = np.array([[one.get(name, 0.0) for name in ATTRIBUTES] for one in light], np.float32)
        return 1 - (1 - pixels) * (1 - self.groups(classes))

    def groups(self, classes: Floats) -> Floats:
        """(N, A) in [0, 1]: what the groups of classes alone say."""
        return 1 - np.exp(-(classes @ self.knowledge.groups) / GROUP_MASS)


def load_reader(folder: Path, device: str | None = None) -> PhotographReader:
    """From the folder that `python -m cir train photographs` writes.

    Raises:
        MissingModel: it is not there.
        UnsafeFile: its files are not what they should be.
    """
    from cir.models.photographs.recogniser import load_recogniser  # it brings torch

    knowledge = read_knowledge(folder)
    return PhotographReader(load_recogniser(folder / TRUNK_FILE, knowledge.gate, device), knowledge)
