"""Pic2Word: "a photo of *, T", with a mapping network that learnt from pictures alone.

Source: Saito et al., "Pic2Word: Mapping Pictures to Words for Zero-shot Composed Image Retrieval", CVPR 2023, section 3.
Ours is trained in `cir.training.mapping`.
"""

from __future__ import annotations

from cir.composers.textual_inversion import TextualInversion
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import pic2word_template


def pic2word(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Saito et al., CVPR 2023."""
    return TextualInversion("Pic2Word", pic2word_template, image_encoder, phi, text_encoder)
