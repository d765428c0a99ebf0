"""HyCIR: "a photo of [$ $ $ $], T", with a mapping network that learnt from pictures and from synthetic triplets.

Source: Jiang et al., "HyCIR: Boosting Zero-Shot Composed Image Retrieval with Synthetic Labels", section "Model
architecture"; four pseudo-words (Table 4). The brackets are the paper's notation and are not said. Ours is trained in
`cir.training.hycir`.
"""

from __future__ import annotations

from cir.composers.method_card import MethodCard, with_phi
from cir.composers.textual_inversion import TextualInversion
from cir.models.protocols import ImageEncoder, ImageToWords, PseudoWordEncoder
from cir.prompts import hycir_template


def hycir(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder, *, name: str = "HyCIR"
) -> TextualInversion:
    """HyCIR's network has four words for an image; how many, its file says. `name`: of the method, for another network."""
    return TextualInversion(name, hycir_template, image_encoder, phi, text_encoder)


CARD = MethodCard(
    "HyCIR",
    "Jiang et al., HyCIR: Boosting ZS-CIR with Synthetic Labels",
    __name__,
    with_phi("hycir", hycir),
    "no code or weights published",
    template="a photo of [$ $ $ $], T",
    needs=("phi hycir",),
    defaults="4 pseudo-words",
)
