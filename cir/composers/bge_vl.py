"""BGE-VL's composition: the picture's feature and the edit's are added as the encoders give them.

Source: Zhou et al., "MegaPairs: Massive Data Synthesis for Universal Multimodal Retrieval", ACL 2025, whose CLIP-based
models (BGE-VL-base and -large) compose q = normalise(f_v(I_r) + f_t(T)) of features that are not normalised before. So
the longer feature counts for more, and how much is the encoders' own choice. Their encoders are trained for this sum;
here it is the sum over the CLIP that all methods share. The weight is ours: at 0.5 it is their sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cir.composers.baselines import PLAIN_TEXT
from cir.composers.composer import unit_row
from cir.composers.method_card import MethodCard
from cir.composers.parameters import Parameter, Values
from cir.models.protocols import ImageEncoder, TextEncoder
from cir.ranking.scoring import Linear
from cir.types import FINE_GRAINED, REFERENCE_IMAGE, ComposedQuery, Query

W = Parameter(
    "w",
    "w",
    "from the image to the edit",
    0.5,
    part=FINE_GRAINED,
    called=PLAIN_TEXT[FINE_GRAINED],
    meaning="How much the edit counts beside the reference image; each counts by the length of its feature, too.",
)
ONE_SIDE = "BGE-VL adds an image and an edit; with one of them it is that one."


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """(1 - w) f_v + w f_t of features at their own lengths, by pixels alone; with one of them, that one."""
    if len(composed.parts) < 2:
        return Linear.even(composed.parts)
    w, lengths = values[W.name], composed.numbers
    counted = {REFERENCE_IMAGE: (1.0 - w) * lengths[REFERENCE_IMAGE], FINE_GRAINED: w * lengths[FINE_GRAINED]}
    total = sum(counted.values())
    return Linear({name: number / total for name, number in counted.items()})


class BgeVl:
    """q = f_v(I_r) + f_t(T), both at their own lengths."""

    name = "BGE-VL"
    parameters = (W,)
    scoring = staticmethod(scoring)

    def __init__(self, image_encoder: ImageEncoder, text_encoder: TextEncoder) -> None:
        self.image_encoder, self.text_encoder = image_encoder, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Two parts, and the lengths that their features had; one of them, where the query has only that."""
        raw = {}
        if query.reference_image is not None:
            raw[REFERENCE_IMAGE] = self.image_encoder.encode_images([query.reference_image])[0]
        if query.modification_text:
            raw[FINE_GRAINED] = self.text_encoder.encode_raw_texts([query.modification_text])[0]
        yield ComposedQuery(
            {name: unit_row(row) for name, row in raw.items()},
            notes=() if len(raw) == 2 else (ONE_SIDE,),
            scoring=scoring,
            numbers={name: float(np.linalg.norm(row)) for name, row in raw.items()},
            called=PLAIN_TEXT,
        )


CARD = MethodCard(
    "BGE-VL",
    "Zhou et al., MegaPairs, ACL 2025 (its sum, without its trained encoders)",
    __name__,
    lambda given: BgeVl(given.image_encoder, given.text_encoder),
    "MIT",
    template="T",
    defaults="w 0.5",
    parameters=BgeVl.parameters,
)
