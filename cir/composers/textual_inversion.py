"""Methods that turn the reference image into a pseudo-word and put it into a sentence: Pic2Word and LinCIR.

They differ in how the mapping network was trained, and in the template. Source: Pic2Word, section 3, "a photo of *,
T"; LinCIR, section 3, "a photo of $ that T".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cir.composers.composer import unit_row
from cir.errors import BadQuery
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import lincir_template, pic2word_template
from cir.types import FINE_GRAINED, ComposedQuery, Query, Weights


class TextualInversion:
    """Image -> raw features -> pseudo-words -> a sentence -> one feature."""

    default_weights = Weights(0.0, 1.0, 0.0)

    def __init__(
        self,
        name: str,
        template: Callable[[str], tuple[str, str]],
        image_encoder: ImageEncoder,
        phi: ImageToWords,
        text_encoder: PseudoWordEncoder,
    ) -> None:
        self.name, self.template = name, template
        self.image_encoder, self.phi, self.text_encoder = image_encoder, phi, text_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part, the sentence with the pseudo-words.

        Raises:
            BadQuery: no image.
        """
        if query.reference_image is None:
            raise BadQuery(
                f"{self.name} needs a reference image.", "Choose one, or search with the text alone."
            )
        words = self.phi.map_features(self.image_encoder.encode_images([query.reference_image]))
        prefix, suffix = self.template(query.modification_text)
        row = unit_row(self.text_encoder.encode_spliced(prefix, words, suffix))
        yield ComposedQuery({FINE_GRAINED: row}, weighted=False)


def pic2word(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Saito et al., CVPR 2023."""
    return TextualInversion("Pic2Word", pic2word_template, image_encoder, phi, text_encoder)


def lincir(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Gu et al., CVPR 2024."""
    return TextualInversion("LinCIR", lincir_template, image_encoder, phi, text_encoder)
