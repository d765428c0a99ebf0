"""HyCIR's ablations: each row learns from what it says, a network that was measured is not trained again, and filters keep what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cir.__main__ import parser
from cir.evaluation.benchmark import draw_benchmark
from cir.evaluation.results_file import read_sections
from cir.measuring import ablation, training_bench
from cir.measuring.ablation import Ablation
from cir.measuring.training_bench import TrainingBench
from cir.places import ASSETS
from cir.syncir.records import read_triplets
from tests.commands import run
from tests.encoded_noise import encoded_noise

KEPT, DROPPED = 20, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A benchmark of 5 queries, 28 triplets of the sample gallery of which 20 are kept, and encoded pictures that are noise."""
    folder = tmp_path_factory.mktemp("ablation")
    drawn = draw_benchmark(queries=5, gallery=12, seed=3)
    texts = (ASSETS / "triplets" / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [(json.loads(text), text) for text in texts]
    kept = [text for row, text in rows if row["verdict"] == "kept"][:KEPT]
    dropped = [text for row, text in rows if row["verdict"] == "dropped" and row["text"]][:DROPPED]
    (folder / "some.jsonl").write_text("\n".join(kept + dropped) + "\n", encoding="utf-8")
    encoded_noise(folder / "runs" / "pictures")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_bench, "read_benchmark", lambda name: drawn)
        patched.setenv("CIR_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def line(folder: Path) -> list[str]:
    """The command over them."""
    where = f"--runs {folder / 'runs'} --pictures {folder / 'runs' / 'pictures'} --triplets {folder / 'some.jsonl'} --out {folder / 'results.md'}"
    return f"ablate --seeds 1 --steps 2 --batch-images 8 --batch-triplets 8 {where}".split()


@pytest.fixture(scope="module")
def found(line: list[str]) -> Ablation:
    return Ablation(parser().parse_args(line))


def test_sizes_and_filters_become_sections_and_what_was_measured_is_not_trained_again(
    line: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        ablation.TABLES,
        "sizes",
        {
            "L_triplet, 8": {"loss": "triplet", "size": 8},
            "L_triplet, all": {"loss": "triplet"},
            "L_triplet, 900": {"loss": "triplet", "size": 900},
        },
    )
    line = [*line, "--tables", "sizes,filters"]
    status, _, wrote = run(capsys, *line)
    assert status == 0, wrote
    sizes, filters = read_sections(folder / "results.md")
    assert (sizes.name, filters.name) == ("hycir-sizes", "hycir-filters")
    assert sizes.manifest["triplets"] == {"syncir-all": KEPT + DROPPED, "syncir": KEPT, "world": KEPT}
    rows = [
        text.split(" | ")[0].removeprefix("| ")
        for text in sizes.markdown.splitlines()
        if text.startswith("| L_")
    ]
    assert rows == ["L_triplet, 8", "L_triplet, all"], "there are not 900"
    assert sum(text.startswith("| L_") for text in filters.markdown.splitlines()) == 8
    assert "L_triplet, the engine's filter is" in filters.markdown

    def not_again(*_: object) -> None:
        raise AssertionError("it was trained before")

    monkeypatch.setattr(Ablation, "measure", not_again)
    status, _, wrote = run(capsys, *line)
    assert status == 0, wrote
    assert read_sections(folder / "results.md") == [sizes, filters]


def test_the_engines_filter_keeps_as_many_as_the_language_filter_and_those_it_finds_best(
    found: Ablation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = np.arange(KEPT + DROPPED)[::-1] + 1  # the last is found best
    monkeypatch.setattr(Ablation, "_target_ranks", ranks)
    every = [t.text for t in read_triplets(folder / "some.jsonl")]
    engine, both = found._triplets("syncir-engine"), found._triplets("syncir-both")
    assert engine is not None
    assert both is not None
    assert list(engine.texts) == every[DROPPED:]
    assert list(both.texts) == every[DROPPED:KEPT]


def test_a_targets_rank_is_its_place_without_the_reference(found: Ablation) -> None:
    bench = found.bench
    wanted = bench.triplets("syncir-all")

    def targets(references: np.ndarray, texts: object) -> np.ndarray:
        return wanted.targets / np.linalg.norm(wanted.targets, axis=1, keepdims=True)

    def references(raw: np.ndarray, texts: object) -> np.ndarray:
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    assert bench.target_ranks(targets).tolist() == [1] * (KEPT + DROPPED)
    ranks = bench.target_ranks(references)
    assert ranks.min() == 1, "the reference itself is left out"
    assert ranks.max() < len(bench.gallery)


def test_triplets_that_are_farther_apart_are_left_out_of_all(found: Ablation, line: list[str]) -> None:
    every = found.bench
    near = TrainingBench(parser().parse_args([*line, "--min-similarity", "0.7"]))
    assert 0 < len(near.triplets("syncir-all")) < len(every.triplets("syncir-all")) == KEPT + DROPPED
    assert len(near.triplets("syncir")) == near.kept.sum() < every.kept.sum() == KEPT
