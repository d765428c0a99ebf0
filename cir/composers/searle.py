"""SEARLE, and SEARLE-OTI, which refines the image's word by descent for every query: "a photo of $ that T".

Source: Baldrati et al., "Zero-Shot Composed Image Retrieval with Textual Inversion", ICCV 2023, sections 3.1 to 3.3.
SEARLE's network is distilled from words that were found by descent (ours in `cir.training.searle`). SEARLE-OTI descends
for the picture at hand; the paper's descent starts from noise and takes 350 steps, ours starts from the network's word
and takes 100. Its phrases are held against captions of the picture, where the paper classifies it among the names of
Open Images and has a GPT write the phrases; without a captioner that half of the loss is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from cir.composers.caption_memory import content_key
from cir.composers.composer import reference_of
from cir.composers.parameters import WithoutParameters
from cir.composers.textual_inversion import TextualInversion, sentence
from cir.models.protocols import Captioner, ImageEncoder, ImageToWords, PseudoWordEncoder, WordRefiner
from cir.prompts import concept_in, searle_template
from cir.types import ComposedQuery, Query

REMEMBERED_WORDS = 256
PLAIN_NOTE = "There is no captioner, so the image word is refined towards the image alone."


def searle(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Baldrati et al., ICCV 2023: the distilled network alone."""
    return TextualInversion("SEARLE", searle_template, image_encoder, phi, text_encoder)


class SearleOti(WithoutParameters):
    """SEARLE-OTI: the image's word is refined by descent. A word that was found once is kept.

    Args:
        image_encoder, text_encoder: one CLIP.
        phi: says where the descent starts.
        refiner: descends.
        captioner: says what the picture shows, for the phrases; None leaves them out.
        captions: how many captions are asked for; the first is used.
    """

    name = "SEARLE-OTI"

    def __init__(
        self,
        image_encoder: ImageEncoder,
        phi: ImageToWords,
        text_encoder: PseudoWordEncoder,
        refiner: WordRefiner,
        captioner: Captioner | None = None,
        *,
        captions: int = 1,
    ) -> None:
        self.image_encoder, self.phi, self.text_encoder = image_encoder, phi, text_encoder
        self.refiner, self.captioner, self.captions = refiner, captioner, captions
        self._known: LRUCache[tuple[bytes, str], NDArray[np.float32]] = LRUCache(REMEMBERED_WORDS)
        self._lock = Lock()

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """The network's word first; then the refined one, every few steps.

        Raises:
            BadQuery: no image.
        """
        image, text = reference_of(query, self.name), query.modification_text
        key = (content_key(image), f"{self.refiner.fingerprint}/{self.phi.fingerprint}/{self.captions}")
        notes = () if self.captioner is not None else (PLAIN_NOTE,)
        with self._lock:
            words = self._known.get(key)
        if words is not None:
            yield sentence(self.text_encoder, searle_template, words, text, notes=notes)
            return
        since = time.perf_counter()
        for refined, pending in self._refine(image):
            said = sentence(self.text_encoder, searle_template, refined, text, notes=notes, pending=pending)
            if not pending:
                with self._lock:
                    self._known[key] = refined
            yield replace(said, timings_ms={"image word": 1000.0 * (time.perf_counter() - since)})

    def _refine(self, image: Image.Image) -> Iterator[tuple[NDArray[np.float32], str]]:
        """The word as it is refined, with what is pending; "" with the last."""
        raw = self.image_encoder.encode_images([image])
        start, steps = self.phi.map_features(raw), self.refiner.steps
        yield start, f"refining the image word: step 0 of {steps}"
        concepts: list[str] = []
        if self.captioner is not None:
            said = self.captioner.caption([image], per_image=self.captions, seed=0)[0]
            concepts = [concept_in(caption) for caption in said[:1]]
        for step, words in self.refiner.refine(raw, start, concepts):
            yield words, f"refining the image word: step {step} of {steps}" if step < steps else ""
