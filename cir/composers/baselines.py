"""The three ways without any composition: image alone, text alone, their sum.

Source: the first rows of CVSI's Table I (Image-only, Text-only); the sum is in every other table of the field.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cir.composers.composer import edit_of, reference_of, unit_row
from cir.composers.method_card import ARITHMETIC, MethodCard
from cir.composers.parameters import WithoutParameters
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.types import FINE_GRAINED, REFERENCE_IMAGE, ComposedQuery, Query

PLAIN_TEXT = {FINE_GRAINED: "Edit"}  # encoded as it was typed


class ImageOnly(WithoutParameters):
    """q = f_v(I_r)."""

    name = "Image-only"

    def __init__(self, image_encoder: ImageEncoder) -> None:
        self.image_encoder = image_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part, the reference image.

        Raises:
            BadQuery: no image.
        """
        row = unit_row(self.image_encoder.encode_images([reference_of(query, self.name)]))
        yield ComposedQuery({REFERENCE_IMAGE: row})


class TextOnly(WithoutParameters):
    """q = f_t(T)."""

    name = "Text-only"

    def __init__(self, text_encoder: TextEncoder) -> None:
        self.text_encoder = text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part, the text.

        Raises:
            BadQuery: no text.
        """
        row = unit_row(self.text_encoder.encode_texts([edit_of(query, self.name)]))
        yield ComposedQuery({FINE_GRAINED: row}, called=PLAIN_TEXT)


class Sum(WithoutParameters):
    """q = f_v(I_r) + f_t(T), both of length 1."""

    name = "Sum"

    def __init__(self, image_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        self.image_encoder, self.text_encoder = image_encoder, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Two parts of equal weight; one of them, where the query has only that."""
        parts = both_sides(query, self.image_encoder, self.text_encoder)
        yield ComposedQuery(parts, called=PLAIN_TEXT)


def both_sides(
    query: Query, image_encoder: ImageEncoder, text_encoder: TextEncoder
) -> dict[str, NDArray[np.float32]]:
    """The features of what a query has: its text as FINE_GRAINED, its image as REFERENCE_IMAGE, (D,) of length 1."""
    parts = {}
    if query.modification_text:
        parts[FINE_GRAINED] = unit_row(text_encoder.encode_texts([query.modification_text]))
    if query.reference_image is not None:
        parts[REFERENCE_IMAGE] = unit_row(image_encoder.encode_images([query.reference_image]))
    return parts


SUM = MethodCard(
    "Sum",
    "baseline",
    __name__,
    lambda given: Sum(given.image_encoder, given.text_encoder),
    ARITHMETIC,
    template="T",
    defaults="equal",
)
IMAGE_ONLY = MethodCard(
    "Image-only", "baseline", __name__, lambda given: ImageOnly(given.image_encoder), ARITHMETIC
)
TEXT_ONLY = MethodCard(
    "Text-only",
    "baseline",
    __name__,
    lambda given: TextOnly(given.text_encoder),
    ARITHMETIC,
    template="T",
)
