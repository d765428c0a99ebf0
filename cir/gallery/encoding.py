"""Who reads, encodes and captions the pictures of a folder: this process (`ThisProcess`), or others that it asks.

Whoever it is gives the same rows in the same order; `indexing` asks, and keeps what comes. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.files import WalkedFile
from cir.gallery.captioning import CaptionedPage, CaptionPage, caption_page, checked_features
from cir.gallery.reading import Loaded, batches, load_ahead
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder


@dataclass(frozen=True, slots=True)
class Encoders:
    """The models of a run: what encodes pictures, what encodes captions and what writes them, of those that take part."""

    images: ImageEncoder
    texts: TextEncoder | None = None
    captioner: Captioner | None = None

    @property
    def fingerprints(self) -> tuple[str, str, str]:
        """Of the three; "" for one that takes no part."""
        texts = self.texts.fingerprint if self.texts is not None else ""
        return (
            self.images.fingerprint,
            texts,
            self.captioner.fingerprint if self.captioner is not None else "",
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How the pictures of a folder are read.

    Attributes:
        root: the folder.
        batch_size: images that are encoded at once.
        thumbnails: whether a small picture of each is made as well.
    """

    root: Path
    batch_size: int = 32
    thumbnails: bool = True


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Some files, in their order, and the features of what was new among their contents.

    Attributes:
        files: what was read; images need not be there any more.
        features: content hash -> (D,) raw features, as the encoder gave them.
    """

    files: Sequence[Loaded]
    features: Mapping[str, NDArray[np.float32]]


def encode_fresh(encoder: ImageEncoder, images: Mapping[str, Image.Image]) -> dict[str, NDArray[np.float32]]:
    """Content hash -> (D,) raw features.

    Raises:
        ValueError: features of another shape, which is a fault of the encoder.
    """
    encoded = encoder.encode_images(list(images.values())) if images else ()
    return dict(zip(images, checked_features(encoded, len(images), encoder.dim), strict=True))


class Workers(Protocol):
    """Reads, encodes and captions."""

    def encode(
        self, reading: Reading, files: Iterable[WalkedFile], known: Collection[str]
    ) -> Iterator[EncodedBatch]:
        """Read files in their order, and encode each content once that is not `known`, which grows meanwhile."""
        ...

    def caption(
        self, reading: Reading, pages: Iterable[CaptionPage], per_image: int
    ) -> Iterator[CaptionedPage]:
        """Caption the contents of pages, and encode their captions, in the order of the pages."""
        ...


class ThisProcess:
    """A few threads read, the caller's one encodes."""

    def __init__(self, encoders: Encoders) -> None:
        self.encoders = encoders

    def encode(
        self, reading: Reading, files: Iterable[WalkedFile], known: Collection[str]
    ) -> Iterator[EncodedBatch]:
        """See `Workers`."""
        loaded = load_ahead(reading.root, files, known, thumbnails=reading.thumbnails)
        for batch in batches(loaded, reading.batch_size):
            fresh = {o.content: o.image for o in batch if o.image is not None and o.content not in known}
            yield EncodedBatch(batch, encode_fresh(self.encoders.images, fresh))

    def caption(
        self, reading: Reading, pages: Iterable[CaptionPage], per_image: int
    ) -> Iterator[CaptionedPage]:
        """See `Workers`."""
        for page in pages:
            yield caption_page(
                reading.root, page, self.encoders.captioner, self.encoders.texts, per_image=per_image
            )
