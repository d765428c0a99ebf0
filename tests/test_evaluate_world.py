"""`evaluate world` says what of the language model's answers is kept, and what it would have to ask for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cir import places, tuned_weights
from cir.__main__ import main, parser
from cir.commands import evaluating
from cir.evaluation import answers
from cir.evaluation.benchmark import draw_benchmark
from cir.evaluation.paraphrases import WORDINGS
from cir.measuring import answering, paraphrases, world_bench, world_report
from tests.dataset_doubles import CountingModel, ToyModels, toy_methods, use
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
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(answers, "FOLDER", tmp_path / "shipped")
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
    (book,) = (tmp_path / "shipped").iterdir()
    lines = book.read_text(encoding="utf-8").splitlines(keepends=True)
    book.write_text("".join(lines[:-1]), encoding="utf-8")
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


def test_an_installed_program_reads_what_is_shipped_and_writes_answers_and_weights_to_the_person(
    capsys, model: CountingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, weights = tmp_path / "shipped", tmp_path / "models"
    weights.mkdir()
    monkeypatch.setattr(tuned_weights, "FOLDER", weights)
    assert main([*COMMAND, "--limit", "2"]) == 0
    (book,) = shipped.iterdir()  # a checkout: answers are written beside those that are shipped
    before, asked = book.read_bytes(), len(model.prompts)
    monkeypatch.setattr(places, "IS_CHECKOUT", False)
    assert main([*COMMAND, "--tune"]) == 0
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])["methods"]
    assert [path.read_bytes() for path in shipped.iterdir()] == [before]
    assert list(weights.iterdir()) == []
    own = tmp_path / "cache" / "evaluations"
    assert (own / "shipped" / book.name).exists()
    (found,) = (own / "models").iterdir()
    toys = ToyModels(model)
    row = json.loads(found.read_text(encoding="utf-8"))
    assert tuned_weights.tuned_weights(toys.name, row["models"]) == row["weights"]
    keys = {json.loads(line)["prompt"] for line in before.decode().splitlines()}
    again = {json.loads(line)["prompt"] for line in (own / "shipped" / book.name).read_text().splitlines()}
    assert len(model.prompts) > asked
    assert not keys & again  # what is shipped was not asked for again
    assert main([*COMMAND, "--kept-only"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["methods"].keys() == whole.keys()


@pytest.mark.parametrize("command", [["world", "benchmark"], ["world", "gallery"], ["train", "captioner"]])
def test_an_installed_program_is_not_changed_by_the_commands_that_make_what_is_shipped(
    capsys, command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "IS_CHECKOUT", False)
    assert main(command) == 2
    assert "an installed program is not changed" in capsys.readouterr().err


def test_a_table_of_methods_that_do_not_count_captions_makes_none(
    capsys, model: CountingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioned: list[int] = []

    class Watched(ToyCaptioner):
        def caption(self, images, *, per_image: int, seed: int) -> list[list[str]]:
            captioned.append(len(images))
            return super().caption(images, per_image=per_image, seed=seed)

    toys = use(monkeypatch, ToyModels(model))
    toys.captioner = Watched()
    small = draw_benchmark(queries=4, gallery=9, seed=1)
    monkeypatch.setattr(world_bench, "read_benchmark", lambda _: small)
    results = ["--results", str(tmp_path / "r.md")]
    assert main(["tables", "methods", "--methods", "Sum", *results]) == 0
    assert "| Sum |" in (tmp_path / "r.md").read_text(encoding="utf-8")
    assert captioned == []
    assert main(["tables", "methods", "--methods", "CVSI", "--ask", *results]) == 0
    assert sum(captioned) > 0


@pytest.mark.parametrize("command", ["methods", "paraphrases"])
def test_a_table_that_is_to_ask_a_language_model_says_that_there_is_none(
    capsys, command: str, tmp_path: Path
) -> None:
    told = ["tables", command, "--ask", "--llm", "none", "--results", str(tmp_path / "r.md")]
    assert main(told) == 2
    error = capsys.readouterr().err
    assert "--ask asks a language model" in error
    assert "--llm none" in error
    assert not (tmp_path / "r.md").exists()


def test_a_larger_book_of_wordings_leaves_what_was_measured_of_plain_edits_alone(
    model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = draw_benchmark(queries=4, gallery=9, seed=1)
    odd = replace(plain, queries=[replace(q, modification_text=f"hmm, {q.query_id}?") for q in plain.queries])
    reading = SimpleNamespace(is_plain=lambda text: not text.startswith("hmm"))
    monkeypatch.setattr(world_bench, "build_rewording", lambda *_: reading)
    for benchmark, stays in ((plain, True), (odd, False)):
        kept = []
        for book in ("of today", "of tomorrow"):
            monkeypatch.setattr(world_bench, "read_benchmark", lambda _, found=benchmark: found)
            monkeypatch.setattr(world_bench, "wordings_digest", lambda said=book: said)
            options = parser().parse_args(["tables", "methods"])
            kept.append(world_bench.WorldBench(options, ToyModels(model)).asked())
        assert (kept[0] == kept[1]) is stays


def test_a_larger_book_of_wordings_measures_paraphrases_anew(
    model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = draw_benchmark(queries=4, gallery=9, seed=1)
    odd = {q.query_id: {wording: f"hmm, {wording}?" for wording in WORDINGS} for q in plain.queries}
    reading = SimpleNamespace(is_plain=lambda text: not text.startswith("hmm"))
    monkeypatch.setattr(world_bench, "build_rewording", lambda *_: reading)
    monkeypatch.setattr(world_bench, "read_benchmark", lambda _: plain)
    monkeypatch.setattr(paraphrases, "read_paraphrases", lambda: odd)
    kept = []
    for book in ("of today", "of tomorrow"):
        monkeypatch.setattr(world_bench, "wordings_digest", lambda said=book: said)
        options = parser().parse_args(["tables", "paraphrases"])
        kept.append(paraphrases.ParaphraseBench(options, ToyModels(model)).asked())
    assert kept[0] != kept[1]
