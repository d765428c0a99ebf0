"""Changing what the machine thought: which texts follow, which parts are made anew, and that nothing is asked."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ToyCaptioner, ToyLanguageModel, bag, draw, toy_cvsi, unit

from cir.composers.revision import TextMemory, with_thought
from cir.errors import BadQuery
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, Query


class Recorded:
    """Wraps a text encoder and remembers what it was asked to encode."""

    def __init__(self, encoder: object) -> None:
        self.encoder, self.asked = encoder, []

    def __getattr__(self, name: str) -> object:
        return getattr(self.encoder, name)

    def encode_texts(self, texts):
        self.asked.append(list(texts))
        return self.encoder.encode_texts(texts)


@pytest.fixture
def made():
    model, captioner = ToyLanguageModel(), ToyCaptioner()
    method = toy_cvsi(model, captioner)
    *_, composed = method.compose(Query(draw("red", "square"), "make it blue"))
    encoder = Recorded(method.text_encoder)
    method._texts._encoder = encoder  # type: ignore[assignment]
    return method, composed, encoder, model, captioner


def test_a_changed_description_is_the_only_text_that_is_encoded_and_nothing_is_asked(made):
    method, composed, encoder, model, captioner = made
    asked, captioned = len(model.prompts), captioner.calls
    trace = with_thought(composed, "modified_captions", 0, "a green circle")
    revised = method.revise(composed, trace)
    assert encoder.asked == [["a green circle"]]
    assert (len(model.prompts), captioner.calls) == (asked, captioned)
    assert composed.trace["modified_captions"] == ("a blue square", "a blue square")
    assert revised.trace["modified_captions"] == ("a green circle", "a green circle")
    expected = unit(bag(["green", "circle"])[None])[0]
    assert revised.parts[MODIFIED_CAPTIONS] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(revised.parts[FINE_GRAINED], composed.parts[FINE_GRAINED])
    assert np.array_equal(revised.parts[REFERENCE_IMAGE], composed.parts[REFERENCE_IMAGE])


def test_added_objects_change_the_fine_grained_part_alone(made):
    method, composed, _, _, _ = made
    revised = method.revise(composed, with_thought(composed, "added_objects", None, "triangle"))
    assert revised.trace["added_objects"][-1] == "triangle"
    assert not np.allclose(revised.parts[FINE_GRAINED], composed.parts[FINE_GRAINED])
    assert np.array_equal(revised.parts[MODIFIED_CAPTIONS], composed.parts[MODIFIED_CAPTIONS])
    back = method.revise(revised, composed.trace)
    assert back.parts[FINE_GRAINED] == pytest.approx(composed.parts[FINE_GRAINED])


def test_a_changed_caption_takes_its_description_with_it():
    composed = ComposedQuery(
        {},
        {
            "captions": ("a cat", "a cat", "one cat"),
            "modified_captions": ("a dog", "one dog"),
            "added_objects": (),
        },
        modification_text="as a dog",
    )
    trace = with_thought(composed, "captions", 1, "two cats")
    assert trace["captions"] == ("a cat", "a cat", "two cats")
    assert trace["modified_captions"] == ("a dog", "two cats, as a dog")
    gone = with_thought(composed, "captions", 0, "")
    assert (gone["captions"], gone["modified_captions"]) == (("one cat",), ("one dog",))


def test_when_every_description_is_taken_away_its_part_is_gone(made):
    method, composed, encoder, _, _ = made
    while composed.trace["modified_captions"]:
        composed = method.revise(composed, with_thought(composed, "modified_captions", 0, ""))
    assert set(composed.parts) == {FINE_GRAINED, REFERENCE_IMAGE}
    assert encoder.asked == []  # all that was left had been encoded before


@pytest.mark.parametrize(
    ("kind", "place", "text"),
    [("captions", 9, "x"), ("captions", -1, "x"), ("notes", 0, "x"), ("captions", None, "")],
)
def test_what_is_not_there_cannot_be_changed(made, kind, place, text):
    with pytest.raises(BadQuery):
        with_thought(made[1], kind, place, text)


def test_a_text_is_encoded_once_however_often_it_comes():
    encoder = Recorded(toy_cvsi().text_encoder)
    memory = TextMemory(encoder)  # type: ignore[arg-type]
    memory.encode(["red", "blue", "red"])
    rows = memory.encode(["blue", "green", "red"])
    assert encoder.asked == [["red", "blue"], ["green"]]
    assert rows == pytest.approx(unit(np.stack([bag([w]) for w in ("blue", "green", "red")])))
