"""`evaluate world` says what of the language model's answers is kept, and what it would have to ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cir import tuned_weights
from cir.__main__ import main
from cir.commands import evaluating
from cir.evaluation.benchmark import draw_benchmark
from cir.measuring import answering, world_report
from tests.dataset_doubles import CountingModel, ToyModels, toy_methods
from tests.fakes import ToyCaptioner

COMMAND = ["evaluate", "world", "--methods", "CVSI,Sum", "--json"]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CountingModel:
    """The language model of a small world and of toy models; nothing of it is kept yet."""
    made = CountingModel()
    world = draw_benchmark(queries=4, gallery=9, seed=1)
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluating, "build_models", lambda *_, **__: ToyModels(made))
    monkeypatch.setattr(world_report, "build_methods", toy_methods)
    monkeypatch.setattr(world_report, "read_benchmark", lambda _: world)
    monkeypatch.setattr(world_report, "answer_book_path", lambda *_: tmp_path / "answers.jsonl")
    return made


def test_what_has_to_be_asked_is_said_before_it_is_asked_and_then_is_kept(
    capsys, model: CountingModel
) -> None:
    said: list[str] = []
    model.at_call = lambda _: said.append(capsys.readouterr().err)
    assert main(COMMAND) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert {"CVSI", "Sum"} <= set(methods)
    announced = said[0] + said[1]  # the first answer tells how long one takes
    assert len(said) > 2
    assert f"CVSI about {len(said)} answers" in announced
    assert "about 1 minute" in announced
    assert "To use only what is kept: --kept-only" in announced
    asked = len(model.prompts)
    assert main(COMMAND) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["methods"] == methods
    assert len(model.prompts) == asked
    assert "asked" not in err


def test_with_kept_only_no_model_is_asked_and_what_is_not_kept_is_left_out_by_name(
    capsys, model: CountingModel, tmp_path: Path
) -> None:
    assert main([*COMMAND, "--kept-only"]) == 0
    out, err = capsys.readouterr()
    assert set(json.loads(out)["methods"]) == {"Sum", "Oracle caption"}
    assert "Left out, for not all of their answers are kept: CVSI." in err
    assert model.prompts == []
    assert main(COMMAND) == 0
    whole = json.loads(capsys.readouterr().out)["methods"]
    asked = len(model.prompts)
    assert main([*COMMAND, "--kept-only"]) == 0
    assert json.loads(capsys.readouterr().out)["methods"] == whole
    assert len(model.prompts) == asked
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "answers.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    assert main([*COMMAND, "--kept-only"]) == 0
    assert "CVSI" not in json.loads(capsys.readouterr().out)["methods"]


def test_weights_are_not_looked_for_with_answers_that_are_not_kept(
    capsys, model: CountingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuned_weights, "FOLDER", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    tune = [*COMMAND, "--tune"]
    assert main([*tune, "--kept-only"]) == 2
    err = capsys.readouterr().err
    assert "answers to validation queries are not kept, so no weights are found" in err
    assert model.prompts == []
    assert list((tmp_path / "weights").iterdir()) == []
    assert main(tune) == 0
    assert len(list((tmp_path / "weights").iterdir())) == 1
    asked = len(model.prompts)
    assert main([*tune, "--kept-only"]) == 0
    assert len(model.prompts) == asked


def test_how_long_captioning_takes_is_said_when_the_first_captions_are_made(
    capsys, model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    captioned: list[int] = []

    class Watched(ToyCaptioner):
        def caption(self, images, *, per_image: int, seed: int) -> list[list[str]]:
            heard.append(capsys.readouterr().err)
            captioned.append(len(images))
            return super().caption(images, per_image=per_image, seed=seed)

    toys = ToyModels(model)
    toys.captioner = Watched()
    monkeypatch.setattr(evaluating, "build_models", lambda *_, **__: toys)
    monkeypatch.setattr(answering, "TRIED_PICTURES", 2)
    assert main([*COMMAND, "--gallery-captions", "3"]) == 0
    assert captioned[:2] == [2, 7]
    assert "7 pictures of the benchmark have no captions yet. 6 captions took " in heard[1]
    assert "so 21 take about " in heard[1]
    assert "They are kept" in heard[1]
    capsys.readouterr()
    assert main([*COMMAND, "--gallery-captions", "3"]) == 0
    assert "have no captions yet" not in capsys.readouterr().err
    captioned.clear()
    assert main(["evaluate", "world", "--methods", "Sum", "--json"]) == 0
    assert captioned == []
    assert json.loads(capsys.readouterr().out)["manifest"]["captions_of_gallery_images"] == 0


def test_without_a_language_model_methods_are_measured_without_it(
    capsys, model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys = ToyModels(model)
    toys.language_model, toys.llm = None, "none"  # type: ignore[assignment]
    monkeypatch.setattr(evaluating, "build_models", lambda *_, **__: toys)
    assert main([*COMMAND, "--llm", "none"]) == 0
    assert {"CVSI", "Sum"} <= set(json.loads(capsys.readouterr().out)["methods"])
    assert model.prompts == []
