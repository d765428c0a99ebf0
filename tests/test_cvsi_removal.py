"""CVSI with what an edit removes: a signed term with a number of its own, and CVSI itself where that number is 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from cir.composers.cvsi_removal import ASKING, CvsiRemoval
from cir.composers.parameters import defaults
from cir.errors import LanguageModelFailed
from cir.prompts import cvsi_removed_objects
from cir.ranking.retriever import Retriever, scoring_of
from cir.types import REMOVED_OBJECTS, ComposedQuery, Query
from tests.fakes import ToyClip, ToyLanguageModel, toy_gallery
from tests.test_composers import EDIT, last, method


class Reader(ToyLanguageModel):
    """Answers as the toys do, and names `removed` when it is asked what is taken away."""

    def __init__(self, removed: str | Exception) -> None:
        super().__init__()
        self.removed = removed

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        if str(prompt).rstrip().endswith("Objects taken away:"):
            if isinstance(self.removed, Exception):
                raise self.removed
            return self.removed
        return super().complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


def composed_with(removed: str | Exception, name: str = "CVSI+removal") -> ComposedQuery:
    return last(method(name, language_model=Reader(removed)).compose(EDIT))


def ranking(composed: ComposedQuery, values: dict[str, float]) -> Sequence[tuple[str, float]]:
    found = Retriever(toy_gallery(), {}).rank(composed, values, top_k=12)
    return [(image.image_id, round(image.score, 6)) for image in found]


def test_what_is_removed_is_subtracted_and_a_picture_of_it_falls() -> None:
    composed = composed_with("a blue circle")
    expected = ToyClip().encode_texts(["a blue circle"])[0]
    np.testing.assert_allclose(composed.parts[REMOVED_OBJECTS], expected, atol=1e-6)
    assert composed.trace["removed_objects"] == ("a blue circle",)
    values = defaults(method("CVSI+removal").parameters)
    weights = scoring_of(composed, {**values, "delta": 0.7}).weights
    assert weights[REMOVED_OBJECTS] == -0.7
    assert sum(w for name, w in weights.items() if name != REMOVED_OBJECTS) == pytest.approx(1.0)
    places = [
        [image_id for image_id, _ in ranking(composed, {**values, "delta": delta})].index("blue-circle")
        for delta in (0.0, 0.5, 1.0)
    ]
    assert places == sorted(places)
    assert places[0] < places[-1]


def test_with_a_number_of_0_it_is_cvsi() -> None:
    values = defaults(method("CVSI+removal").parameters)
    ours = ranking(composed_with("a blue circle"), {**values, "delta": 0.0})
    assert ours == ranking(composed_with("a blue circle", "CVSI"), values)


@pytest.mark.parametrize("answer", ["nothing", "", "see http://evil.example/x"])
def test_where_nothing_is_removed_nothing_counts_against_a_picture(answer: str) -> None:
    composed = composed_with(answer)
    assert REMOVED_OBJECTS not in composed.parts
    assert composed.trace["removed_objects"] == ()
    values = {**defaults(method("CVSI+removal").parameters), "delta": 1.0}
    assert ranking(composed, values) == ranking(composed_with(answer, "CVSI"), values)


def test_a_model_that_does_not_say_what_is_removed_leaves_cvsi_whole() -> None:
    composed = composed_with(LanguageModelFailed("It is tired.", "Wait."))
    assert "modified_captions" in composed.parts
    assert REMOVED_OBJECTS not in composed.parts
    assert any("It is tired." in note for note in composed.notes)
    assert composed.pending == ""


def test_it_asks_after_cvsi_s_answer_is_there() -> None:
    *_, before, whole = method("CVSI+removal", language_model=Reader("a square")).compose(EDIT)
    assert before.pending == ASKING
    assert set(whole.parts) - set(before.parts) == {REMOVED_OBJECTS}


def test_a_text_or_a_picture_alone_asks_nothing() -> None:
    model = Reader("a square")
    made = method("CVSI+removal", language_model=model)
    assert isinstance(made, CvsiRemoval)
    for query in (Query(None, "a dog"), Query(EDIT.reference_image, "")):
        assert REMOVED_OBJECTS not in last(made.compose(query)).parts
    assert not any("taken away" in prompt for prompt in model.prompts)


def test_its_question_names_what_a_caption_has_missed() -> None:
    prompt = cvsi_removed_objects("a bed on a beach", "remove the pig")
    assert prompt.question == "Caption: a bed on a beach\nEdit: remove the pig\nObjects taken away:"
    missed = [
        (question, answer)
        for question, answer in prompt.examples
        if answer != "nothing" and answer.split()[-1] not in question.split("\n")[0]
    ]
    assert len(missed) >= 3
