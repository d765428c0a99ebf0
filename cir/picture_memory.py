"""What was made of the pictures that were seen last: a reference is read once, however often its query is composed.

A query whose words are put into others is composed twice, and Compare composes one by each method. Knows encoders as
protocols.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from cir.models.protocols import ImageEncoder, PatchEncoder

REMEMBERED_PICTURES = 128
REMEMBERED_PATCHES = 16  # of a large tower they are a megabyte for each picture
Made = TypeVar("Made")


def content_key(image: Image.Image) -> bytes:
    """What a picture shows, as a key: equal pixels give equal keys, whatever the file."""
    digest = hashlib.blake2b(f"{image.mode}{image.size}".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


class SeenPictures(Generic[Made]):
    """Remembers what was made of pictures, by what they show.

    Args:
        most: pictures; the one that was wanted longest ago goes first.
    """

    def __init__(self, most: int = REMEMBERED_PICTURES) -> None:
        self._known: LRUCache[tuple[Hashable, ...], Made] = LRUCache(most)
        self._lock = Lock()

    def made(
        self,
        images: Sequence[Image.Image],
        make: Callable[[list[Image.Image]], Iterable[Made]],
        *depends_on: Hashable,
    ) -> list[Made]:
        """What is made of each picture; `make` is called with the pictures that are new, if any.

        Args:
            images: the pictures.
            make: one for each picture that it is given.
            depends_on: what it depends on beside the picture.
        """
        keys: list[tuple[Hashable, ...]] = [(content_key(image), *depends_on) for image in images]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if new:
            found.update(zip(new, make(list(new.values())), strict=True))
        with self._lock:
            self._known.update(found)
        return [found[key] for key in keys]

    def forget(self) -> None:
        """Make all anew: for those who measure what it costs."""
        with self._lock:
            self._known.clear()


class ReferenceEncoder:
    """An image encoder for references. Those that it saw last are not encoded again.

    Args:
        encoder: who encodes what is new.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self._seen: SeenPictures[NDArray[np.float32]] = SeenPictures()

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """As the protocol says, of one picture or more."""
        return np.stack(self._seen.made(images, lambda new: self._encoder.encode_images(new)))

    def forget(self) -> None:
        """As of `SeenPictures`."""
        self._seen.forget()


class ReferencePatches:
    """The same for patches.

    Args:
        encoder: who encodes what is new.
    """

    def __init__(self, encoder: PatchEncoder) -> None:
        self._encoder = encoder
        self._seen: SeenPictures[NDArray[np.float32]] = SeenPictures(REMEMBERED_PATCHES)

    def encode_patches(self, images: Sequence[Image.Image], *, raw: bool = False) -> NDArray[np.float32]:
        """As the protocol says, of one picture or more."""
        return np.stack(self._seen.made(images, lambda new: self._encoder.encode_patches(new, raw=raw), raw))
