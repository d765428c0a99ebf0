"""Kept answers, captions and weights are those of the program and the models that use them, or they are made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cir import tuned_weights
from cir.application import TUNED, decisive, presets
from cir.composers.cvsi import weights as cvsi_weights
from cir.evaluation import answers
from cir.evaluation.answers import AnswerBook, open_book
from cir.models import blip2, chat_templates, llama
from cir.models.blip2 import load_captioner
from cir.models.chat_templates import ChatTemplate
from cir.models.downloads import ModelFile
from cir.models.llama import LlamaWorker
from cir.models.published import LANGUAGE_MODELS
from cir.prompts import Prompt
from tests.dataset_doubles import CountingModel, ToyModels
from tests.fakes import ToyLanguageModel
from tests.llama_doubles import command, starts, write_gguf
from tests.test_blip2 import folder  # noqa: F401  a small captioner


@pytest.mark.parametrize("changed", ["layout", "sampling"])
def test_answers_to_prompts_that_were_laid_out_or_sampled_otherwise_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(answers, "FOLDER", tmp_path)
    write_gguf(tmp_path / "small.gguf")

    def ask(times: int) -> None:
        worker = LlamaWorker(tmp_path / "small.gguf", command=command("answers", tmp_path / "starts"))
        with worker:
            book = open_book("world", worker)
            assert book.complete("a question", max_tokens=4) == "about a question (4, 0)"
        assert starts(tmp_path / "starts") == times

    ask(1)
    ask(1)
    if changed == "layout":
        other = ChatTemplate("<|im_start|>", None, ("<user>", "</user>"), ("<answer>", "</answer>"))
        monkeypatch.setattr(chat_templates, "CHAT_TEMPLATES", (other, *chat_templates.CHAT_TEMPLATES[1:]))
    else:
        monkeypatch.setattr(llama, "ANSWERS_VERSION", 99)
    ask(2)
    ask(2)


def test_an_answer_that_ends_elsewhere_is_another_answer(tmp_path: Path) -> None:
    model = CountingModel()
    book = AnswerBook(tmp_path / "book.jsonl", model)
    for stop in ("\n", "", "\n"):
        book.complete(Prompt("Say it.", (), "a red dog", stop=stop), max_tokens=4)
    assert len(model.prompts) == 2


def test_the_shipped_answers_are_found_by_this_program() -> None:
    """Fails when a prompt is laid out or sampled otherwise: the shipped answers have to be asked for again then."""
    for name, part in LANGUAGE_MODELS.items():
        if not isinstance(part.fetched, ModelFile) or part.fetched.sha256 is None:
            continue
        model = ToyLanguageModel()
        model.fingerprint = f"{name}@{part.fetched.sha256[:12]}.{llama._asked_how()}"
        shipped = open_book("world", model).path
        others = list(answers.FOLDER.glob(f"world-answers-{name}_*"))
        assert others in ([], [shipped])
    assert list(answers.FOLDER.glob("world-answers-qwen2.5-coder-1.5b_*"))


@pytest.mark.parametrize("changed", ["plurals", "processor_config", "program"])
def test_captions_written_or_seen_otherwise_are_those_of_another_captioner(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
) -> None:
    before = load_captioner(folder, "cpu").fingerprint
    copy = tmp_path / folder.name
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert load_captioner(copy, "cpu").fingerprint == before
    if changed == "program":
        monkeypatch.setattr(blip2, "CAPTIONS_VERSION", 2)
    else:
        path = copy / f"{changed}.json"
        row = json.loads(path.read_text(encoding="utf-8"))
        if changed == "plurals":
            row["dog"] = "doggies"
        else:
            row["image_processor"]["image_mean"] = [0.4, 0.5, 0.5]
        path.write_text(json.dumps(row), encoding="utf-8")
    assert load_captioner(copy, "cpu").fingerprint != before


def test_weights_are_those_that_were_found_for_these_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuned_weights, "FOLDER", tmp_path)
    models = ToyModels()
    found = cvsi_weights(0.1, 0.2, 0.3)
    tuned_weights.keep_weights(models.name, decisive(models), found, "two queries")
    assert presets(models)[TUNED] == found
    other = ToyModels()
    other.captioner.fingerprint = "another@1"
    assert TUNED not in presets(other)
    assert next(iter(presets(other).values())) == cvsi_weights(0.6, 0.4, 0.2)
    tuned_weights.keep_weights(other.name, decisive(other), cvsi_weights(0.7, 0.2, 0.0), "two queries")
    assert presets(models)[TUNED] == found
    without = ToyModels()
    without.captioner = None
    assert TUNED in presets(without)
