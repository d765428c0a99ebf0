"""SEARLE, and SEARLE-OTI, which refines the image's word by descent for every query: "a photo of $ that T".

Source: Baldrati et al., "Zero-Shot Composed Image Retrieval with Textual Inversion", ICCV 2023, sections 3.1 to 3.3.
SEARLE's network is distilled from words that were found by descent (ours in `cir.training.searle`). SEARLE-OTI descends
for the picture at hand; the paper's descent starts from noise and takes 350 steps, ours starts from the network's word
and takes 100. Its phrases are held against captions of the picture, where the paper classifies it among the names of
Open Images and has a GPT write the phrases; without a captioner that half of the loss is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from cir.composers.ingredients import Ingredients
from cir.composers.method_card import CAPTIONER, MethodCard, with_phi
from cir.composers.refined_inversion import RefinedInversion
from cir.composers.textual_inversion import TextualInversion
from cir.models.protocols import Captioner, ImageEncoder, ImageToWords, PseudoWordEncoder, WordRefiner
from cir.prompts import concept_in, searle_template

PLAIN_NOTE = "There is no captioner, so the image word is refined towards the image alone."


def searle(
    image_encoder: ImageEncoder, phi: ImageToWords, text_encoder: PseudoWordEncoder
) -> TextualInversion:
    """Baldrati et al., ICCV 2023: the distilled network alone."""
    return TextualInversion("SEARLE", searle_template, image_encoder, phi, text_encoder)


class SearleOti(RefinedInversion):
    """SEARLE-OTI: the descent is told what a caption says of the picture.

    Args:
        image_encoder, text_encoder: one CLIP.
        phi: says where the descent starts.
        refiner: descends.
        captioner: says what the picture shows, for the phrases; None leaves them out.
        captions: how many captions are asked for; the first is used.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        phi: ImageToWords,
        text_encoder: PseudoWordEncoder,
        refiner: WordRefiner,
        captioner: Captioner | None = None,
        *,
        captions: int = 1,
    ) -> None:
        super().__init__("SEARLE-OTI", searle_template, image_encoder, phi, text_encoder, refiner)
        self.captioner, self.captions = captioner, captions
        self.notes = () if captioner is not None else (PLAIN_NOTE,)

    def concepts(self, image: Image.Image) -> Sequence[str]:
        """What the first caption says."""
        if self.captioner is None:
            return ()
        said = self.captioner.caption([image], per_image=self.captions, seed=0)[0]
        return [concept_in(caption) for caption in said[:1]]

    def depends_on(self) -> str:
        """The captions, too."""
        return f"{super().depends_on()}/{self.captions}"


def searle_oti(given: Ingredients) -> SearleOti | None:
    """The method with SEARLE's network, or with the set's choice; None without any, or without what descends."""
    phi = given.phi("searle") or given.phi(None)
    if phi is None or given.refiner is None:
        return None
    return SearleOti(
        given.image_encoder,
        phi,
        given.pseudo_word_encoder,
        given.refiner,
        given.captioner,
        captions=given.settings.captions,
    )


CARD = MethodCard(
    "SEARLE",
    "Baldrati et al., ICCV 2023",
    __name__,
    with_phi("searle", searle),
    "CC BY-NC 4.0",
    template="a photo of $ that T",
    needs=("phi searle",),
    defaults="1 pseudo-word",
)
OTI = MethodCard(
    "SEARLE-OTI",
    "Baldrati et al., ICCV 2023",
    __name__,
    searle_oti,
    "CC BY-NC 4.0",
    template="a photo of $ that T",
    needs=("phi any", CAPTIONER),
    defaults="100 steps, 1 caption",
)
