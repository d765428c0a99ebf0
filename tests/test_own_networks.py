"""A mapping network that was trained here is searched with: by its file or its folder, as --phi or as --models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cir.application import build_models
from cir.evaluation.benchmark import draw_benchmark
from cir.measuring import world_report
from cir.models.mapping import MappingNetwork, save_mapping
from cir.models.mapping_files import MAPPING_FILE
from tests.commands import run
from tests.fakes import draw


@pytest.fixture(scope="module")
def clip():
    return build_models("embedded", llm="none").tower


@pytest.fixture
def trained(tmp_path: Path, clip):
    """Leave a network as a training does; gives the folder."""

    def one(dim: int = clip.dim, **facts: str) -> Path:
        torch.manual_seed(1)
        folder = tmp_path / "runs" / "mapping"
        folder.mkdir(parents=True)
        record = {"recipe": "lincir", "trained_for": clip.fingerprint, "model_set": "embedded", **facts}
        save_mapping(MappingNetwork(dim, [8], 1, clip.word_width), folder / MAPPING_FILE, record)
        draw("red", "square", 96).save(tmp_path / "reference.png")
        return folder

    return one


def test_a_trained_network_is_searched_with_by_folder_and_file_under_phi_and_models(
    capsys, tmp_path: Path, trained
) -> None:
    folder = trained()

    def scores(*options: object) -> list[float]:
        status, out, err = run(
            capsys, "search", "--image", tmp_path / "reference.png", "--text", "in the snow", "--llm", "none", "--json",
            *options,
        )  # fmt: skip
        assert status == 0, err
        return [row["score"] for row in json.loads(out)["results"]]

    own = scores("--phi", folder)
    assert own == scores("--phi", folder / MAPPING_FILE) == scores("--models", folder)
    assert own != scores()
    # It is also the network of the method by whose recipe it was trained.
    assert scores("--models", folder, "--method", "lincir") != scores("--method", "lincir")


@pytest.mark.parametrize(
    ("dim", "facts", "said"),
    [
        (None, {"trained_for": "clip@another"}, "it was trained for clip@another"),
        (7, {}, "it takes 7 numbers of a picture"),
    ],
)
def test_a_network_of_another_clip_is_refused_in_words(
    capsys, tmp_path, trained, clip, dim, facts, said
) -> None:
    folder = trained(dim or clip.dim, **facts)
    for option in ("--phi", "--models"):
        status, out, err = run(capsys, "search", "--text", "snow", "--llm", "none", option, folder)
        assert (status, out) == (2, "")
        assert "does not fit the CLIP of the set embedded" in err
        assert said in err


def test_a_folder_without_a_network_and_a_path_that_is_not_there_are_refused(capsys, tmp_path: Path) -> None:
    for place, said in (
        (tmp_path, "holds no finished mapping network"),
        (tmp_path / "no.safetensors", "no.safetensors"),
    ):
        for option in ("--phi", "--models"):
            status, _, err = run(capsys, "search", "--text", "snow", "--llm", "none", option, place)
            assert status == 2
            assert said in err
            assert "Traceback" not in err


def test_a_trained_network_is_measured_on_the_world_benchmark(
    capsys, tmp_path: Path, trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = draw_benchmark(queries=20, gallery=50, seed=1)
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(world_report, "read_benchmark", lambda _: world)

    def lincir(*options: object) -> dict[str, float]:
        line = (
            "evaluate",
            "world",
            "--llm",
            "none",
            "--methods",
            "LinCIR",
            "--json",
        )
        status, out, err = run(capsys, *line, *options)
        assert status == 0, err
        return json.loads(out)["methods"]["LinCIR"]

    shipped, untrained = lincir(), lincir("--phi", trained())
    assert shipped["R@5"] > untrained["R@5"]
