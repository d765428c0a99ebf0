"""KEDs: two sentences "a photo of [$ $ $], T", one with each stream's words, and their weighted sum.

Source: Suo et al., "Knowledge-Enhanced Dual-stream Zero-shot Composed Image Retrieval", CVPR 2024. Their sum is searched
for its best weight on each data set, in tenths; ours is a slider. The streams and their base: `cir.models.keds`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cir.composers.composer import reference_of, unit_row
from cir.composers.method_card import MethodCard, with_phi
from cir.composers.parameters import Parameter, Values
from cir.composers.textual_inversion import image_word
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import pic2word_template
from cir.ranking.scoring import Linear
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, ComposedQuery, Query

W = Parameter(
    "text_stream",
    "w",
    "from the image stream to the text stream",
    0.5,
    meaning="How much the sentence of the text stream counts; what is left is the image stream's.",
)
STREAMS = {FINE_GRAINED: "Image stream", MODIFIED_CAPTIONS: "Text stream"}


def scoring(composed: ComposedQuery, values: Values) -> Linear:
    """(1 - w) of the image stream's sentence and w of the text stream's, by pixels alone."""
    w = values[W.name]
    return Linear({FINE_GRAINED: 1.0 - w, MODIFIED_CAPTIONS: w})


class Keds:
    """Both streams' sentences. The two rows are kept apart: w moves without a model being asked.

    Args:
        image_encoder, text_encoder: one CLIP.
        phi: both streams; the first half of its words is the image stream's.
    """

    name = "KEDs"
    parameters = (W,)
    scoring = staticmethod(scoring)

    def __init__(
        self, image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
    ) -> None:
        self.image_encoder, self.phi, self.text_encoder = image_encoder, phi, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Two parts, a sentence of each stream.

        Raises:
            BadQuery: no image.
        """
        image = reference_of(query, self.name)
        words = self.phi.map_features(self.image_encoder.encode_images([image]))
        half = max(1, self.phi.tokens // 2)
        prefix, suffix = pic2word_template(query.modification_text)
        streams = {FINE_GRAINED: words[:, :half], MODIFIED_CAPTIONS: words[:, -half:]}
        parts = {
            name: unit_row(self.text_encoder.encode_spliced(prefix, said, suffix))
            for name, said in streams.items()
        }
        yield ComposedQuery(parts, image_word(self.text_encoder, words), scoring=scoring, called=STREAMS)


CARD = MethodCard(
    "KEDs",
    "Suo et al., CVPR 2024",
    __name__,
    with_phi("keds", Keds),
    "MIT",
    template="a photo of [$ $ $], T",
    needs=("phi keds",),
    defaults="w 0.5",
    parameters=Keds.parameters,
)
