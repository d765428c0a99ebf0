"""`models check`: what holds, what fails, what is to be done, for the shipped set and for one with random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cir.__main__ import main
from cir.measuring import model_check
from cir.measuring.model_check import known_pictures
from cir.models import catalog, model_set
from cir.models.blip2 import TRUNK
from cir.models.catalog import SETS
from cir.models.shared_trunk import with_trunk

NAMED = "pictures whose thing a caption names"
NEAREST = "pictures whose own caption is the nearest of all"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def checked(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, dict[str, object]]]:
    status = main(["models", "check", "embedded", "--llm", "none", "--json", *more])
    return status, {row["what"]: row for row in json.loads(capsys.readouterr().out)}


def test_the_shipped_set_knows_the_pictures_that_it_claims_to_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, rows = checked(capsys)
    assert status == 0
    assert all(row["holds"] for row in rows.values())
    assert int(str(rows[NEAREST]["found"]).split()[0]) >= 10
    assert int(str(rows[NAMED]["found"]).split()[0]) >= 8
    assert str(rows["lengths of text features"]["found"]).startswith(("1.0000", "0.9999"))


def test_the_table_says_row_by_row_what_was_found_and_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "--llm", "none"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(NEAREST))
    assert line.endswith("holds")
    assert "10 or more" in line


def test_random_weights_load_and_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("clip", "blip2", "mapping"):
        shutil.copytree(catalog.SHIPPED / part, tmp_path / part)
    clip, captioner = (
        tmp_path / "clip" / "open_clip_model.safetensors",
        tmp_path / "blip2" / "model.safetensors",
    )
    states = {clip: load_file(clip), captioner: with_trunk(captioner, TRUNK)}
    for path, state in states.items():
        torch.manual_seed(0)
        save_file({key: shuffled(tensor) for key, tensor in state.items()}, path, {"format": "pt"})
    monkeypatch.setattr(model_set, "SHIPPED", tmp_path)
    status = main(["models", "check", "embedded", "--llm", "none"])
    told = capsys.readouterr()
    assert status == 1
    for what in (NEAREST, NAMED):
        assert next(line for line in told.out.splitlines() if line.startswith(what)).endswith("FAILS")
        assert f"{what}: " in told.err
    assert "python -m cir models pull embedded" in told.err


def shuffled(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers in another order: whole, finite, and without meaning."""
    if tensor.dim() < 2:
        return tensor
    return tensor.flatten()[torch.randperm(tensor.numel())].reshape(tensor.shape)


def test_a_set_for_photographs_is_asked_about_photographs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the shipped set cannot read, and does not claim to: it fails plainly where it is asked all the same.
    monkeypatch.setitem(catalog.SETS, "embedded", replace(SETS["embedded"], reads="photographs"))
    seen: list[str] = []
    real = model_check.known_pictures
    monkeypatch.setattr(model_check, "known_pictures", lambda kind: seen.append(kind) or real(kind))
    status, rows = checked(capsys)
    assert seen == ["photographs"]
    assert rows[NEAREST]["wanted"] == "10 or more"
    assert status == (0 if all(row["holds"] for row in rows.values()) else 1)


def test_the_dozen_photographs_are_small_told_apart_and_each_has_its_licence() -> None:
    pictures = known_pictures("photographs")
    assert len(pictures) == 12
    assert len({known.caption for known in pictures}) == 12
    assert all(known.is_named(known.caption) for known in pictures)
    files = sorted(model_check.FOLDER.iterdir())
    assert sum(path.stat().st_size for path in files) < 1_000_000
    notice = (model_check.FOLDER.parent / "NOTICE").read_text(encoding="utf-8")
    assert all(f"check/{path.name}" in notice for path in files if path.suffix == ".jpg")


def test_a_set_that_is_not_here_is_said_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIR_HOME", str(tmp_path))
    assert main(["models", "check", "laptop"]) != 0
    assert "python -m cir models pull laptop" in capsys.readouterr().err
