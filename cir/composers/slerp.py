"""Slerp: the point between the image's feature and the text's on the great arc that joins them.

Source: Jang et al., "Spherical Linear Interpolation and Text-Anchoring for Zero-shot Composed Image Retrieval", ECCV
2024, section 3.1. Their code has the image at t = 0 and the text at t = 1; so has ours. `SlerpTat` adds section 3.2:
the image encoder is tuned towards the frozen features of texts (`cir.training.text_anchored`), and encodes the gallery
as well. Theirs is not published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cir.composers.baselines import PLAIN_TEXT, both_sides
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import MethodCard
from cir.composers.parameters import Parameter, Values
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.picture_memory import ReferenceEncoder
from cir.ranking.scoring import Linear
from cir.types import FINE_GRAINED, REFERENCE_IMAGE, ComposedQuery, Query

T = Parameter(
    "t",
    "t",
    "from the image to the edit",
    0.8,
    part=FINE_GRAINED,
    called=PLAIN_TEXT[FINE_GRAINED],
    formerly="beta",
    meaning="How far along the arc from the reference image to the edit.",
)
ONE_SIDE = "Slerp lies between an image and an edit; with one of them it is that one."


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """The point at t of the way from the image's row to the text's, by pixels alone; with one row, that row."""
    if len(composed.parts) < 2:
        return Linear.even(composed.parts)
    image, text = composed.parts[REFERENCE_IMAGE], composed.parts[FINE_GRAINED]
    shares = arc_shares(float(image @ text), values[T.name])
    return Linear(dict(zip((REFERENCE_IMAGE, FINE_GRAINED), shares, strict=True)))


class Slerp:
    """q = slerp(f_v(I_r), f_t(T), t). The two rows are kept apart: t moves without a model being asked."""

    name = "Slerp"
    parameters = (T,)
    scoring = staticmethod(scoring)

    def __init__(self, image_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        self.image_encoder, self.text_encoder = image_encoder, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Two parts; one of them, where the query has only that."""
        parts = both_sides(query, self.image_encoder, self.text_encoder)
        notes = () if len(parts) == 2 else (ONE_SIDE,)
        yield ComposedQuery(parts, notes=notes, scoring=scoring, called=PLAIN_TEXT)


class SlerpTat(Slerp):
    """Slerp between an image as a tuned encoder sees it and the text of the CLIP that it was tuned for.

    Args:
        gallery_encoder: encodes the reference and the gallery, in the space of the text encoder.
        text_encoder: of that CLIP.
    """

    name = "Slerp+TAT"
    words_fit = True

    def __init__(self, gallery_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        super().__init__(ReferenceEncoder(gallery_encoder), text_encoder)
        self.gallery_encoder = gallery_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """As Slerp's, to be compared with the tuned encoder's features."""
        for composed in super().compose(query):
            yield replace(composed, space=self.gallery_encoder.fingerprint)


def arc_shares(cosine: float, t: float) -> tuple[float, float]:
    """What two unit rows count for at `t` of the way along the great arc from the first to the second; sums to 1.

    slerp(u, v, t) = [sin((1 - t) a) u + sin(t a) v] / sin a, with a the angle between them; a cosine score asks for
    its direction alone. Rows that are equal or opposite have no arc of their own: there it is the straight line.
    Source: Slerp (ECCV 2024), section 3.1.
    """
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    if np.sin(angle) < 1e-6:
        return 1.0 - t, t
    first, second = float(np.sin((1.0 - t) * angle)), float(np.sin(t * angle))
    return first / (first + second), second / (first + second)


def slerp_tat(given: Ingredients) -> SlerpTat | None:
    """The method with the set's tuned encoder; None without one."""
    encoder = given.encoder("tat")
    return None if encoder is None else SlerpTat(encoder, given.text_encoder)


CARD = MethodCard(
    "Slerp",
    "Jang et al., ECCV 2024 (without its trained image encoder)",
    __name__,
    lambda given: Slerp(given.image_encoder, given.text_encoder),
    "no licence given",
    template="T",
    defaults="t 0.8",
    parameters=Slerp.parameters,
)
TAT = MethodCard(
    "Slerp+TAT",
    "Jang et al., ECCV 2024 (with an image head tuned here)",
    __name__,
    slerp_tat,
    "no licence given",
    template="T",
    needs=("image tower tat",),
    defaults="t 0.8",
    parameters=SlerpTat.parameters,
)
