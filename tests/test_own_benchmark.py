"""A benchmark is one file: what this one here has, the commands have of it, and they know it by nothing but its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cir.__main__ import main
from cir.evaluation.datasets.dataset import Dataset, DatasetCard, DatasetQuery, Option, Submission
from cir.evaluation.datasets.registry import DATASETS
from cir.evaluation.measures import hit
from cir.evaluation.predictions import given_predictions, read_predictions
from cir.evaluation.results_file import read_sections
from cir.evaluation.scoring import percent, report_of
from cir.evaluation.submission import submitted
from cir.types import CirQuery
from tests.commands import run
from tests.dataset_doubles import NAMES
from tests.fakes import draw

SPLITS = ("val", "hidden")


def read_queries(path: Path, *, every: int = 1) -> tuple[DatasetQuery, ...]:
    """A line is: reference, text, and target where it is known, separated by bars."""
    rows = [line.split("|") for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(
        DatasetQuery(CirQuery(f"q{n}", reference, text, tuple(targets)), (text,))
        for n, (reference, text, *targets) in enumerate(rows)
        if n % every == 0
    )


def open_pairs(options, _) -> list[Dataset]:
    queries = read_queries(options.root / f"{options.split}.txt", every=options.every)
    images = {name: f"{name}.png" for name in NAMES}
    said = f"Every {options.every} is taken."
    return [Dataset("Pairs", options.split, queries, images, images, options.root, True, said, CARD)]


def score(queries, rankings, protocol):
    values = {
        f"R@{k}": percent(hit(rankings[q.query_id], q.query.target_ids[0], k) for q in queries)
        for k in (1, 3)
    }
    return report_of("Pairs", protocol, values, {"short_R@1": {"three words": 12.5}})


def score_files(options):
    queries = read_queries(options.annotations)
    return score(queries, read_predictions(given_predictions(options), queries, set(NAMES)), options.words)


CARD = DatasetCard(
    "pairs",
    "Pairs",
    "Score predictions for pairs, or run a method over them.",
    (
        Option("--every", {"type": int, "default": 1, "help": "take only every so many"}, only="runs"),
        Option("--words", {"default": "None given.", "help": "what the report says"}, only="scores"),
    ),
    open_pairs,
    lambda dataset, queries, rankings, _: score(queries, rankings, dataset.protocol),
    ("R@1", "R@3"),
    ("R@1", "R@3"),
    "R@1",
    splits=SPLITS,
    score_files=score_files,
    submission=Submission(
        lambda dataset, rankings, _: {"pairs.json": submitted(dataset, rankings, "pairs.json", 3)},
        "https://pairs.example/server",
        {"pairs.json": "R@3"},
    ),
    variant=lambda options: [f"every-{options.every}"] if options.every > 1 else [],
)


@pytest.fixture
def pairs(monkeypatch, tmp_path, toys) -> Path:
    """The folder of the benchmark, which is registered; the toys are the models."""
    monkeypatch.setitem(DATASETS, CARD.name, CARD)
    root = tmp_path / "pairs"
    root.mkdir()
    for name in NAMES:
        draw(*name.split("-")).save(root / f"{name}.png")
    asked = ["red-square|make it blue", "blue-circle|make it red", "green-triangle|make it blue"]
    wanted = ["blue-square", "red-circle", "blue-triangle"]
    known = [f"{query}|{target}" for query, target in zip(asked, wanted, strict=True)]
    (root / "val.txt").write_text("\n".join(known), encoding="utf-8")
    (root / "hidden.txt").write_text("\n".join(asked), encoding="utf-8")
    return root


def test_a_registered_benchmark_is_run_by_evaluate_with_its_own_options_and_measures(capsys, pairs) -> None:
    status, out, err = run(capsys, "evaluate", "pairs", "--root", pairs, "--every", 2)
    assert status == 0, err
    assert out.startswith("Pairs, 2 queries. Every 2 is taken.\n")
    assert "R@1            100.00  (100.00 to 100.00)" in out
    assert "short R@1, three words: 12.50" in out
    assert "cvsi-embedded-every-2" in out
    report = json.loads(run(capsys, "evaluate", "pairs", "--root", pairs, "--method", "sum", "--json")[1])
    assert (report["queries"], report["dataset"], report["method"]) == (3, "Pairs", "Sum")


def test_the_options_of_a_registered_benchmark_are_in_its_help_and_checked(capsys, pairs) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "pairs", "--help"])
    said = capsys.readouterr().out
    assert "--every EVERY" in said
    assert "take only every so many" in said
    status, _, err = run(capsys, "evaluate", "pairs", "--root", pairs, "--words", "x")
    assert status == 2
    assert "--words" in err
    status, _, err = run(capsys, "tables", "methods", "--dataset", "cirr", "--root", pairs, "--every", 2)
    assert status == 2
    assert "--every has no meaning on cirr." in err


def test_predictions_for_a_registered_benchmark_are_scored_by_its_file(capsys, pairs, tmp_path) -> None:
    given = tmp_path / "p.json"
    given.write_text(
        json.dumps({"q0": ["blue-square"], "q1": ["red-square", "red-circle"], "q2": ["red-circle"]}), "utf-8"
    )
    files = ("--annotations", pairs / "val.txt", "--predictions", given)
    status, out, err = run(capsys, "evaluate", "pairs", *files, "--words", "As given.", "--json")
    assert status == 0, err
    report = json.loads(out)
    assert [report["R@1"], report["R@3"]] == pytest.approx([100 / 3, 200 / 3])
    assert report["protocol"] == "As given."


def test_a_hidden_split_of_a_registered_benchmark_gives_what_its_server_takes(capsys, pairs) -> None:
    status, out, err = run(capsys, "evaluate", "pairs", "--root", pairs, "--split", "hidden")
    assert status == 0, err
    assert "the server of Pairs, https://pairs.example/server" in out
    (path,) = {word for word in out.split() if word.endswith("pairs.json")}
    made = json.loads(Path(path).read_text(encoding="utf-8"))
    assert [made[query][0] for query in ("q0", "q1", "q2")] == ["blue-square", "red-circle", "blue-triangle"]
    assert {len(names) for names in made.values()} == {3}


def test_a_registered_benchmark_has_tables(capsys, pairs, tmp_path) -> None:
    results = tmp_path / "results.md"
    status, _, err = run(
        capsys, "tables", "methods", "--dataset", "pairs", "--root", pairs, "--every", 2, "--results", results
    )
    assert status == 0, err
    (section,) = read_sections(results)
    assert section.name == "methods-pairs-val-every-2"
    (row,) = [line for line in section.markdown.splitlines() if line.startswith("| CVSI |")]
    assert row.split("|")[2].strip().startswith("100.0")
    assert "2 queries over 12 images. Every 2 is taken." in section.markdown
