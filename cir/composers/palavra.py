"""PALAVRA: a set encoder's word for the image, made to fit this image by a short descent: "a photo of $ that T".

Source: Cohen et al., "This is my unicorn, Fluffy: Personalizing frozen vision-language representations", ECCV 2022,
section 4; it is about finding a personal thing again, and was first compared for composed retrieval by SEARLE, whose
template this is. Where the networks differ from the paper's, `cir.models.palavra` and `cir.training.palavra` say.
"""

from __future__ import annotations

from cir.composers.refined_inversion import RefinedInversion
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder, WordRefiner
from cir.prompts import searle_template


def palavra(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder, refiner: WordRefiner
) -> RefinedInversion:
    """Cohen et al., ECCV 2022."""
    return RefinedInversion("PALAVRA", searle_template, image_encoder, phi, text_encoder, refiner)
