"""What a method says of the options that it reads is true: it reads these, and no other changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cir.commands.method_options import options_of
from cir.composers.cvsi import CvsiSettings
from cir.composers.registry import METHODS, MethodCard, build_methods
from cir.gallery.gallery import Gallery
from cir.ranking.retriever import Retriever
from cir.types import Query, Weights
from tests.fakes import ToyCaptioner, ToyLanguageModel, draw, toy_gallery
from tests.test_composers import ingredients

EDIT = Query(draw("red", "square"), "make it blue")
cards = pytest.mark.parametrize("card", METHODS, ids=[card.name for card in METHODS])


class CountedCaptioner(ToyCaptioner):
    """Knows how many captions it was asked for; no two are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        self.asked.append(per_image)
        found = super().caption(images, per_image=per_image, seed=seed)
        return [[f"{text} {n}" for n, text in enumerate(row)] for row in found]


def asked_of_models(card: MethodCard, settings: CvsiSettings) -> tuple[list[int], list[str]]:
    """How many captions a method asks for, and what it asks a language model."""
    captioner, model = CountedCaptioner(), ToyLanguageModel()
    made = build_methods(ingredients(captioner=captioner, language_model=model, settings=settings))
    retriever = Retriever(toy_gallery(), {card.name: made[card.name]})
    *_, _ = retriever.compose(EDIT, card.name)
    return captioner.asked, list(model.prompts)


@cards
def test_a_number_of_captions_is_read_by_the_methods_that_caption(card: MethodCard) -> None:
    few, many = (asked_of_models(card, CvsiSettings(captions=n))[0] for n in (4, 7))
    assert (few != many) == ("captions" in options_of(card))


@cards
def test_the_released_code_is_a_matter_of_the_methods_that_have_it(card: MethodCard) -> None:
    each, joint = (asked_of_models(card, CvsiSettings(captions=3, joint_call=j))[1] for j in (False, True))
    assert (each != joint) == ("released_code" in options_of(card))


@cards
def test_kept_answers_are_a_matter_of_the_methods_that_ask(card: MethodCard) -> None:
    assert bool(asked_of_models(card, CvsiSettings())[1]) == ("fresh" in options_of(card))


@cards
@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_weight_is_read_by_the_methods_that_have_it(card: MethodCard, name: str) -> None:
    made = build_methods(ingredients(captioner=CountedCaptioner()))[card.name]
    assert made.parameters == card.parameters
    toys = toy_gallery()
    said = np.roll(toys.image_features, 5, axis=0)  # captions that say something else than the pixels
    gallery = Gallery.from_features("toy", toys.image_ids, toys.image_features, caption_features=said)
    retriever = Retriever(gallery, {card.name: made})
    *_, composed = retriever.compose(EDIT, card.name)
    start = Weights(0.3, 0.3, 0.3)
    scores = [
        [round(r.score, 5) for r in retriever.rank(composed, weights, top_k=9)]
        for weights in (start, replace(start, **{name: 0.6}))
    ]
    assert (scores[0] != scores[1]) == (name in options_of(card))
