"""A supervised method's query in the joined space: its network's for drawings, what a photograph shows with the edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from cir.models.protocols import ImageEncoder, QueryFusion
from cir.types import Features

if TYPE_CHECKING:
    from cir.models.photographs.joined import JoinedEncoder


class JoinedFusion:
    """A network for CLIP behind the protocol QueryFusion, for rows of the joined space.

    Args:
        fusion: for CLIP; of a photograph, which CLIP does not know, it does not count.
        encoder: the joined one.
        references: reads the pictures as that does.
    """

    def __init__(self, fusion: QueryFusion, encoder: JoinedEncoder, references: ImageEncoder) -> None:
        self.fusion, self.encoder, self.references = fusion, encoder, references

    @property
    def fingerprint(self) -> str:
        """Of the network."""
        return self.fusion.fingerprint

    def fuse(self, image: Image.Image, text: str) -> Features:
        """As the protocol says."""
        space, rows = self.encoder.space, self.fusion.fuse(image, text)
        shown = space.shown_part(self.references.encode_images([image])).repeat(len(rows), axis=0)
        return space.sentences(rows, shown, self.encoder.text_shown([text]))
