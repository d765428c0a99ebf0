"""What the flow asks of a model: one capability each. Nothing here knows a model library.

Protocols are for the type checker. A model may be a stand-in that is loaded at its first use, and what `isinstance`
says of one depends on the version of Python; whoever wants to know asks the model (`word_probe`).

Arrays at these seams are numpy float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.types import Features


class ImageEncoder(Protocol):
    """Images -> features. `fingerprint` changes whenever features would: it is part of every cache key."""

    dim: int
    fingerprint: str

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) projected image features, NOT normalised: a mapping network wants them raw."""
        ...


class TextEncoder(Protocol):
    """Texts -> features, in the space of the image encoder with the same fingerprint."""

    dim: int
    fingerprint: str

    def encode_texts(self, texts: Sequence[str]) -> Features:
        """(N, D) unit rows. Longer texts are cut at the context length, the end mark kept."""
        ...

    def encode_raw_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same at the length that the tower gives them: what adds features as they are wants it."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, start and end marks counted, before any cut."""
        ...


class PseudoWordEncoder(Protocol):
    """The text tower with places for pseudo-words."""

    dim: int
    fingerprint: str

    def encode_spliced(
        self, prefix: str, pseudo_words: NDArray[np.float32], suffix: str, tail: str = ""
    ) -> Features:
        """(N, D) unit rows of "prefix <pseudo-words> suffix tail", spliced by position.

        Args:
            prefix: text before the pseudo-words.
            pseudo_words: (N, T, W) rows for the token-embedding table's space.
            suffix: text after them; what is cut when the whole is too long.
            tail: text that has to survive the cut (the objects likely added).
        """
        ...


class WordProbe(Protocol):
    """Tells what pseudo-words are near to, in the words of the tower's own vocabulary."""

    def nearest_words(self, pseudo_words: NDArray[np.float32], count: int = 5) -> list[str]:
        """The words whose token embeddings have the highest cosine with any of (T, W) pseudo-words, best first."""
        ...

    def read_as(self, pseudo_words: NDArray[np.float32]) -> str:
        """As what the picture behind (T, W) pseudo-words was read, such as "a photograph"; "" where all are read alike."""
        ...


def word_probe(encoder: object) -> WordProbe | None:
    """The encoder, if it can tell what pseudo-words are near to. One that was put off is loaded to be asked."""
    return cast(WordProbe, encoder) if callable(getattr(encoder, "nearest_words", None)) else None


class ImageToWords(Protocol):
    """The mapping network phi: (N, D) raw image features -> (N, T, W) pseudo-words."""

    tokens: int
    fingerprint: str

    def map_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pseudo-words for raw (un-normalised) image features."""
        ...


class QueryFusion(Protocol):
    """A supervised method's network: an image and an edit -> one query in the space of image features."""

    @property
    def fingerprint(self) -> str:
        """Changes with every weight."""
        ...

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(R, D) unit rows: one, if the method does not weigh several of them."""
        ...


class QueryTowers(ImageEncoder, Protocol):
    """A supervised method's network with towers of its own, which encode its galleries."""

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(1, D) a unit row in the space of its own image features."""
        ...


class PatchEncoder(Protocol):
    """Images -> what the image tower has of their patches before it pools them."""

    def encode_patches(self, images: Sequence[Image.Image], *, raw: bool = False) -> NDArray[np.float32]:
        """(N, P, C): a row for each patch, from the top left, line by line; raw, the class token before them, without the last norm."""
        ...


class PatchesToWords(Protocol):
    """A network that reads the patches of an image, and may read what stands round its words.

    Attributes:
        raw: whether it wants patches and contexts as the towers have them before norm and length.
        mark: what it wants to stand in its words' place in the context; "" for nothing.
    """

    tokens: int
    fingerprint: str
    raw: bool
    mark: str

    def map_patches(
        self,
        patches: NDArray[np.float32],
        features: NDArray[np.float32],
        context: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """(N, P, C) patches, (N, D) raw image features and (N, D) features of the contexts, of length 1 unless raw -> (N, T, W)."""
        ...


class WordRefiner(Protocol):
    """Descends from a pseudo-word to one that fits a picture better."""

    steps: int
    fingerprint: str

    def refine(
        self, features: NDArray[np.float32], words: NDArray[np.float32], concepts: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield steps done and the pseudo-words (1, T, W), now and then and after the last step.

        Args:
            features: (1, D) raw image features.
            words: (1, T, W) to start from.
            concepts: what the picture shows, in words; may be empty.
        """
        ...


class Captioner(Protocol):
    """Images -> `per_image` captions each, by nucleus sampling."""

    fingerprint: str

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """`per_image` captions for each image, reproducible from `seed`."""
        ...


class LanguageModel(Protocol):
    """Prompt -> completion. The answer is data: it is checked before use and never obeyed."""

    fingerprint: str

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        """The completion, without the prompt.

        Raises:
            LanguageModelFailed: no answer in time, or the worker died (it is started again).
        """
        ...


class PatientLanguageModel(LanguageModel, Protocol):
    """A language model that heeds a deadline for each call, can be made ready, and has to be closed."""

    deadline_seconds: float

    def complete(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        deadline_seconds: float | None = None,
    ) -> str:
        """As `LanguageModel.complete`, within seconds of its own."""
        ...


class SentenceEncoder(Protocol):
    """Sentences -> features whose cosine says how alike they are in meaning (a space of its own, not CLIP's)."""

    fingerprint: str

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows."""
        ...


@dataclass(frozen=True, slots=True)
class SpotInput:
    """One picture of a pair, as a `Spoter` sees it: its caption, and the picture itself where it is asked for."""

    caption: str
    image: Callable[[], Image.Image]


class Spoter(Protocol):
    """Two pictures -> the text that leads from the first to the second. Any model that can say it will do."""

    fingerprint: str

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        """The modification text; "" when the model said nothing that can be used.

        Raises:
            CirError: the model itself failed.
        """
        ...
