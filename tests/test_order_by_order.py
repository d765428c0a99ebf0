"""An edit of several orders: where it is cut, and that each is carried out on what the one before it has left."""

from __future__ import annotations

import numpy as np
import pytest

from cir.composers.cvsi_removal import ASKING, IN_STEPS
from cir.composers.order_by_order import MOST_ORDERS, described_in_steps, orders_in
from cir.composers.revision import revisable, with_thought
from cir.errors import LanguageModelFailed
from cir.prompts import cvsi_modified_caption
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, ComposedQuery, Query
from cir.world.edits import JOINS, SIMPLE_EDITS
from cir.world.scene import sample_scene
from tests.fakes import ToyClip, ToyLanguageModel, draw
from tests.test_composers import last, method

TWO = Query(draw("red", "square"), "make it blue and then a circle instead of the square")


class Worker(ToyLanguageModel):
    """Carries out what it is taught, by the order; anything else as the toys do. Nothing is removed."""

    def __init__(self, answers: dict[str, str | Exception]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        lines = str(prompt).rstrip().split("\n")
        if lines[-1].startswith("Objects"):
            return "nothing"
        caption, order = (line.split(": ", 1)[1] for line in lines[-2:])
        self.asked.append((caption, order))
        answer = self.answers.get(order)
        if isinstance(answer, Exception):
            raise answer
        return answer or super().complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


def test_the_worker_reads_the_question_as_it_is_asked() -> None:
    model = Worker({"make it blue": "a blue square"})
    assert (
        model.complete(cvsi_modified_caption("a red square", "make it blue"), max_tokens=9) == "a blue square"
    )


def test_every_edit_of_the_world_is_cut_at_its_join_and_nowhere_else() -> None:
    rng = np.random.default_rng(8)
    seen = 0
    while seen < 600:
        scene, kinds = sample_scene(rng), list(SIMPLE_EDITS)
        first, second = (SIMPLE_EDITS[kinds[int(rng.integers(len(kinds)))]](scene, rng) for _ in range(2))
        if first is None or second is None:
            continue
        seen += 1
        join = JOINS[seen % len(JOINS)]
        assert orders_in(first[0]) == [first[0]]
        assert orders_in(first[0] + join + second[0]) == [first[0], second[0]]


@pytest.mark.parametrize(
    "orders",
    [
        ["remove the dog", "Make the sky blue."],
        ["remove the man", "add a woman", "move it to a park"],
        ["the same at night", "without the people", "with snow"],
        ["has more of a close-up shot", "shows a white dog"],
        ["there should be two dogs", "the cat should have vanished"],
        ["add a dog, a cat and a bird"],
        ["the dog and the cat are gone"],
        ["make the dog black and white"],
        ["remove the hat, the coat and the scarf"],
        ["salt and pepper shakers instead of the cup"],
        ["a small, red dog instead"],
        ["the dog is large and is red"],
        ["make the dogs bigger and show them in a park"],
        ["add 1.5 litres of milk"],
        ["and"],
        [""],
    ],
)
@pytest.mark.parametrize("join", [" and ", ", ", "; ", ". ", " and then ", ", and also "])
def test_what_people_type_is_cut_where_each_piece_is_an_order_by_itself(orders: list[str], join: str) -> None:
    assert orders_in(join.join(orders)) == orders


def test_a_long_list_of_orders_stays_whole() -> None:
    most = ["add a dog"] * MOST_ORDERS
    assert orders_in(", ".join(most)) == most
    long = ", ".join([*most, "add a cat"])
    assert orders_in(long) == [long]


def test_each_order_is_carried_out_on_what_the_one_before_it_left() -> None:
    model = Worker({"no dog": "a cat in a park", "at night": "a cat in a park at night"})
    assert described_in_steps(model, "a dog and a cat in a park", ["no dog", "at night"], lambda _: None) == (
        "a cat in a park at night"
    )
    assert model.asked == [("a dog and a cat in a park", "no dog"), ("a cat in a park", "at night")]


def test_an_order_that_is_not_carried_out_stands_at_the_end_and_before_no_other() -> None:
    model = Worker({"no dog": "a cat in a park", "at night": "a cat in a park at night"})
    notes: list[str] = []
    assert described_in_steps(model, "a cat in a park", ["no dog", "at night"], notes.append) == (
        "a cat in a park at night, no dog"
    )
    assert model.asked[1] == ("a cat in a park", "at night")
    assert len(notes) == 1


def composed_by(model: ToyLanguageModel, query: Query = TWO) -> ComposedQuery:
    return last(method("CVSI+removal", language_model=model).compose(query))


STEPS: dict[str, str | Exception] = {
    TWO.modification_text: "a blue square and a circle",
    "make it blue": "a blue square",
    "a circle instead of the square": "a blue circle",
}


def test_the_described_edit_is_the_mean_of_the_whole_edit_and_of_its_orders_and_the_rest_is_cvsi_s() -> None:
    composed = composed_by(Worker(STEPS))
    plain = last(method("CVSI", language_model=Worker(STEPS)).compose(TWO))
    whole, steps = "a blue square and a circle", "a blue circle"
    assert set(plain.trace["modified_captions"]) == {whole}
    assert composed.trace["modified_captions"] == (whole, whole, steps, steps)
    mean = ToyClip().encode_texts([whole, steps]).mean(axis=0)
    np.testing.assert_allclose(composed.parts[MODIFIED_CAPTIONS], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(composed.parts[FINE_GRAINED], plain.parts[FINE_GRAINED])


def test_the_whole_edit_s_answer_is_there_while_the_orders_are_asked() -> None:
    stages = list(method("CVSI+removal", language_model=Worker(STEPS)).compose(TWO))
    assert [one.pending for one in stages[-3:]] == [IN_STEPS, ASKING, ""]
    assert set(stages[-3].trace["modified_captions"]) == {"a blue square and a circle"}
    assert set(stages[-2].trace["modified_captions"]) == {"a blue square and a circle", "a blue circle"}


def test_one_order_asks_no_more_than_before() -> None:
    ours, theirs, query = Worker({}), Worker({}), Query(draw("red", "square"), "make it blue")
    composed_by(ours, query)
    last(method("CVSI", language_model=theirs).compose(query))
    assert ours.asked == theirs.asked
    assert ours.asked


def test_a_model_that_stops_after_the_first_order_leaves_the_whole_edit_s_answer() -> None:
    tired = LanguageModelFailed("It is tired.", "Wait.")
    composed = composed_by(Worker({**STEPS, "a circle instead of the square": tired}))
    assert set(composed.trace["modified_captions"]) == {"a blue square and a circle"}
    assert any("one order after the other" in note and "It is tired." in note for note in composed.notes)
    assert composed.pending == ""


def test_a_caption_that_a_person_corrects_takes_both_its_descriptions_with_it() -> None:
    made = method("CVSI+removal", language_model=Worker(STEPS))
    composed, revisor = last(made.compose(TWO)), revisable(made)
    assert revisor is not None
    (first, second) = dict.fromkeys(composed.trace["captions"])
    corrected = revisor.revise(composed, with_thought(composed, "captions", 0, "a green square"))
    own = f"a green square, {TWO.modification_text}"
    assert corrected.trace["captions"] == ("a green square", second)
    assert corrected.trace["modified_captions"] == ("a blue square and a circle", "a blue circle", own)
    gone = revisor.revise(composed, with_thought(composed, "captions", 1, ""))
    assert gone.trace["captions"] == (first,)
    assert gone.trace["modified_captions"] == ("a blue square and a circle", "a blue circle")


def test_a_description_that_a_person_corrects_leaves_the_others() -> None:
    made = method("CVSI+removal", language_model=Worker(STEPS))
    composed, revisor = last(made.compose(TWO)), revisable(made)
    assert revisor is not None
    corrected = revisor.revise(composed, with_thought(composed, "modified_captions", 1, "a blue triangle"))
    assert set(corrected.trace["modified_captions"]) == {"a blue square and a circle", "a blue triangle"}
