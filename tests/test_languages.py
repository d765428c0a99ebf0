"""An edit in another language is told and, where there is a language model, searched for in English."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from fakes import ToyCaptioner, ToyLanguageModel, draw, toy_cvsi, toy_gallery

from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import LanguageModelFailed
from cir.languages import foreign_language
from cir.ranking.retriever import Retriever
from cir.replies import parse_translation
from cir.translating import Translator
from cir.types import ComposedQuery, Query

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = json.loads((ROOT / "tests" / "data" / "foreign_edits.json").read_text(encoding="utf-8"))
NON_LATIN = (
    "Chinese",
    "Japanese",
    "Korean",
    "Russian",
    "Ukrainian",
    "Arabic",
    "Hebrew",
    "Greek",
    "Hindi",
    "Thai",
)
CYRILLIC = ("Russian", "Ukrainian")
SHORT_ENGLISH = (
    "at night", "in winter", "no hat", "red", "darker", "is shorter", "more trees", "a panda", "two pandas on a sofa",
    "spaghetti carbonara", "a café in Paris", "same but in Tokyo", "in the style of Monet", "pizza margherita", "sepia",
    "in a kayak", "no logo", "has a v-neck", "Halloween", "$5", "🐈 in the snow ❄️", "12", "!?",
)  # fmt: skip


def test_no_english_edit_of_this_project_is_called_foreign() -> None:
    names = ("world", "world-validation")
    paths = [ROOT / "assets" / "benchmark" / f"{name}.jsonl" for name in names]
    edits = {json.loads(line)["text"] for path in paths for line in path.read_text("utf-8").splitlines()}
    edits |= {row["text"] for row in json.loads((ROOT / "assets" / "examples.json").read_text("utf-8"))}
    assert len(edits) > 1000
    called = {edit: foreign_language(edit) for edit in [*edits, *SHORT_ENGLISH]}
    assert {edit: language for edit, language in called.items() if language} == {}


@pytest.mark.parametrize("language", [name for name in FOREIGN if name not in NON_LATIN])
def test_of_short_edits_in_a_language_of_latin_script_most_are_recognised(language: str) -> None:
    """Short ones are words of several languages, so not all; of those with three words and more nearly all."""
    edits = FOREIGN[language]
    assert sum(bool(foreign_language(edit)) for edit in edits) >= 0.6 * len(edits)
    longer = [edit for edit in edits if len(edit.split()) > 2]
    assert sum(bool(foreign_language(edit)) for edit in longer) >= 0.75 * len(longer)


@pytest.mark.parametrize("text", ["x x x", "a b c", "2 x 3", "é à", "x"])
def test_single_letters_are_of_no_language(text: str) -> None:
    assert foreign_language(text) == ""


def test_languages_of_other_scripts_are_called_by_their_names() -> None:
    for name in NON_LATIN:
        called = {foreign_language(edit) for edit in FOREIGN[name]}
        # Of two or three words in Cyrillic letters it is hard to say more than that they are Slavic.
        assert called <= ({"Russian", "Ukrainian", "Bulgarian"} if name in CYRILLIC else {name}), name


def test_the_documented_shares_of_recognised_edits_are_those_that_are_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measure = runpy.run_path(str(ROOT / "benchmarks" / "languages.py"))["main"]
    measure()
    measured = re.findall(r"(\d+) of +(\d+) ", capsys.readouterr().out)[:4]
    table = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8")
    assert re.findall(r"\| (\d+) of (\d+) \|", table) == measured


GERMAN = "das Quadrat soll jetzt blau werden"


def composed(edit: str, model: ToyLanguageModel | None, missing: str = "") -> list[ComposedQuery]:
    gallery = toy_gallery()
    composer = toy_cvsi(ToyLanguageModel(), ToyCaptioner())
    retriever = Retriever(gallery, {"CVSI": composer}, Translator(model, missing))
    return list(retriever.compose(Query(draw("red", "square"), edit), "CVSI"))


def best(query: ComposedQuery) -> str:
    gallery = toy_gallery()
    (found,) = Retriever(gallery, {}).rank(query, cvsi_weights(0.5, 0.5, 0.2), top_k=1)
    return found.image_id


def test_an_edit_in_another_language_is_searched_for_in_english_which_is_shown() -> None:
    model = ToyLanguageModel(["make the square blue"])
    stages = composed(GERMAN, model)
    assert stages[0].pending == "translating the edit from German", "first results wait for no model"
    last = stages[-1]
    assert last.trace["translation"] == ("make the square blue",)
    assert last.modification_text == "make the square blue"
    assert "German" in last.notes[0]
    assert "“make the square blue”" in last.notes[0]
    assert best(last) == "blue-square"
    assert GERMAN in model.prompts[0]
    assert last.timings_ms["translation"] > 0


def test_what_stands_in_quotation_marks_is_searched_for_as_typed() -> None:
    model = ToyLanguageModel()
    for quoted in (f'"{GERMAN}"', f"„{GERMAN}“", f"«{GERMAN}»"):
        last = composed(quoted, model)[-1]
        assert last.modification_text == GERMAN
        assert "translation" not in last.trace
        assert "searched for as typed" in last.notes[0]
    assert model.prompts == []


def test_quotation_marks_round_an_english_edit_stay() -> None:
    assert composed('"make it blue"', None)[-1].modification_text == '"make it blue"'


def test_without_a_language_model_the_note_names_the_language_and_a_way_out() -> None:
    last = composed("在雪地里", None, "Fetch one: python -m cir models pull.")[-1]
    assert "seems to be in Chinese" in last.notes[0]
    assert "Write it in English" in last.notes[0]
    assert "python -m cir models pull" in last.notes[0]
    assert last.modification_text == "在雪地里"


def test_what_is_missing_is_said_once() -> None:
    missing = "The language model is switched off."
    composer = toy_cvsi(None, ToyCaptioner(), missing={"language model": missing})
    retriever = Retriever(toy_gallery(), {"CVSI": composer}, Translator(None, missing))
    for one in retriever.compose(Query(draw("red", "square"), GERMAN), "CVSI"):
        assert " ".join(one.notes).count("switched off") == 1


def test_the_language_is_guessed_without_a_wait_once_the_program_is_warm() -> None:
    from types import SimpleNamespace

    from cir.application import warm_up
    from cir.languages import language_identifier

    language_identifier.cache_clear()
    warm_up(SimpleNamespace(ready=True, language_model=None))  # type: ignore[arg-type]
    assert language_identifier.cache_info().currsize == 1


@pytest.mark.parametrize(
    "answer",
    ["", "I cannot do that", "<script>", GERMAN, "auch auf Deutsch und nicht auf Englisch", "http://x.y/z"],
)
def test_a_translation_that_cannot_be_used_is_told_and_the_edit_searched_as_typed(answer: str) -> None:
    last = composed(GERMAN, ToyLanguageModel([answer]))[-1]
    assert last.modification_text == GERMAN
    assert "unusable" in last.notes[0]
    assert "translation" not in last.trace


def test_a_language_model_that_does_not_answer_is_told() -> None:
    last = composed(
        GERMAN, ToyLanguageModel([LanguageModelFailed("No answer in time.", "Choose: --llm small")])
    )[-1]
    assert last.notes[0].endswith("could not be translated: No answer in time. Choose: --llm small")
    assert ". These models were taught English" in last.notes[0]  # a sentence of its own
    assert last.timings_ms["translation"] > 0, "what was waited for in vain was waited for"
    assert last.modification_text == GERMAN


def test_english_edits_ask_nothing_and_say_nothing_of_languages() -> None:
    model = ToyLanguageModel()
    last = composed("make it blue", model)[-1]
    assert model.prompts == []
    assert not any("language" in note or "English" in note for note in last.notes)


def test_labels_and_quotes_of_a_translation_are_taken_off() -> None:
    assert parse_translation('English: "a cat in the snow"\nEdit: more') == "a cat in the snow"
