"""The trunk that the shipped models share: it is written once, read whole, and never taken for another one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cir.errors import MissingModel, UnsafeFile
from cir.models.blip2 import TRUNK, WEIGHTS, load_captioner, save_captioner
from cir.models.clip import load_clip
from cir.models.shared_trunk import leave_out_trunk, with_trunk
from cir.places import ASSETS
from tests.test_blip2 import build

SHIPPED = ASSETS / "models"
CLIP = SHIPPED / "clip" / "open_clip_model.safetensors"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of models: the shipped CLIP and BLIP, the CLIP with its trunk alone."""
    shutil.copytree(SHIPPED / "blip", tmp_path / "blip")
    (tmp_path / "clip").mkdir()
    trunk = {name: row for name, row in load_file(CLIP).items() if name.startswith("visual.trunk.")}
    save_file(trunk, tmp_path / "clip" / CLIP.name)
    return tmp_path


def change_trunk(place: Path) -> None:
    """One number of the trunk of the CLIP in this folder."""
    clip = place / "clip" / CLIP.name
    state = load_file(clip)
    state["visual.trunk.conv_stem.weight"][0, 0, 0, 0] += 1
    save_file(state, clip)


@pytest.mark.parametrize(("folder", "inside"), [("blip", "trunk."), ("blip2", TRUNK)])
def test_the_shipped_files_leave_out_the_trunk_and_are_read_with_that_of_the_clip(
    folder: str, inside: str
) -> None:
    path = SHIPPED / folder / WEIGHTS
    assert not [name for name in load_file(path) if name.startswith(inside)]
    whole, clip = with_trunk(path, inside), load_file(CLIP)
    names = [name.removeprefix("visual.trunk.") for name in clip if name.startswith("visual.trunk.")]
    assert len(names) > 250
    assert all(torch.equal(whole[inside + name], clip[f"visual.trunk.{name}"]) for name in names)


def test_the_models_are_those_that_they_were_when_their_files_held_the_trunk() -> None:
    assert load_captioner(SHIPPED / "blip2", "cpu").fingerprint == "blip2@a97f34547b35"
    assert load_clip(SHIPPED / "blip", device="cpu").fingerprint == "blip@68f41d3b76da"


def test_a_model_beside_a_clip_with_another_trunk_or_without_one_is_refused(place: Path) -> None:
    assert load_clip(place / "blip", device="cpu").dim == 256
    change_trunk(place)
    with pytest.raises(UnsafeFile, match=r"stands on trunk@\w{12}, and .*clip.* has trunk@\w{12}"):
        load_clip(place / "blip", device="cpu")
    (place / "clip" / CLIP.name).unlink()
    with pytest.raises(MissingModel, match="which is not there"):
        load_clip(place / "blip", device="cpu")


def test_a_captioner_without_its_clip_is_refused_in_words(tmp_path: Path) -> None:
    alone = Path(shutil.copytree(SHIPPED / "blip2", tmp_path / "blip2"))
    with pytest.raises(MissingModel, match=r"stands on the trunk of .*clip.*Restore assets/models"):
        load_captioner(alone, "cpu")


def test_a_trunk_is_left_out_where_the_clip_beside_it_has_the_same_one_alone(place: Path) -> None:
    path = place / "blip" / WEIGHTS
    whole = with_trunk(path, "trunk.")
    save_file(whole, path)
    leave_out_trunk(path, "trunk.")
    assert path.stat().st_size < 5e6
    again = with_trunk(path, "trunk.")
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], row) for name, row in whole.items())
    save_file(whole, path)
    change_trunk(place)
    leave_out_trunk(path, "trunk.")
    assert load_file(path).keys() == whole.keys()


def test_a_captioner_that_is_saved_beside_the_clip_of_its_trunk_is_loaded_the_same(tmp_path: Path) -> None:
    model, tokenizer = build()
    save_captioner(model, tokenizer, tmp_path / "far" / "blip2", {})
    trunk = model.vision_model.trunk.state_dict()
    half = {k: v.half() if v.is_floating_point() else v for k, v in trunk.items()}
    (tmp_path / "near" / "clip").mkdir(parents=True)
    save_file(
        {f"visual.trunk.{k}": v.contiguous() for k, v in half.items()}, tmp_path / "near" / "clip" / CLIP.name
    )
    save_captioner(model, tokenizer, tmp_path / "near" / "blip2", {})
    far, near = (tmp_path / where / "blip2" for where in ("far", "near"))
    assert (near / WEIGHTS).stat().st_size < (far / WEIGHTS).stat().st_size - 6e6
    assert load_captioner(near, "cpu").fingerprint == load_captioner(far, "cpu").fingerprint
