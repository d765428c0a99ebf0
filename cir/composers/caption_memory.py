"""Captions of the pictures that were captioned last: one memory for all methods, so that all see the same captions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from threading import Lock

from cachetools import LRUCache
from PIL import Image

from cir.models.protocols import Captioner

REMEMBERED_PICTURES = 128


def content_key(image: Image.Image) -> bytes:
    """What a picture shows, as a key: equal pixels give equal keys, whatever the file."""
    digest = hashlib.blake2b(f"{image.mode}{image.size}".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


class CaptionMemory:
    """A captioner that captions each picture once.

    Args:
        captioner: who captions what is new.
    """

    def __init__(self, captioner: Captioner) -> None:
        self.fingerprint = captioner.fingerprint
        self._captioner = captioner
        self._known: LRUCache[tuple[bytes, int, int], list[str]] = LRUCache(REMEMBERED_PICTURES)
        self._lock = Lock()

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """`per_image` captions for each image; the captioner is called with the images that are new, if any."""
        keys = [(content_key(image), per_image, seed) for image in images]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if new:
            said = self._captioner.caption(list(new.values()), per_image=per_image, seed=seed)
            found.update(zip(new, said, strict=True))
        with self._lock:
            self._known.update(found)
        return [list(found[key]) for key in keys]
