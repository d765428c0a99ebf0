"""Edits in anybody's words: put into those that the text tower was taught, where it was not taught the typed ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from cir.application import build_composers, build_models, build_rewording, open_for
from cir.composers.registry import asks_language_model
from cir.errors import LanguageModelFailed
from cir.evaluation.benchmark import read_benchmark
from cir.images import read_image
from cir.models.catalog import SHIPPED
from cir.models.clip import load_clip
from cir.places import SAMPLE_GALLERY
from cir.prompts import plain_orders
from cir.ranking.retriever import Retriever
from cir.replies import parse_plain_orders
from cir.rewording import KnownWords, Rewording, things_seen
from cir.training.data import training_edit
from cir.translating import NOT_READ, Translator
from cir.types import ComposedQuery, Query
from cir.ui.search import render
from cir.world.vocabulary import load_nouns
from tests.fakes import ToyCaptioner, ToyLanguageModel, draw, toy_cvsi, toy_gallery

TAUGHT = {"remove", "the", "dog", "and", "hat", "make", "it", "blue", "a", "cat", "square"}


def known(text: str) -> float:
    words = text.lower().replace(",", " ").split()
    return sum(word in TAUGHT for word in words) / len(words)


def reworded(text: str, *answers: str) -> str:
    return Rewording(ToyLanguageModel(list(answers)), known)(text)


def test_an_edit_of_known_words_is_left_as_it_is_and_nobody_is_asked() -> None:
    model = ToyLanguageModel()
    assert Rewording(model, known)("remove the hat") == "remove the hat"
    assert model.prompts == []


@pytest.mark.parametrize(
    ("typed", "answer", "read"),
    [
        ("lose the hat", "remove the hat", "remove the hat"),
        ("lose the hat pls", 'Orders: "remove the hat."\nAsk: more', "remove the hat"),
        ("lose the hat", "remove it", "lose the hat"),  # the hat is lost on the way
        ("lose the hat", "ditch the hat", "lose the hat"),  # no better known
        ("lose the hat", "Sorry, I cannot do that", "lose the hat"),
        ("lose the hat", "remove the hat " * 40, "lose the hat"),
        ("lose the hat", "", "lose the hat"),
        ("remvoe the hta", "remove the hat", "remove the hat"),  # a thing that was misspelt may appear
    ],
)
def test_an_answer_counts_where_it_says_more_that_is_known_of_the_same_things(
    typed: str, answer: str, read: str
) -> None:
    assert reworded(typed, answer) == read


def test_words_of_the_answer_that_are_not_known_give_way_to_known_ones_that_mean_the_same() -> None:
    class Axes:
        """Words of one meaning lie on one axis."""

        fingerprint = "axes"

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            meaning = {"hat": 0, "cap": 0, "blue": 1, "azure": 1, "dog": 2, "bluish": 1}
            rows = np.zeros((len(texts), 4), np.float32)
            rows[range(len(texts)), [meaning.get(text, 3) for text in texts]] = 1.0
            return rows

    nearest = KnownWords(["hat", "blue", "dog"], Axes).nearest
    model = ToyLanguageModel(["make the Cap azure, slowly"])
    assert Rewording(model, known, nearest=nearest)("turn my cap azure") == "make the hat blue, slowly"
    assert KnownWords(["hat"], lambda: None).nearest("cap") == ""


def composed(
    edit: str, model: ToyLanguageModel, *, is_drawing: bool = True, alone: bool = False
) -> list[ComposedQuery]:
    rewording = Rewording(model, known, lambda _: is_drawing)
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    retriever = Retriever(toy_gallery(), {"CVSI": composer}, Translator(None, "", rewording))
    return list(retriever.compose(Query(None if alone else draw("red", "square"), edit), "CVSI"))


def test_a_search_shows_results_as_typed_first_and_then_those_of_the_plain_words() -> None:
    model = ToyLanguageModel(["make the cat blue"])
    stages = composed("turn teh square blue", model)
    assert stages[0].pending == "putting the edit into plainer words"
    assert stages[0].modification_text == "turn teh square blue"
    last = stages[-1]
    assert last.modification_text == "make the cat blue"
    assert last.trace["reworded"] == ("make the cat blue",)
    assert last.trace["typed_text"] == ("turn teh square blue",)
    assert last.timings_ms["reworded"] > 0
    assert model.prompts == [plain_orders("turn teh square blue")]


def test_what_stands_in_quotation_marks_is_read_as_typed_without_them() -> None:
    model = ToyLanguageModel()
    last = composed('"lose the cat"', model)[-1]
    assert (last.modification_text, model.prompts) == ("lose the cat", [])


def test_edits_of_photographs_are_not_reworded() -> None:
    model = ToyLanguageModel()
    last = composed("lose the cat", model, is_drawing=False)[-1]
    assert (last.modification_text, model.prompts) == ("lose the cat", [])


def test_a_text_alone_is_no_edit_and_is_searched_for_as_typed() -> None:
    model = ToyLanguageModel()
    last = composed("house with bare tree", model, alone=True)[-1]
    assert (last.modification_text, model.prompts) == ("house with bare tree", [])
    assert "reworded" not in last.trace


def test_a_measurement_reads_an_edit_as_a_search_does() -> None:
    picture = draw("red", "square")
    translator = Translator(None, "", Rewording(ToyLanguageModel(["remove the cat"] * 2), known))
    lose, kept = Query(picture, "lose the cat"), Query(picture, '"lose the cat"')
    assert translator.plain(lose) == ("remove the cat",)
    assert translator.plain(lose, twice=True) == ("remove the cat", "without the cat")
    assert translator.plain(kept, twice=True) == ('"lose the cat"',)
    assert Translator(None, "").plain(lose, twice=True) == ("lose the cat",)


def test_an_edit_that_was_put_into_plain_words_is_composed_in_both_wordings_of_these() -> None:
    rows = {
        "lose the cat": (0.8, 0.6),
        "remove the cat": (1.0, 0.0),
        "without the cat": (0.0, 1.0),
        "remove the dog": (0.6, 0.8),
    }

    def compose(query: Query) -> Iterator[ComposedQuery]:
        for pending in ("more", ""):
            row = np.array(rows[query.modification_text], np.float32)
            yield ComposedQuery(
                {"text": row},
                modification_text=query.modification_text,
                pending=pending,
                timings_ms={"text": 2.0},
            )

    translator = Translator(None, "", Rewording(ToyLanguageModel(["remove the cat"] * 2), known))
    lose = Query(draw("red", "square"), "lose the cat")
    single, both = (
        [one for one in translator.compose(lose, compose, twice=twice) if "reworded" in one.trace]
        for twice in (False, True)
    )
    assert [one.parts["text"].tolist() for one in single] == [[1.0, 0.0]] * 2
    assert [one.pending for one in both] == ["more", ""]
    assert both[-1].trace["reworded"] == ("remove the cat", "without the cat")
    assert "and “without the cat”" in render.texts(both[-1].trace, pending=False)
    np.testing.assert_allclose([one.parts["text"] for one in both], [[0.5**0.5] * 2] * 2, rtol=1e-6)
    assert {(one.modification_text, one.timings_ms["text"]) for one in both} == {("remove the cat", 4.0)}
    plain = translator.compose(Query(draw("red", "square"), "remove the dog"), compose, twice=True)
    np.testing.assert_allclose([one.parts["text"] for one in plain], [[0.6, 0.8]] * 2, rtol=1e-6)


def test_only_methods_that_ask_no_language_model_compose_both_wordings() -> None:
    """A language model would have to be asked twice, and of a method that is not in the list nothing is known."""
    assert [asks_language_model(name) for name in ("TIRG", "HyCIR", "cvsi", "LDRE", "Mine")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_language_model_that_fails_is_told_and_the_edit_searched_as_typed() -> None:
    class Failing(ToyLanguageModel):
        def complete(self, prompt: str, **_: object) -> str:
            raise LanguageModelFailed("It is gone.", "Start it again.")

    last = composed("lose the cat", Failing())[-1]
    assert last.modification_text == "lose the cat"
    assert "reworded" not in last.trace
    assert last.notes[0].startswith("The edit could not be put into plainer words: It is gone.")


def test_all_that_the_training_grammar_says_is_left_as_it_is() -> None:
    embedded_clip = load_clip(SHIPPED / "clip", device="cpu")
    rng = np.random.default_rng(11)
    edits = [training_edit(rng)[1].text for _ in range(400)]
    assert embedded_clip.known(edits).tolist() == [1.0] * 400
    for typed in ("lose the hat", "teh dog is gnoe", "could it be night?"):
        assert embedded_clip.known([typed])[0] < 1


def test_orders_are_one_line_without_labels() -> None:
    assert parse_plain_orders('Orders: "add a cat."\nAsk: no') == "add a cat"
    assert parse_plain_orders("!!!") is None


@pytest.mark.parametrize("method", ["Sum", "CVSI", "TIRG"])
def test_a_reference_is_read_once_by_each_network_however_often_its_query_is_composed(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    models = build_models(llm="none")
    translator = Translator(None, "", build_rewording(models, ToyLanguageModel(["remove the hat"])))
    retriever = Retriever(open_for(models), build_composers(models, only=[method]), translator)
    seen: list[int] = []

    def watch(encoder: Any) -> None:
        read = encoder.encode_images
        monkeypatch.setattr(encoder, "encode_images", lambda images: seen.append(len(images)) or read(images))

    watch(models.tower)
    watch(models.clip)  # which asks the tower
    picture = read_image(SAMPLE_GALLERY / "images" / "0648.webp")
    *_, last = retriever.compose(Query(picture, "lose the hat"), method)
    assert last.trace["reworded"][0] == "remove the hat"
    times = 3 if method == "TIRG" else 2  # its network asks the tower by itself
    assert seen == [1] * times


class Book:
    """A phrasebook of one line."""

    def read(self, text: str, seen: object = None) -> str:
        return "remove the hat" if text in ("ditch the hat", "the hat and it") else ""

    def is_taught(self, text: str) -> bool:
        return text == "remove the hat"


def test_what_the_phrasebook_reads_is_there_at_once_and_nobody_is_asked() -> None:
    model = ToyLanguageModel(["remove the dog"])
    rewording = Rewording(model, known, phrasebook=Book())  # type: ignore[arg-type]
    assert rewording("ditch the hat") == "remove the hat"
    assert model.prompts == []
    assert rewording("chuck the dog") == "remove the dog"
    assert len(model.prompts) == 1


def test_known_words_that_the_grammar_does_not_put_so_are_read_by_the_book_and_nobody_else_is_asked() -> None:
    model = ToyLanguageModel(["remove the dog"])
    rewording = Rewording(model, known, phrasebook=Book())  # type: ignore[arg-type]
    assert rewording("the hat and it") == "remove the hat"
    assert rewording("the cat and it") == "the cat and it"
    assert model.prompts == []
    assert [rewording.is_plain(text) for text in ("remove the hat", "the hat and it")] == [True, False]
    assert not rewording.asks("the cat and it")
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    retriever = Retriever(toy_gallery(), {"CVSI": composer}, Translator(None, "", rewording))
    stages = list(retriever.compose(Query(draw("red", "square"), "the cat and it"), "CVSI"))
    assert all("plainer" not in one.pending and "reworded" not in one.trace for one in stages)
    assert model.prompts == []


def test_without_a_language_model_the_phrasebook_reads_what_it_can_and_the_rest_is_searched_for_as_typed() -> (
    None
):
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    translator = Translator(None, "", Rewording(None, known, phrasebook=Book()))  # type: ignore[arg-type]
    retriever = Retriever(toy_gallery(), {"CVSI": composer}, translator)
    read = list(retriever.compose(Query(draw("red", "square"), "ditch the hat"), "CVSI"))
    assert all(
        one.trace["reworded"] == ("remove the hat",) for one in read
    )  # no stage of the words as they were typed
    assert read[-1].trace["typed_text"] == ("ditch the hat",)
    typed = list(retriever.compose(Query(draw("red", "square"), "chuck the hat"), "CVSI"))
    assert all("reworded" not in one.trace and "plainer" not in one.pending for one in typed)
    assert all(one.notes[0] == NOT_READ and NOT_READ not in one.notes[1:] for one in typed)
    assert not any(NOT_READ in one.notes for one in read)


@pytest.mark.parametrize(
    ("typed", "model", "is_drawing"),
    [
        ("remove the hat", None, True),  # taught
        ("ditch the hat", None, True),  # read
        ('"chuck the hat"', None, True),  # wanted as typed
        ("chuck the hat", None, False),  # photographs are not asked for in plain orders
        ("chuck the hat", ToyLanguageModel(["remove the hat"]), True),
    ],
)
def test_fault_243_that_an_edit_was_not_understood_is_said_of_no_other(
    typed: str, model: ToyLanguageModel | None, is_drawing: bool
) -> None:
    rewording = Rewording(model, known, lambda _: is_drawing, phrasebook=Book())  # type: ignore[arg-type]
    retriever = Retriever(
        toy_gallery(),
        {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner())},
        Translator(model, "", rewording),
    )
    stages = retriever.compose(Query(draw("red", "square"), typed), "CVSI")
    assert not any(NOT_READ in one.notes for one in stages)


def test_what_the_first_edit_in_other_words_would_wait_for_can_be_loaded_before() -> None:
    read: list[str] = []

    class Watched(Book):
        def read(self, text: str, seen: object = None) -> str:
            read.append(text)
            return super().read(text, seen)

    Translator(None, "", Rewording(None, known, phrasebook=Watched())).prepare()  # type: ignore[arg-type]
    Translator(None).prepare()
    assert len(read) == 1


def test_what_is_in_a_drawing_is_seldom_called_absent_and_what_is_not_is_seldom_called_there() -> None:
    clip = load_clip(SHIPPED / "clip", device="cpu")
    benchmark = read_benchmark("world-validation")
    see = things_seen(clip.encode_images, clip.encode_texts)
    there, absent = [], []
    for image_id in list(benchmark.scenes)[:60]:
        seen = see(benchmark.picture(image_id))
        shown = {group.noun for group in benchmark.scenes[image_id].groups}
        there += [seen[noun] for noun in shown]
        absent += [seen[noun] for noun in load_nouns() if noun not in shown]
    assert np.mean(np.array(there) > 1) > 0.6
    assert np.mean(np.array(there) < -1) < 0.15
    assert np.mean(np.array(absent) > 1) < 0.05
    assert np.mean(np.array(absent) < -1) > 0.6
