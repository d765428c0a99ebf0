"""Captions of the pictures that were captioned last: one memory for all methods, so that all see the same captions."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from cir.models.protocols import Captioner
from cir.picture_memory import SeenPictures


class CaptionMemory:
    """A captioner that captions each picture once.

    Args:
        captioner: who captions what is new.
    """

    def __init__(self, captioner: Captioner) -> None:
        self.fingerprint = captioner.fingerprint
        self._captioner = captioner
        self._seen: SeenPictures[list[str]] = SeenPictures()

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """`per_image` captions for each image; the captioner is called with the images that are new, if any."""

        def ask(new: list[Image.Image]) -> list[list[str]]:
            return self._captioner.caption(new, per_image=per_image, seed=seed)

        return [list(found) for found in self._seen.made(images, ask, per_image, seed)]
