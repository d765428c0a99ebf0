"""ISA: "a photo of [$ $ $ $], T", whose words each look at another part of the picture.

Source: Du et al., "Image2Sentence based Asymmetrical Zero-shot Composed Image Retrieval", ICLR 2024. Theirs has a light
image tower for the query beside the large one of the gallery; here both are one small tower, so of the asymmetry
nothing is left but that only the reference's patches are needed. The network: `cir.models.patch_networks`.
"""

from __future__ import annotations

from cir.composers.method_card import MethodCard
from cir.composers.patch_inversion import with_patches
from cir.prompts import hycir_template

CARD = MethodCard(
    "ISA",
    "Du et al., ICLR 2024",
    __name__,
    with_patches("isa", "ISA", hycir_template),
    "no code or weights published",
    template="a photo of [$ $ $ $], T",
    needs=("patches isa",),
    defaults="4 pseudo-words",
)
