"""All methods, in one table: what each is called, where it is from, what it needs, and how it is made.

A new method is a file beside this one, a row here, and a row in docs/methods.md (a test holds the two together). Does
not know where models come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cir.composers import cvsi_removal
from cir.composers.baselines import ImageOnly, Sum, TextOnly
from cir.composers.basic import Basic
from cir.composers.bge_vl import BgeVl
from cir.composers.captioning import Captioning
from cir.composers.cirevl import Cirevl
from cir.composers.composer import Composer, Parameter
from cir.composers.context_i2w import context_i2w
from cir.composers.cvsi import PARAMETERS, Cvsi, CvsiSettings
from cir.composers.cvsi_removal import CvsiRemoval
from cir.composers.fused import Fused, FusedInOwnSpace
from cir.composers.hycir import hycir
from cir.composers.isa import isa
from cir.composers.keds import Keds
from cir.composers.ldre import LEAST_CAPTIONS, Ldre
from cir.composers.lincir import lincir
from cir.composers.palavra import palavra
from cir.composers.parameters import Values
from cir.composers.patch_inversion import PatchInversion
from cir.composers.pic2word import pic2word
from cir.composers.searle import SearleOti, searle
from cir.composers.slerp import Slerp, SlerpTat
from cir.composers.textual_inversion import TextualInversion
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

CAPTIONER, LANGUAGE_MODEL = "captioner", "language model"
ZERO_SHOT, SUPERVISED = "zero-shot", "supervised"


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


@dataclass(frozen=True, slots=True)
class MethodCard:
    """One method.

    Attributes:
        name: as in its paper.
        paper: authors, venue and year; "baseline" for what every table has.
        file: where it is.
        template: what the text tower reads; "" where no sentence is made.
        needs: models beside CLIP. "phi RECIPE" is a mapping network, "network RECIPE" that of a supervised method,
            "image tower RECIPE" an encoder of its own: without it the method cannot be made. Of the others a method
            says itself what it does without them.
        defaults: its weights in words.
        licence: of the published code and weights. Ours are written from the papers.
        build: makes it, or None where its network is missing.
        parameters: what of it can be moved, as its class says; none for a method that is ranked as it is.
        least_captions: of the reference, that it makes in any case.
        family: "zero-shot", or "supervised": learnt from triplets whose edits are known.
    """

    name: str
    paper: str
    file: str
    template: str
    needs: tuple[str, ...]
    defaults: str
    licence: str
    build: Callable[[Ingredients], Composer | None]
    parameters: tuple[Parameter, ...] = ()
    least_captions: int = 1
    family: str = ZERO_SHOT


def _cvsi(name: str, recipe: str | None = None) -> Callable[[Ingredients], Composer | None]:
    """CVSI with the mapping network of a recipe; without one, the set's choice or `Ingredients.cvsi_phi`."""

    def build(given: Ingredients) -> Composer | None:
        phi = given.phi(recipe or given.cvsi_phi)
        if phi is None:
            return None
        return Cvsi(
            given.image_encoder,
            given.text_encoder,
            given.pseudo_word_encoder,
            phi,
            given.captioner,
            given.language_model,
            settings=given.settings,
            start=given.cvsi_weights,
            for_photographs=given.cvsi_for_photographs,
            missing=given.missing,
            name=name,
        )

    return build


def _cvsi_removal(given: Ingredients) -> Composer | None:
    made = _cvsi("CVSI")(given)
    return CvsiRemoval(made) if isinstance(made, Cvsi) else None


def _inversion(
    recipe: str, make: Callable[[ImageEncoder, ImageToWords, PseudoWordEncoder], TextualInversion]
) -> Callable[[Ingredients], Composer | None]:
    def build(given: Ingredients) -> Composer | None:
        phi = given.phi(recipe)
        return None if phi is None else make(given.image_encoder, phi, given.pseudo_word_encoder)

    return build


def _supervised(
    name: str, recipe: str, paper: str, licence: str, *, defaults: str = "", file: str = ""
) -> MethodCard:
    """A supervised method; `file`: of its network, where that is not one of `cir/models/fusion` by the recipe's name."""

    def build(given: Ingredients) -> Composer | None:
        if (towers := given.towers(recipe)) is not None:
            return FusedInOwnSpace(name, towers)
        fusion = given.fusion(recipe)
        return None if fusion is None else Fused(name, fusion)

    where = file or f"cir/models/fusion/{recipe}.py"
    return MethodCard(
        name, paper, where, "T", (f"network {recipe}",), defaults, licence, build, family=SUPERVISED
    )


def _slerp_tat(given: Ingredients) -> Composer | None:
    encoder = given.encoder("tat")
    return None if encoder is None else SlerpTat(encoder, given.text_encoder)


def _searle_oti(given: Ingredients) -> Composer | None:
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


def _palavra(given: Ingredients) -> Composer | None:
    phi, refiner = given.phi("palavra"), given.concept_refiner
    if phi is None or refiner is None:
        return None
    return palavra(given.image_encoder, phi, given.pseudo_word_encoder, refiner)


def _of_patches(recipe: str, make: Callable[..., PatchInversion]) -> Callable[[Ingredients], Composer | None]:
    def build(given: Ingredients) -> Composer | None:
        phi = given.patch_words(recipe)
        if phi is None or given.patch_encoder is None:
            return None
        clip = (given.image_encoder, given.patch_encoder, given.text_encoder, given.pseudo_word_encoder)
        return make(*clip, phi)

    return build


def _keds(given: Ingredients) -> Composer | None:
    phi = given.phi("keds")
    return None if phi is None else Keds(given.image_encoder, phi, given.pseudo_word_encoder)


def _cirevl(given: Ingredients) -> Composer:
    return Cirevl(
        given.text_encoder,
        given.captioner,
        given.language_model,
        captions=given.settings.captions,
        missing=given.missing,
    )


def _ldre(given: Ingredients) -> Composer:
    return Ldre(
        given.text_encoder,
        given.captioner,
        given.language_model,
        captions=max(LEAST_CAPTIONS, given.settings.captions),
        missing=given.missing,
    )


def _captioning(given: Ingredients) -> Composer:
    return Captioning(
        given.text_encoder, given.captioner, captions=given.settings.captions, missing=given.missing
    )


THAT, COMMA = "a photo of $ that T", "a photo of $, T"
NONE = "none: arithmetic"
_COMBINER = "cir/models/fusion/combiner.py"
_EARLY = "cir/models/fusion/early.py"
METHODS: tuple[MethodCard, ...] = (
    MethodCard(
        "CVSI",
        "Ye et al., Fine-Grained ZS-CIR with Complementary Visual-Semantic Integration",
        "cir/composers/cvsi.py",
        "a photo of $ that T. And the photo should have O",
        ("phi any", CAPTIONER, LANGUAGE_MODEL),
        "α 0.6, β 0.4, γ 0.2",
        "MIT, with a part under LinCIR's CC BY-NC 4.0",
        _cvsi("CVSI"),
        PARAMETERS,
    ),
    MethodCard(
        "CVSI+HyCIR",
        "CVSI with HyCIR's mapping network: a combination of ours",
        "cir/composers/cvsi.py",
        "a photo of [$ $ $ $] that T. And the photo should have O",
        ("phi hycir", CAPTIONER, LANGUAGE_MODEL),
        "α 0.6, β 0.4, γ 0.2",
        "as of the two",
        _cvsi("CVSI+HyCIR", "hycir"),
        PARAMETERS,
    ),
    MethodCard(
        "CVSI+removal",
        "CVSI with objects most likely removed: a term of ours",
        "cir/composers/cvsi_removal.py",
        "a photo of $ that T. And the photo should have O",
        ("phi any", CAPTIONER, LANGUAGE_MODEL),
        "α 0.6, β 0.4, γ 0.2, δ 0.2",
        "as of CVSI",
        _cvsi_removal,
        cvsi_removal.PARAMETERS,
    ),
    MethodCard(
        "HyCIR",
        "Jiang et al., HyCIR: Boosting ZS-CIR with Synthetic Labels",
        "cir/composers/hycir.py",
        "a photo of [$ $ $ $], T",
        ("phi hycir",),
        "4 pseudo-words",
        "no code or weights published",
        _inversion("hycir", hycir),
    ),
    MethodCard(
        "LDRE",
        "Yang et al., SIGIR 2024",
        "cir/composers/ldre.py",
        "edited captions",
        (CAPTIONER, LANGUAGE_MODEL),
        "3 captions, 5 images, temperature 0.04",
        "no licence given",
        _ldre,
        least_captions=LEAST_CAPTIONS,
    ),
    MethodCard(
        "CIReVL",
        "Karthik et al., ICLR 2024",
        "cir/composers/cirevl.py",
        "an edited caption",
        (CAPTIONER, LANGUAGE_MODEL),
        "1 caption",
        "MIT",
        _cirevl,
    ),
    MethodCard(
        "SEARLE",
        "Baldrati et al., ICCV 2023",
        "cir/composers/searle.py",
        THAT,
        ("phi searle",),
        "1 pseudo-word",
        "CC BY-NC 4.0",
        _inversion("searle", searle),
    ),
    MethodCard(
        "SEARLE-OTI",
        "Baldrati et al., ICCV 2023",
        "cir/composers/searle.py",
        THAT,
        ("phi any", CAPTIONER),
        "100 steps, 1 caption",
        "CC BY-NC 4.0",
        _searle_oti,
    ),
    MethodCard(
        "LinCIR",
        "Gu et al., CVPR 2024",
        "cir/composers/lincir.py",
        THAT,
        ("phi lincir",),
        "1 pseudo-word",
        "CC BY-NC 4.0",
        _inversion("lincir", lincir),
    ),
    MethodCard(
        "Pic2Word",
        "Saito et al., CVPR 2023",
        "cir/composers/pic2word.py",
        COMMA,
        ("phi pic2word",),
        "1 pseudo-word",
        "Apache-2.0",
        _inversion("pic2word", pic2word),
    ),
    MethodCard(
        "PALAVRA",
        "Cohen et al., ECCV 2022",
        "cir/composers/palavra.py",
        THAT,
        ("phi palavra",),
        "30 steps, 1 pseudo-word",
        "NVIDIA, non-commercial",
        _palavra,
    ),
    MethodCard(
        "Context-I2W",
        "Tang et al., AAAI 2024",
        "cir/composers/context_i2w.py",
        COMMA,
        ("patches context-i2w",),
        "1 pseudo-word",
        "Apache-2.0",
        _of_patches("context-i2w", context_i2w),
    ),
    MethodCard(
        "ISA",
        "Du et al., ICLR 2024",
        "cir/composers/isa.py",
        "a photo of [$ $ $ $], T",
        ("patches isa",),
        "4 pseudo-words",
        "no code or weights published",
        _of_patches("isa", isa),
    ),
    MethodCard(
        "KEDs",
        "Suo et al., CVPR 2024",
        "cir/composers/keds.py",
        "a photo of [$ $ $], T",
        ("phi keds",),
        "w 0.5",
        "MIT",
        _keds,
        Keds.parameters,
    ),
    MethodCard(
        "Slerp",
        "Jang et al., ECCV 2024 (without its trained image encoder)",
        "cir/composers/slerp.py",
        "T",
        (),
        "t 0.8",
        "no licence given",
        lambda given: Slerp(given.image_encoder, given.text_encoder),
        Slerp.parameters,
    ),
    MethodCard(
        "Slerp+TAT",
        "Jang et al., ECCV 2024 (with an image head tuned here)",
        "cir/composers/slerp.py",
        "T",
        ("image tower tat",),
        "t 0.8",
        "no licence given",
        _slerp_tat,
        SlerpTat.parameters,
    ),
    MethodCard(
        "BGE-VL",
        "Zhou et al., MegaPairs, ACL 2025 (its sum, without its trained encoders)",
        "cir/composers/bge_vl.py",
        "T",
        (),
        "w 0.5",
        "MIT",
        lambda given: BgeVl(given.image_encoder, given.text_encoder),
        BgeVl.parameters,
    ),
    MethodCard(
        "BASIC",
        "Psomas et al., NeurIPS 2025 (without expansion of the query)",
        "cir/composers/basic.py",
        "T",
        (),
        "λ 0.1",
        "MIT",
        lambda given: Basic(given.image_encoder, given.text_encoder),
        Basic.parameters,
    ),
    MethodCard(
        "Captioning",
        "baseline",
        "cir/composers/captioning.py",
        "caption, T",
        (CAPTIONER,),
        "1 caption",
        NONE,
        _captioning,
    ),
    MethodCard(
        "Sum",
        "baseline",
        "cir/composers/baselines.py",
        "T",
        (),
        "equal",
        NONE,
        lambda given: Sum(given.image_encoder, given.text_encoder),
    ),
    MethodCard(
        "Image-only",
        "baseline",
        "cir/composers/baselines.py",
        "",
        (),
        "",
        NONE,
        lambda given: ImageOnly(given.image_encoder),
    ),
    MethodCard(
        "Text-only",
        "baseline",
        "cir/composers/baselines.py",
        "T",
        (),
        "",
        NONE,
        lambda given: TextOnly(given.text_encoder),
    ),
    _supervised("TIRG", "tirg", "Vo et al., CVPR 2019 (on frozen CLIP features)", "Apache-2.0"),
    _supervised(
        "Combiner",
        "combiner",
        "Baldrati et al., CVPR 2022 (CLIP4CIR without its first stage)",
        "MIT",
    ),
    _supervised("CLIP4CIR", "clip4cir", "Baldrati et al., CVPR Workshops 2022", "MIT", file=_COMBINER),
    _supervised("BLIP4CIR+Bi", "blip4cir-bi", "Liu et al., WACV 2024", "MIT", file=_COMBINER),
    _supervised("CASE", "case", "Levy et al., AAAI 2024", "MIT, of its data; no weights there", file=_EARLY),
    _supervised("CoVR", "covr", "Ventura et al., AAAI 2024", "MIT", file=_EARLY),
)


def build_methods(given: Ingredients) -> dict[str, Composer]:
    """Every method that can be made of these ingredients, by name, in the order of the table."""
    made = ((card.name, card.build(given)) for card in METHODS)
    return {name: composer for name, composer in made if composer is not None}
