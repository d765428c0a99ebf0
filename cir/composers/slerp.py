"""Slerp: the point between the image's feature and the text's on the great arc that joins them.

Source: Jang et al., "Spherical Linear Interpolation and Text-Anchoring for Zero-shot Composed Image Retrieval", ECCV
2024, section 3.1; without the text-anchored image encoder of its section 3.2, which has to be trained and is not
published. Their code has the image at t = 0 and the text at t = 1; so has ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cir.composers.baselines import PLAIN_TEXT, both_sides
from cir.composers.composer import Parameter
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.types import FINE_GRAINED, ComposedQuery, Query, Weights

T = Parameter("beta", "t", "from the image, 0, to the edit, 1", part=PLAIN_TEXT[FINE_GRAINED])
ONE_SIDE = "Slerp lies between an image and an edit; with one of them it is that one."


class Slerp:
    """q = slerp(f_v(I_r), f_t(T), t). The two rows are kept apart: t moves without a model being asked."""

    name = "Slerp"
    default_weights = Weights(0.0, 0.8, 0.0)
    parameters = (T,)

    def __init__(self, image_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        self.image_encoder, self.text_encoder = image_encoder, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Two parts; one of them, where the query has only that."""
        parts = both_sides(query, self.image_encoder, self.text_encoder)
        both = len(parts) == 2
        notes = () if both else (ONE_SIDE,)
        yield ComposedQuery(parts, notes=notes, weighted=both, spherical=both, called=PLAIN_TEXT)


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
