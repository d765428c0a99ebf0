"""Context-I2W: "a photo of $, T", whose word depends on the picture and on the edit.

Source: Tang et al., "Context-I2W: Mapping Images to Context-Dependent Words for Accurate Zero-Shot Composed Image
Retrieval", AAAI 2024. The context is the sentence round the word, read by the text tower; their code leaves a mark in
the word's place, and so do we with their weights (`cir.models.context_published`). With our network
(`cir.models.patch_networks`) nothing stands there: no text tower of ours has learnt a mark.
"""

from __future__ import annotations

from cir.composers.method_card import MethodCard
from cir.composers.patch_inversion import with_patches
from cir.prompts import pic2word_template

CARD = MethodCard(
    "Context-I2W",
    "Tang et al., AAAI 2024",
    __name__,
    with_patches("context-i2w", "Context-I2W", pic2word_template),
    "Apache-2.0",
    template="a photo of $, T",
    needs=("patches context-i2w",),
    defaults="1 pseudo-word",
)
