"""Florence-2 and BLIP as captioners: what BLIP-2 promises, they promise. Small models with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captioner_doubles import blip_folder, florence_folder
from PIL import Image
from safetensors.torch import load_file, save_file

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models import blip, florence2
from cir.models.sampling import GREEDY, SamplingCaptioner

MAKERS: dict[str, tuple[Callable[[Path], Path], Any]] = {
    "florence2": (florence_folder, florence2),
    "blip": (blip_folder, blip),
}


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (70, 90, 3), dtype=np.uint8))


PICTURES = [picture(0), Image.new("RGB", (50, 50), "white"), picture(1), Image.new("L", (80, 60), 30)]


@pytest.fixture(scope="module", params=MAKERS)
def maker(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(maker: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return MAKERS[maker][0](tmp_path_factory.mktemp(maker))


@pytest.fixture(scope="module")
def load(maker: str) -> Callable[..., SamplingCaptioner]:
    return MAKERS[maker][1].load_captioner


@pytest.fixture(scope="module")
def captioner(folder: Path, load: Callable[..., SamplingCaptioner]) -> SamplingCaptioner:
    return load(folder, "cpu")


def test_a_seed_makes_the_same_captions_again_and_another_makes_others(captioner: SamplingCaptioner) -> None:
    first = captioner.caption(PICTURES, per_image=3, seed=5)
    assert [len(captions) for captions in first] == [3] * 4
    assert first == captioner.caption(PICTURES, per_image=3, seed=5)
    assert first != captioner.caption(PICTURES, per_image=3, seed=6)
    assert len({caption for captions in first for caption in captions}) > 6


def test_captions_do_not_depend_on_what_shares_the_batch(captioner: SamplingCaptioner) -> None:
    together = captioner.caption(PICTURES, per_image=3, seed=0)
    assert [captioner.caption([image], per_image=3, seed=0)[0] for image in PICTURES] == together
    assert captioner.caption(PICTURES[::-1], per_image=3, seed=0) == together[::-1]


def test_the_likeliest_caption_is_the_same_whatever_was_drawn_before(captioner: SamplingCaptioner) -> None:
    first = captioner.likeliest(PICTURES)
    torch.manual_seed(9)
    assert captioner.likeliest(PICTURES) == first
    assert [captioner.likeliest([image])[0] for image in PICTURES] == first
    assert all(first)


def test_the_picture_decides_what_is_written(captioner: SamplingCaptioner) -> None:
    seen: list[torch.Tensor] = []

    def record(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        seen.append(scores)
        return scores

    with torch.inference_mode():
        captioner._write(captioner._prepared(PICTURES), {**GREEDY, "logits_processor": [record]})
    steps = torch.stack(seen).nan_to_num(neginf=0.0)  # a beginning that is demanded leaves one word
    for a, b in ((0, 1), (0, 2), (1, 3)):
        assert (steps[:, a] - steps[:, b]).abs().max() > 1e-4


def test_captions_are_words_without_marks(captioner: SamplingCaptioner) -> None:
    captions = [c for row in captioner.caption(PICTURES, per_image=4, seed=1) for c in row]
    assert all(word.startswith("w") for caption in captions for word in caption.split())


def test_captioning_leaves_the_random_numbers_of_others_alone(captioner: SamplingCaptioner) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    captioner.caption(PICTURES[:1], per_image=2, seed=0)
    assert torch.equal(torch.rand(4), expected)


def test_the_fingerprint_changes_with_a_weight_and_with_the_preparation_of_pictures(
    folder: Path, load: Callable[..., SamplingCaptioner], captioner: SamplingCaptioner, tmp_path: Path
) -> None:
    for change in ("weight", "preparation"):
        other = copied(folder, tmp_path / change / folder.name)
        if change == "weight":
            state = load_file(other / "model.safetensors")
            key = next(name for name in sorted(state) if name.endswith("weight"))
            save_file({**state, key: state[key] + 1}, other / "model.safetensors", {"format": "pt"})
        else:
            path = next(p for p in other.glob("*processor_config.json") if "rescale_factor" in p.read_text())
            path.write_text(path.read_text().replace('"rescale_factor": ', '"rescale_factor": 1'))
        assert load(other, "cpu").fingerprint != captioner.fingerprint
    same = load(copied(folder, tmp_path / "same" / folder.name), "cpu")
    assert same.fingerprint == captioner.fingerprint


def test_weights_that_are_absent_damaged_or_of_another_model_are_refused(
    folder: Path, load: Callable[..., SamplingCaptioner], tmp_path: Path
) -> None:
    absent = copied(folder, tmp_path / "absent")
    state = load_file(absent / "model.safetensors")
    key = next(name for name in sorted(state) if "vision" in name and name.endswith("weight"))
    save_file({k: v for k, v in state.items() if k != key}, absent / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsafeFile, match="lacks 1 of its weights"):
        load(absent, "cpu")

    half = copied(folder, tmp_path / "half")
    data = (half / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsafeFile, match="models pull"):
        load(half, "cpu")

    other = copied(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["vision_config"] |= {"hidden_size": 32, "embed_dim": [8, 8, 16, 32]}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsafeFile, match="models pull"):
        load(other, "cpu")


def test_a_captioner_that_is_not_there_is_a_missing_model(
    load: Callable[..., SamplingCaptioner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingModel):
        load("nobody/nothing", "cpu")


def copied(folder: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_the_folder_of_another_kind_of_captioner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile, match="models pull"):
        florence2.load_captioner(blip_folder(tmp_path / "a"), "cpu")
    with pytest.raises(UnsafeFile, match="models pull"):
        blip.load_captioner(florence_folder(tmp_path / "b"), "cpu")


def test_a_gpu_that_does_not_hold_the_model_is_said_with_a_way_out(
    load: Callable[..., SamplingCaptioner], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(CirError, match="does not hold the model") as told:
        load(folder, "cpu")
    assert "--device cpu" in told.value.remedy
