"""CompoDiff: what a denoiser predicts of the image and the edit, with two scales of guidance as live sliders.

Source: Gu et al., "CompoDiff: Versatile Composed Image Retrieval With Latent Diffusion", TMLR 2024, which weighs three
predictions at each step: without a condition, of the image, and of both. Ours denoises the three side by side and weighs what
they end in, at length 1, so that the sliders move without the denoiser being asked again. The network:
`cir.models.fusion.compodiff`; with the weights that the authors have published, theirs (`cir.models.compodiff_published`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cir.composers.composer import edit_of, reference_of, unit_row
from cir.composers.fused import Fused
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import SUPERVISED, MethodCard
from cir.composers.parameters import Parameter, Values
from cir.models.protocols import QueryFusion
from cir.ranking.scoring import Linear
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, Query

IMAGE = Parameter(
    "image_guidance",
    "w_I",
    "how much the image guides",
    1.0,
    high=4.0,
    meaning="How far the query goes from what any image is like to what the reference is like.",
)
TEXT = Parameter(
    "text_guidance",
    "w_T",
    "how much the edit guides",
    1.0,
    high=8.0,
    meaning="How far the query goes from what the reference is like to what the edit makes of it.",
)
NONE = MODIFIED_CAPTIONS
CALLED = {NONE: "Any image", REFERENCE_IMAGE: "Image", FINE_GRAINED: "Image with edit"}


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """none + w_I (image - none) + w_T (both - image), by pixels alone; what counts for something sums to 1."""
    image, text = values[IMAGE.name], values[TEXT.name]
    weights = {NONE: 1.0 - image, REFERENCE_IMAGE: image - text, FINE_GRAINED: text}
    total = sum(weight for weight in weights.values() if weight > 0)
    return Linear({name: weight / total for name, weight in weights.items()})


class CompoDiff:
    """Three rows of one denoiser.

    Args:
        fusion: the denoiser; its rows are those of `scoring`, in order.
    """

    name = "CompoDiff"
    parameters = (IMAGE, TEXT)
    scoring = staticmethod(scoring)

    def __init__(self, fusion: QueryFusion) -> None:
        self.fusion = fusion

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Three parts.

        Raises:
            BadQuery: no image, or no edit.
        """
        image, text = reference_of(query, self.name), edit_of(query, self.name)
        none, alone, both = (unit_row(row) for row in self.fusion.fuse(image, text))
        parts = {NONE: none, REFERENCE_IMAGE: alone, FINE_GRAINED: both}
        yield ComposedQuery(parts, scoring=scoring, called=CALLED)


def compodiff(given: Ingredients) -> CompoDiff | Fused | None:
    """The method with the set's denoiser; None without one. The published one is guided at every step, by scales that stay."""
    if (published := given.published("compodiff")) is not None:
        return Fused(CompoDiff.name, published)
    fusion = given.fusion("compodiff")
    return None if fusion is None else CompoDiff(fusion)


CARD = MethodCard(
    "CompoDiff",
    "Gu et al., TMLR 2024",
    __name__,
    compodiff,
    "Apache-2.0",
    template="T",
    needs=("network compodiff",),
    defaults="w_I 1, w_T 1",
    parameters=CompoDiff.parameters,
    family=SUPERVISED,
)
