"""What noise costs supervised methods: the table says what was measured, and a network that was measured is not trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cir.evaluation.benchmark import Benchmark, draw_benchmark
from cir.evaluation.results_file import read_sections
from cir.measuring import noise, training_bench
from cir.measuring.noise_table import SUM, noise_findings, noise_table
from cir.places import ASSETS
from tests.commands import run
from tests.encoded_noise import encoded_noise


def runs(*first: float, seconds: float = 9.0) -> list[dict[str, float]]:
    return [{"R@1": r, "R@5": r + 10, "R@10": r + 20, "seconds": seconds} for r in first]


ROWS = {
    SUM: {"none": [{"R@1": 57.9, "R@5": 78.1, "R@10": 84.2}]},
    "TIRG": {"syncir": runs(40.0, 41.0, 42.0), "world": runs(60.0, 61.0, 62.0, seconds=12.4)},
    "CASE": {"syncir": runs(20.0, 25.0, 30.0), "world": runs(22.0, 27.0, 32.0)},
    "CoVR": {"syncir": runs(10.0, 10.5, 11.0), "world": runs(50.0, 50.5, 51.0)},
}


def test_every_method_has_a_line_for_each_source_and_what_needs_no_training_has_one() -> None:
    lines = noise_table(ROWS).splitlines()
    assert len(lines) == 2 + 1 + 6
    assert lines[2] == "| Sum | none | 57.9 | 78.1 | 84.2 |  |"
    assert lines[3] == "| TIRG | SynCir's triplets | 41.0 ± 1.0 | 51.0 ± 1.0 | 61.0 ± 1.0 | 9 |"
    assert lines[4] == "| TIRG | the world's true edits | 61.0 ± 1.0 | 71.0 ± 1.0 | 81.0 ± 1.0 | 12 |"


def test_the_dearest_noise_is_told_first_and_what_the_seeds_explain_is_told_as_such() -> None:
    covr, tirg, case = noise_findings(ROWS).splitlines()
    assert covr.startswith("- CoVR: +40.0 points of R@1")
    assert tirg.startswith("- TIRG: +20.0 points of R@1")
    assert tirg.endswith("(beyond the seeds' spread).")
    assert case.startswith("- CASE: +2.0 points of R@1")
    assert case.endswith("(within the seeds' spread).")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command on a benchmark of 5 queries, 24 triplets and encoded pictures that are noise."""
    drawn: Benchmark = draw_benchmark(queries=5, gallery=12, seed=3)
    monkeypatch.setattr(training_bench, "read_benchmark", lambda name: drawn)
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    lines = (ASSETS / "triplets" / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["verdict"] == "kept"][:24]
    (tmp_path / "some.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    pictures = encoded_noise(tmp_path / "runs" / "pictures")
    where = f"--runs {tmp_path / 'runs'} --pictures {pictures} --triplets {tmp_path / 'some.jsonl'} --out {tmp_path / 'results.md'}"
    return f"ablate --tables fusion --steps 2 --batch-triplets 8 --min-similarity -1 {where}".split()


def test_the_command_trains_each_on_as_many_of_both_kinds_and_finds_them_done(
    small: list[str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [*small, "--recipes", "covr,compodiff", "--seeds", "2"]
    status, said, wrote = run(capsys, *line)
    assert status == 0, wrote
    assert said.startswith("Table fusion is written to ")
    (section,) = read_sections(tmp_path / "results.md")
    assert section.name == "fusion-noise"
    assert section.manifest["triplets"] == {"syncir": 24, "world": 24}
    assert section.manifest["queries"] == 5
    learnt = f"--triplets {tmp_path / 'some.jsonl'} --recipes covr,compodiff"
    assert (
        section.manifest["command"]
        == f"python -m cir ablate --tables fusion {learnt} --seeds 2 --steps 2 --batch-triplets 8"
    )
    rows = [text for text in section.markdown.splitlines() if text.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| Sum", *["| CoVR"] * 2, *["| CompoDiff"] * 2]
    assert len(list((tmp_path / "runs" / "ablation").glob("*/measures.json"))) == 2 * 2 * 2
    assert not list((tmp_path / "runs" / "ablation").glob("*/checkpoint.pt"))

    def not_again(*_: object) -> None:
        raise AssertionError("it was trained before")

    monkeypatch.setattr(noise, "FusionTraining", not_again)
    status, _, wrote = run(capsys, *line)
    assert status == 0, wrote
    assert read_sections(tmp_path / "results.md") == [section]
