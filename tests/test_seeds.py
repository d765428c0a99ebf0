"""Shipped networks that are trained again with other seeds: `ablate --tables seeds`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from cir.cache_keys import file_digest
from cir.errors import BadQuery
from cir.evaluation.benchmark import read_benchmark
from cir.measuring import seeds
from cir.measuring.seeds import SeedsTable, facts_of
from cir.measuring.seeds_table import write_seeds
from cir.models.catalog import SHIPPED
from tests.cached_noise import cached_pictures

NETWORK = SHIPPED / "methods" / "isa.safetensors"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> argparse.Namespace:
    """Of the command, over pictures of noise and five queries of the benchmark."""
    runs = tmp_path / "runs"
    cached_pictures(runs, monkeypatch)
    whole = read_benchmark("world")
    queries = whole.queries[:5]
    ids = {i for query in queries for i in (query.reference_id, *query.target_ids)}
    few = replace(whole, queries=queries, scenes={i: s for i, s in whole.scenes.items() if i in ids})
    monkeypatch.setattr(seeds, "read_benchmark", lambda _: few)
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    return argparse.Namespace(models="embedded", recipes="isa", runs=runs, seeds=2, steps=2)


def test_a_network_is_trained_again_for_as_many_steps_and_measured_in_the_place_of_the_shipped_one(
    options: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = file_digest(NETWORK)
    table = SeedsTable(options)
    (first, second) = table.rows()["ISA"]
    assert file_digest(NETWORK) == shipped
    trained = options.runs / "seeds" / "seed-1" / "methods" / "isa.safetensors"
    assert {facts_of(trained)[key] for key in ("seed", "steps")} == {1, 2}
    assert first["R@1"] > second["R@1"]  # two steps on noise
    write_seeds(tmp_path / "results.md", table.rows(), table.record(), options=" --steps 2")
    said = (tmp_path / "results.md").read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if line.startswith("| ISA |"))
    assert f"| {first['R@1']:.1f}, {second['R@1']:.1f} |" in row
    assert "32,000, " in row
    monkeypatch.setattr(seeds, "STAGES", {})  # nothing is trained or measured twice
    monkeypatch.setattr(SeedsTable, "_measure", None)
    assert SeedsTable(options).rows()["ISA"] == [first, second]


def test_a_network_of_other_steps_is_trained_anew(options: argparse.Namespace) -> None:
    trained = options.runs / "seeds" / "seed-1" / "methods" / "isa.safetensors"
    for steps in (2, 3):
        SeedsTable(argparse.Namespace(**{**vars(options), "steps": steps}))._train("isa", 1)
        assert facts_of(trained)["steps"] == steps


def test_sets_whose_networks_learn_from_something_else_are_refused(options: argparse.Namespace) -> None:
    options.models = "base"
    with pytest.raises(BadQuery, match="embedded"):
        SeedsTable(options)
