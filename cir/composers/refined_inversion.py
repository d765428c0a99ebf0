"""What SEARLE-OTI and PALAVRA share: the image's word is refined by descent for the picture at hand, and remembered.

They differ in where the descent starts, in what it descends, and in what it is told of the picture.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from cir.composers.composer import reference_of
from cir.composers.textual_inversion import Template, TextualInversion, sentence
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder, WordRefiner
from cir.picture_memory import content_key
from cir.types import ComposedQuery, Query

REMEMBERED_WORDS = 256


class RefinedInversion(TextualInversion):
    """Image -> a network's word -> a better word -> a sentence -> one feature. A word that was found once is kept.

    Args:
        name: of the method.
        template: an edit -> what stands before and after the word.
        image_encoder, text_encoder: one CLIP.
        phi: says where the descent starts.
        refiner: descends.
    """

    notes: Sequence[str] = ()

    def __init__(
        self,
        name: str,
        template: Template,
        image_encoder: ImageEncoder,
        phi: ImageToWords,
        text_encoder: PseudoWordEncoder,
        refiner: WordRefiner,
    ) -> None:
        super().__init__(name, template, image_encoder, phi, text_encoder)
        self.refiner = refiner
        self._known: LRUCache[tuple[bytes, str], NDArray[np.float32]] = LRUCache(REMEMBERED_WORDS)
        self._lock = Lock()

    def concepts(self, image: Image.Image) -> Sequence[str]:
        """What the refiner is told of the picture, in words."""
        return ()

    def depends_on(self) -> str:
        """What a word depends on beside the picture."""
        return f"{self.refiner.fingerprint}/{self.phi.fingerprint}"

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """The network's word first; then the refined one, every few steps.

        Raises:
            BadQuery: no image.
        """
        image, text = reference_of(query, self.name), query.modification_text
        key = (content_key(image), self.depends_on())
        with self._lock:
            words = self._known.get(key)
        if words is not None:
            yield sentence(self.text_encoder, self.template, words, text, notes=self.notes)
            return
        since = time.perf_counter()
        for refined, pending in self._refine(image):
            said = sentence(
                self.text_encoder, self.template, refined, text, notes=self.notes, pending=pending
            )
            if not pending:
                with self._lock:
                    self._known[key] = refined
            yield replace(said, timings_ms={"image word": 1000.0 * (time.perf_counter() - since)})

    def _refine(self, image: Image.Image) -> Iterator[tuple[NDArray[np.float32], str]]:
        """The word as it is refined, with what is pending; "" with the last."""
        raw = self.image_encoder.encode_images([image])
        start, steps = self.phi.map_features(raw), self.refiner.steps
        yield start, f"refining the image word: step 0 of {steps}"
        for step, words in self.refiner.refine(raw, start, self.concepts(image)):
            yield words, f"refining the image word: step {step} of {steps}" if step < steps else ""
