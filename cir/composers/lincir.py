"""LinCIR: "a photo of $ that T", with a mapping network that learnt from texts alone.

Source: Gu et al., "Language-only Training of Zero-shot Composed Image Retrieval", CVPR 2024, section 3. Ours is trained
in `cir.training.mapping`.
"""

from __future__ import annotations

from cir.composers.method_card import MethodCard, with_phi
from cir.composers.textual_inversion import TextualInversion
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import lincir_template


def lincir(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Gu et al., CVPR 2024."""
    return TextualInversion("LinCIR", lincir_template, image_encoder, phi, text_encoder)


CARD = MethodCard(
    "LinCIR",
    "Gu et al., CVPR 2024",
    __name__,
    with_phi("lincir", lincir),
    "CC BY-NC 4.0",
    template="a photo of $ that T",
    needs=("phi lincir",),
    defaults="1 pseudo-word",
)
