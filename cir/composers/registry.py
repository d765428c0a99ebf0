"""All methods, in one list.

A new method is a file beside this one with its card, a line here, and a row in docs/methods.md (a test holds the two
together).
"""

from __future__ import annotations

from collections.abc import Collection

from cir.composers import (
    baselines,
    basic,
    bge_vl,
    captioning,
    cirevl,
    compodiff,
    context_i2w,
    cvsi,
    cvsi_removal,
    fused,
    hycir,
    isa,
    keds,
    ldre,
    lincir,
    palavra,
    pic2word,
    searle,
    slerp,
)
from cir.composers.composer import Composer
from cir.composers.ingredients import Ingredients
from cir.composers.method_card import LANGUAGE_MODEL, MethodCard

_COMBINER, _EARLY = "cir.models.fusion.combiner", "cir.models.fusion.early"
METHODS: tuple[MethodCard, ...] = (
    cvsi.CARD,
    cvsi.WITH_HYCIR,
    cvsi_removal.CARD,
    hycir.CARD,
    ldre.CARD,
    cirevl.CARD,
    searle.CARD,
    searle.OTI,
    lincir.CARD,
    pic2word.CARD,
    palavra.CARD,
    context_i2w.CARD,
    isa.CARD,
    keds.CARD,
    slerp.CARD,
    slerp.TAT,
    bge_vl.CARD,
    basic.CARD,
    captioning.CARD,
    baselines.SUM,
    baselines.IMAGE_ONLY,
    baselines.TEXT_ONLY,
    fused.supervised("TIRG", "tirg", "Vo et al., CVPR 2019 (on frozen CLIP features)", "Apache-2.0"),
    fused.supervised(
        "Combiner", "combiner", "Baldrati et al., CVPR 2022 (CLIP4CIR without its first stage)", "MIT"
    ),
    fused.supervised("CLIP4CIR", "clip4cir", "Baldrati et al., CVPR Workshops 2022", "MIT", module=_COMBINER),
    fused.supervised("BLIP4CIR+Bi", "blip4cir-bi", "Liu et al., WACV 2024", "MIT", module=_COMBINER),
    fused.supervised(
        "CASE", "case", "Levy et al., AAAI 2024", "MIT, of its data; no weights there", module=_EARLY
    ),
    fused.supervised("CoVR", "covr", "Ventura et al., AAAI 2024", "MIT", module=_EARLY),
    fused.supervised("SPRC", "sprc", "Bai et al., ICLR 2024", "no licence given", defaults="8 queries"),
    compodiff.CARD,
)


def cards_of(only: Collection[str] = ()) -> tuple[MethodCard, ...]:
    """The methods of these names, in capitals or not, in the order of the list; all of them for none."""
    wanted = {name.lower() for name in only}
    return tuple(card for card in METHODS if not wanted or card.name.lower() in wanted)


def asks_language_model(name: str) -> bool:
    """Whether the method of this name asks a language model; one that is not in the list may."""
    cards = cards_of([name])
    return not cards or any(LANGUAGE_MODEL in card.needs for card in cards)


def build_methods(given: Ingredients, only: Collection[str] = ()) -> dict[str, Composer]:
    """Every method that can be made of these ingredients, by name, in the order of the list.

    Args:
        given: what they are made of.
        only: the methods that are wanted, in capitals or not; none for all. What only others need is not asked for.
    """
    made = ((card.name, card.build(given)) for card in cards_of(only))
    return {name: composer for name, composer in made if composer is not None}
