"""CLIP for drawings and what reads photographs, as one image encoder, text encoder and pseudo-word encoder.

Whoever composes, indexes or searches sees the protocols alone. Without a sentence encoder photographs are read as ever,
but no text is understood as being about them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.cache_keys import digest_of
from cir.models.photographs.lexicon import shares_known
from cir.models.photographs.reading import PhotographReader
from cir.models.photographs.sentences import PhotographTexts
from cir.models.photographs.space import Space, join_shown, unit
from cir.types import DRAWING, PHOTOGRAPH, Features

if TYPE_CHECKING:
    from cir.models.clip import ClipModel

LENGTH = 50.0  # of a photograph's row: what the shipped CLIP gives drawings, about
REMEMBERED = 4096
VERSION = 2  # raise it when rows would change though no weight did
Words = NDArray[np.float32]


class JoinedEncoder:
    """The protocols ImageEncoder, TextEncoder, PseudoWordEncoder and WordProbe for both worlds.

    Args:
        clip: knows drawings.
        reader: reads photographs.
        texts: reads texts about photographs; None while the sentence encoder is not here.
    """

    def __init__(self, clip: ClipModel, reader: PhotographReader, texts: PhotographTexts | None) -> None:
        self.clip, self.reader, self.sentences = clip, reader, texts
        self.space = Space(clip.dim, reader.dim)
        self.dim = self.space.dim
        self.fingerprint = f"embedded@{digest_of(clip.fingerprint, reader.fingerprint, VERSION)[:12]}"
        self._knows = lru_cache(REMEMBERED)(lambda word: clip.knows_word(word))

    @property
    def name(self) -> str:
        """Of CLIP, for people."""
        return self.clip.name

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the maker of CLIP wrote down."""
        return self.clip.metadata

    @property
    def text_length_limit(self) -> int:
        """How many tokens CLIP reads."""
        return self.clip.text_length_limit

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) features, not normalised. A drawing is read by CLIP, a photograph by the network for photographs."""
        shares = self.reader.shares(images)
        raw = np.zeros((len(images), self.space.clip), np.float32)
        shown = np.zeros((len(images), self.space.shown), np.float32)
        drawn, taken = np.flatnonzero(shares < 1).tolist(), np.flatnonzero(shares > 0).tolist()
        lengths = np.full(len(images), LENGTH, np.float32)
        if len(drawn):
            raw[drawn] = self.clip.encode_images([images[i] for i in drawn])
            lengths[drawn] = np.linalg.norm(raw[drawn], axis=1)
        if len(taken):
            shown[taken] = self.reader.shown([images[i] for i in taken])
        return self.space.pictures(raw, lengths, shown, shares)

    def encode_patches(self, images: Sequence[Image.Image], *, raw: bool = False) -> NDArray[np.float32]:
        """(N, P, C) what CLIP has of patches; of a photograph they do not count (`JoinedPatchWords`)."""
        return self.clip.encode_patches(images, raw=raw)

    def encode_texts(self, texts: Sequence[str]) -> Features:
        """(N, D) unit rows."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return self.space.texts(self.clip.encode_texts(texts), self.text_shown(texts), self.known(texts))

    def encode_raw_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) rows of `encode_texts` at the length that CLIP gives them."""
        lengths = np.linalg.norm(self.clip.encode_raw_texts(texts), axis=1, keepdims=True)
        return self.encode_texts(texts) * lengths

    def encode_spliced(self, prefix: str, pseudo_words: Words, suffix: str, tail: str = "") -> Features:
        """(N, D) unit rows: CLIP's sentence with the image as a word, and what the photograph shows with the edit.

        Args:
            prefix: text before the pseudo-words.
            pseudo_words: (N, T, W + shown) of `JoinedWords`.
            suffix: text after them.
            tail: text that survives the cut.
        """
        width = self.clip.word_width
        features = self.clip.encode_spliced(prefix, pseudo_words[..., :width], suffix, tail)
        shown = pseudo_words[:, 0, width:]
        edit = self.text_shown([f"{suffix} {tail}".strip(" ,.")])
        return self.space.sentences(features, shown, edit)

    def nearest_words(self, pseudo_words: Words, count: int = 5) -> list[str]:
        """What (T, W + shown) pseudo-words are near to: CLIP's words, or names of classes for a photograph."""
        width = self.clip.word_width
        shown = pseudo_words[0, width:]
        if np.linalg.norm(shown) < 0.5:
            return self.clip.nearest_words(pseudo_words[:, :width], count)
        cosines = unit(self.reader.knowledge.concepts) @ shown[: self.space.concepts]
        return [self.reader.knowledge.names[i] for i in np.argsort(-cosines)[:count]]

    def read_as(self, pseudo_words: Words) -> str:
        """As what the picture behind (T, W + shown) pseudo-words was read: a photograph, a drawing, or partly each."""
        return _kind(float(np.linalg.norm(pseudo_words[0, self.clip.word_width :])))

    def row_read_as(self, row: NDArray[np.float32]) -> str:
        """As `read_as`, of a (D,) row of a picture."""
        return _kind(float(np.linalg.norm(self.space.shown_part(row[None]))))

    def count_tokens(self, text: str) -> int:
        """Tokens that CLIP counts."""
        return self.clip.count_tokens(text)

    def known(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N,) the share of each text's words that CLIP was taught; 1 for a text that says nothing."""
        return np.array(shares_known(texts, self._knows), np.float32)

    def text_shown(self, texts: Sequence[str]) -> Features:
        """(N, shown) what texts say of photographs; zeros without a sentence encoder."""
        if self.sentences is None:
            return np.zeros((len(texts), self.space.shown), np.float32)
        return join_shown(self.sentences.concepts(texts), self.sentences.attributes(texts))


def _kind(share: float) -> str:
    """What a picture is called by its share of being a photograph, which features hold to a thousandth."""
    if share < 0.01:
        return DRAWING
    return PHOTOGRAPH if share > 0.99 else "partly a photograph, partly a drawing"


class TextsOfDrawings:
    """A joined encoder without a sentence encoder as the protocol TextEncoder, under a fingerprint of its own.

    What it encodes is to be encoded again once texts about photographs can be read.
    """

    def __init__(self, encoder: JoinedEncoder) -> None:
        self.encoder, self.dim = encoder, encoder.dim
        self.fingerprint = f"{encoder.fingerprint}+drawings"

    def encode_texts(self, texts: Sequence[str]) -> Features:
        """As the protocol says."""
        return self.encoder.encode_texts(texts)

    def encode_raw_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the protocol says."""
        return self.encoder.encode_raw_texts(texts)

    def count_tokens(self, text: str) -> int:
        """As the protocol says."""
        return self.encoder.count_tokens(text)
