"""Pic2Word: "a photo of *, T", with a mapping network that learnt from pictures alone.

Source: Saito et al., "Pic2Word: Mapping Pictures to Words for Zero-shot Composed Image Retrieval", CVPR 2023, section 3.
Ours is trained in `cir.training.mapping`.
"""

from __future__ import annotations

from cir.composers.method_card import MethodCard, with_phi
from cir.composers.textual_inversion import TextualInversion
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import pic2word_template


def pic2word(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Saito et al., CVPR 2023."""
    return TextualInversion("Pic2Word", pic2word_template, image_encoder, phi, text_encoder)


CARD = MethodCard(
    "Pic2Word",
    "Saito et al., CVPR 2023",
    __name__,
    with_phi("pic2word", pic2word),
    "Apache-2.0",
    template="a photo of $, T",
    needs=("phi pic2word",),
    defaults="1 pseudo-word",
)
