"""What a method says of the options that it reads is true: it reads these, and no other changes anything."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cir.__main__ import parser
from cir.commands.method_options import options_of
from cir.commands.values import method_values
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.ingredients import CvsiSettings
from cir.composers.method_card import MethodCard
from cir.composers.parameters import Parameter, defaults, read_values
from cir.composers.registry import METHODS, build_methods
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.ranking.retriever import Retriever
from cir.types import ComposedQuery, Query
from cir.ui.search import links
from cir.ui.session import Session, Settings
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
def test_a_method_makes_as_many_captions_as_are_asked_for_from_the_least_that_its_card_says(
    card: MethodCard,
) -> None:
    if "captions" in options_of(card):
        few, asked = (
            asked_of_models(card, CvsiSettings(captions=n))[0] for n in (1, card.least_captions + 1)
        )
        assert (set(few), set(asked)) == ({card.least_captions}, {card.least_captions + 1})


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
    gallery = replace(gallery, spaces=toys.spaces)
    retriever = Retriever(gallery, {card.name: made})
    *_, composed = retriever.compose(EDIT, card.name)
    start = cvsi_weights(0.3, 0.3, 0.3)
    scores = [
        [round(r.score, 5) for r in retriever.rank(composed, weights, top_k=9)]
        for weights in (read_values(card.parameters, given) for given in (start, {**start, name: 0.6}))
    ]
    assert (scores[0] != scores[1]) == (name in options_of(card))


def on_the_command_line(*arguments: str) -> argparse.Namespace:
    return parser().parse_args(["search", "--text", "x", *arguments])


def test_a_number_of_a_method_is_set_by_its_name() -> None:
    made = build_methods(ingredients(captioner=CountedCaptioner()))
    slerp, cvsi = made["Slerp"], made["CVSI"]
    start = defaults(slerp.parameters)
    assert method_values(on_the_command_line("--set", "t=0.3"), slerp, start) == {"t": 0.3}
    assert method_values(on_the_command_line("--beta", "0.4"), slerp, start) == {"t": 0.4}  # as before
    assert method_values(on_the_command_line(), slerp, start) == {"t": 0.8}
    both = on_the_command_line("--alpha", "0.1", "--set", "gamma=0.7")
    assert method_values(both, cvsi, defaults(cvsi.parameters)) == cvsi_weights(0.1, 0.4, 0.7)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "t=0.3"), "CVSI has no number called 't'.*alpha"),
        (("--set", "gamma=2"), "gamma is 2.*from 0 to 1"),
        (("--set", "gamma=much"), "that is no number"),
        (("--set", "gamma"), "gamma has to be a number"),
        (("--set", "alpha=0.9", "--beta", "0.9"), "count negatively"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_words(arguments: tuple[str, ...], said: str) -> None:
    cvsi = build_methods(ingredients(captioner=CountedCaptioner()))["CVSI"]
    with pytest.raises(BadQuery) as caught:
        method_values(on_the_command_line(*arguments), cvsi, defaults(cvsi.parameters))
    assert re.search(said, str(caught.value))


def test_a_name_is_one_number_for_all_methods_that_have_it_and_no_field_of_a_link() -> None:
    known: dict[str, Parameter] = {}
    for card in METHODS:
        for parameter in card.parameters:
            assert replace(known.setdefault(parameter.name, parameter), default=0) == replace(
                parameter, default=0
            )
    session = Session(settings=Settings(values={}))
    session.composed = ComposedQuery({})
    fields = {"gallery", "image", "text", "method", "k", "keep", "at", "unfold", "folder", "since", "until"}
    assert links.fields_of(session).keys() <= fields
    assert not {*known, "a", "b", "g"} & {*fields, "undated", "terms", "captions", "descriptions", "objects"}
