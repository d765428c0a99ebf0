"""What methods are made of: the models of one set, and what CVSI leaves to choose. Does not know where models come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cir.composers.parameters import Values
from cir.models.protocols import (
    Captioner,
    ImageEncoder,
    ImageToWords,
    LanguageModel,
    PatchEncoder,
    PatchesToWords,
    PseudoWordEncoder,
    QueryFusion,
    QueryTowers,
    TextEncoder,
    WordRefiner,
)


@dataclass(frozen=True, slots=True)
class CvsiSettings:
    """What CVSI leaves to choose.

    Attributes:
        captions: N for the query. Paper: 15; each costs one call of the language model.
        joint_call: one call for all captions, as the released code does, instead of one for each.
        seed: of the captioner's sampling.
    """

    captions: int = 2
    joint_call: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What methods are made of. One captioner and one language model for all, so that they can share answers.

    Attributes:
        image_encoder, text_encoder, pseudo_word_encoder: one CLIP.
        phi: the mapping network of a recipe, or None; for None the set's own choice.
        captioner, language_model: None where they are missing; `missing` then says why.
        refiner: for SEARLE-OTI; without it that method is left out.
        settings: CVSI's; their number of captions is also what CIReVL and Captioning ask for.
        cvsi_weights: where CVSI's numbers start; None for the paper's.
        cvsi_for_photographs: where they start for a reference that was read as a photograph; None for the same.
        cvsi_phi: recipe of CVSI's mapping network; None takes the set's.
        missing: part -> why it is not here.
        fusion: the network of a supervised method by its recipe, or None.
        encoder: the image encoder of a method that has its own by its recipe, or None.
        concept_refiner: for PALAVRA; without it that method is left out.
        patch_encoder, patch_words: of the same CLIP, and the network of a method that reads patches by its recipe, or None.
        towers: a supervised method with towers of its own by its recipe, or None; it goes before that of `fusion`.
        published: a supervised method as its authors have published it by its recipe, or None; it goes before that of `fusion` as well.
    """

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    pseudo_word_encoder: PseudoWordEncoder
    phi: Callable[[str | None], ImageToWords | None]
    captioner: Captioner | None = None
    language_model: LanguageModel | None = None
    refiner: WordRefiner | None = None
    settings: CvsiSettings = field(default_factory=CvsiSettings)
    cvsi_weights: Values | None = None
    cvsi_for_photographs: Values | None = None
    cvsi_phi: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    fusion: Callable[[str], QueryFusion | None] = lambda recipe: None
    encoder: Callable[[str], ImageEncoder | None] = lambda recipe: None
    concept_refiner: WordRefiner | None = None
    patch_encoder: PatchEncoder | None = None
    patch_words: Callable[[str], PatchesToWords | None] = lambda recipe: None
    towers: Callable[[str], QueryTowers | None] = lambda recipe: None
    published: Callable[[str], QueryFusion | None] = lambda recipe: None
