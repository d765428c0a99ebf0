"""PALAVRA: a set encoder's word for the image, made to fit this image by a short descent: "a photo of $ that T".

Source: Cohen et al., "This is my unicorn, Fluffy: Personalizing frozen vision-language representations", ECCV 2022,
section 4; it is about finding a personal thing again, and was first compared for composed retrieval by SEARLE, whose
template this is. Where the networks differ from the paper's, `cir.models.palavra` and `cir.training.palavra` say.
"""

from __future__ import annotations

from cir.composers.ingredients import Ingredients
from cir.composers.method_card import MethodCard
from cir.composers.refined_inversion import RefinedInversion
from cir.prompts import searle_template


def palavra(given: Ingredients) -> RefinedInversion | None:
    """Cohen et al., ECCV 2022; None without the set encoder, or without what refines its word."""
    phi, refiner = given.phi("palavra"), given.concept_refiner
    if phi is None or refiner is None:
        return None
    return RefinedInversion(
        "PALAVRA", searle_template, given.image_encoder, phi, given.pseudo_word_encoder, refiner
    )


CARD = MethodCard(
    "PALAVRA",
    "Cohen et al., ECCV 2022",
    __name__,
    palavra,
    "NVIDIA, non-commercial",
    template="a photo of $ that T",
    needs=("phi palavra",),
    defaults="30 steps, 1 pseudo-word",
)
