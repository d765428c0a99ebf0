"""Context-I2W: "a photo of $, T", whose word depends on the picture and on the edit.

Source: Tang et al., "Context-I2W: Mapping Images to Context-Dependent Words for Accurate Zero-Shot Composed Image
Retrieval", AAAI 2024. The context is the sentence round the word, read by the text tower; their code leaves a mark in
the word's place, and so do we with their weights (`cir.models.context_published`). With our network
(`cir.models.patch_networks`) nothing stands there: no text tower of ours has learnt a mark.
"""

from __future__ import annotations

from cir.composers.patch_inversion import PatchInversion
from cir.models.protocols import (
    ImageEncoder,
    PatchEncoder,
    PatchesToWords,
    PseudoWordEncoder,
    TextEncoder,
)
from cir.prompts import pic2word_template


def context_i2w(
    image_encoder: ImageEncoder,
    patch_encoder: PatchEncoder,
    text_encoder: TextEncoder,
    pseudo_word_encoder: PseudoWordEncoder,
    phi: PatchesToWords,
) -> PatchInversion:
    """Tang et al., AAAI 2024."""
    return PatchInversion(
        "Context-I2W",
        pic2word_template,
        image_encoder,
        patch_encoder,
        text_encoder,
        pseudo_word_encoder,
        phi,
    )
