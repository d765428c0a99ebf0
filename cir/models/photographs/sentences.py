"""Texts -> where they point among the concepts of photographs, and which attributes they speak of.

A word that the lexicon does not know speaks of the attribute whose phrase means nearly the same to the sentence
encoder, so that paraphrases count. A text that is one noun is read together with what the noun means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from cir.models.photographs.knowledge import Floats
from cir.models.photographs.lexicon import (
    ATTRIBUTES,
    SAID_AS,
    attributes_of_word,
    take_phrases,
    words_of,
)
from cir.models.photographs.meanings import meanings_of
from cir.models.photographs.space import unit
from cir.models.protocols import SentenceEncoder

REMEMBERED_WORDS = 8192
MEANING = 2.0  # how much the meaning of a noun counts beside the noun
NEAR, SAME = (
    0.55,
    0.80,
)  # cosines of a word and an attribute's phrase: nothing below the one, all from the other


class PhotographTexts:
    """Reads texts for the half of the space that photographs are in.

    Args:
        encoder: all-MiniLM-L6-v2, or what made the concepts.
        centre: (S,) what is taken off every text, see `Knowledge`.
        basis: (S, C) what of the rest counts.
    """

    def __init__(self, encoder: SentenceEncoder, centre: Floats, basis: Floats) -> None:
        self.encoder, self.centre, self.basis = encoder, centre, basis
        self.fingerprint = encoder.fingerprint
        self._words: LRUCache[str, NDArray[np.float32]] = LRUCache(REMEMBERED_WORDS)
        self._lock = Lock()

    def concepts(self, texts: Sequence[str]) -> Floats:
        """(N, C) unit rows; a text without any word is a row of zeros."""
        rows = self._directions(texts)
        for row, text in zip(rows, texts, strict=True):
            if meanings := meanings_of(text):
                row += MEANING * unit(self._directions(meanings).mean(axis=0, keepdims=True))[0]
        return unit(rows) * np.array([[bool(text.strip())] for text in texts], np.float32)

    def _directions(self, texts: Sequence[str]) -> Floats:
        """(N, C) unit rows, without what short texts have in common."""
        return unit(np.asarray((self.encoder.encode(list(texts)) - self.centre) @ self.basis, np.float32))

    def attributes(self, texts: Sequence[str]) -> Floats:
        """(N, A) in [0, 1]: how much each text speaks of each attribute."""
        split = [take_phrases(text) for text in texts]
        of_word = self._rows_of({word for _, rest in split for word in words_of(rest)})
        rows = np.zeros((len(texts), len(ATTRIBUTES)), np.float32)
        for row, (phrases, rest) in zip(rows, split, strict=True):
            for attribute in phrases:
                row[ATTRIBUTES.index(attribute)] = 1.0
            for word in words_of(rest):
                np.maximum(row, of_word[word], out=row)
        return rows

    def _rows_of(self, words: set[str]) -> dict[str, Floats]:
        """(A,) of each word; what was asked before is remembered."""
        with self._lock:
            known = {word: self._words[word] for word in words if word in self._words}
        new = sorted(words - known.keys())
        known.update(zip(new, self._read(new), strict=True))
        with self._lock:
            self._words.update(known)
        return known

    def _read(self, new: Sequence[str]) -> Floats:
        rows = np.zeros((len(new), len(ATTRIBUTES)), np.float32)
        strange: list[int] = []
        for i, word in enumerate(new):
            for attribute in attributes_of_word(word):
                rows[i, ATTRIBUTES.index(attribute)] = 1.0
            if not rows[i].any():
                strange.append(i)
        if strange:
            cosines = self.encoder.encode([new[i] for i in strange]) @ self._prototypes.T
            cosines[cosines < cosines.max(axis=1, keepdims=True)] = 0.0
            rows[strange] = np.clip((cosines - NEAR) / (SAME - NEAR), 0.0, 1.0)
        return rows

    @cached_property
    def _prototypes(self) -> Floats:
        return self.encoder.encode(list(SAID_AS.values()))
