"""ISA: "a photo of [$ $ $ $], T", whose words each look at another part of the picture.

Source: Du et al., "Image2Sentence based Asymmetrical Zero-shot Composed Image Retrieval", ICLR 2024. Theirs has a light
image tower for the query beside the large one of the gallery; here both are one small tower, so of the asymmetry
nothing is left but that only the reference's patches are needed. The network: `cir.models.patch_networks`.
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
from cir.prompts import hycir_template


def isa(
    image_encoder: ImageEncoder,
    patch_encoder: PatchEncoder,
    text_encoder: TextEncoder,
    pseudo_word_encoder: PseudoWordEncoder,
    phi: PatchesToWords,
) -> PatchInversion:
    """Du et al., ICLR 2024."""
    return PatchInversion(
        "ISA", hycir_template, image_encoder, patch_encoder, text_encoder, pseudo_word_encoder, phi
    )
