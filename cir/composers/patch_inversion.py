"""What Context-I2W and ISA share: the patches of the reference image become pseudo-words inside a sentence.

The gallery's features stay as they are: of the reference alone the patches are needed. They differ in their network, in
the number of its words, and in the sentence.
"""

from __future__ import annotations

from collections.abc import Iterator

from cir.composers.composer import reference_of
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import Build
from cir.composers.parameters import WithoutParameters
from cir.composers.textual_inversion import Template, sentence
from cir.models.protocols import (
    ImageEncoder,
    PatchEncoder,
    PatchesToWords,
    PseudoWordEncoder,
    TextEncoder,
)
from cir.types import ComposedQuery, Query


class PatchInversion(WithoutParameters):
    """Image and edit -> patches and context -> pseudo-words -> a sentence -> one feature.

    Args:
        name: of the method.
        template: an edit -> what stands before and after the pseudo-words; both together, with the mark of `phi`, are the context.
        image_encoder, patch_encoder, text_encoder, pseudo_word_encoder: one CLIP.
        phi: the network.
    """

    def __init__(
        self,
        name: str,
        template: Template,
        image_encoder: ImageEncoder,
        patch_encoder: PatchEncoder,
        text_encoder: TextEncoder,
        pseudo_word_encoder: PseudoWordEncoder,
        phi: PatchesToWords,
    ) -> None:
        self.name, self.template, self.phi = name, template, phi
        self.image_encoder, self.patch_encoder = image_encoder, patch_encoder
        self.text_encoder, self.pseudo_word_encoder = text_encoder, pseudo_word_encoder

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """One part, the sentence with the pseudo-words.

        Raises:
            BadQuery: no image.
        """
        image, text = reference_of(query, self.name), query.modification_text
        before, after = self.template(text)
        context = " ".join(filter(None, (before, self.phi.mark, after)))
        read = self.text_encoder.encode_raw_texts if self.phi.raw else self.text_encoder.encode_texts
        words = self.phi.map_patches(
            self.patch_encoder.encode_patches([image], raw=self.phi.raw),
            self.image_encoder.encode_images([image]),
            read([context]),
        )
        yield sentence(self.pseudo_word_encoder, self.template, words, text)


def with_patches(recipe: str, name: str, template: Template) -> Build:
    """What makes a method with the network of a recipe that reads patches; None where that is missing."""

    def build(given: Ingredients) -> PatchInversion | None:
        phi, patches = given.patch_words(recipe), given.patch_encoder
        if phi is None or patches is None:
            return None
        return PatchInversion(
            name,
            template,
            given.image_encoder,
            patches,
            given.text_encoder,
            given.pseudo_word_encoder,
            phi,
        )

    return build
