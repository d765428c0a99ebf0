"""Changes of low rank to an image tower: learnt while the tower stays, kept in a file, and added when it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from cir.errors import MissingModel, UnsafeFile
from cir.models.clip import ClipModel, load_clip
from cir.models.low_rank import add_low_rank, changes_of, remove_low_rank, with_changes
from cir.models.tuned import load_tuned, save_tuned
from cir.training.text_anchored import anchored_loss, tune_on_pictures

AGAIN = "Train it: python -m cir train tat"
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.attention(x, x, x, need_weights=False)[0])


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Of every run: one draw in fifty learns such large weights that the last digits of a sum depend on its order."""
    torch.manual_seed(0)


@pytest.fixture
def clip(tmp_path: Path) -> ClipModel:
    torch.manual_seed(0)
    config = {"model_cfg": TINY, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    made = open_clip.CLIP(16, TINY["vision_cfg"], TINY["text_cfg"])  # type: ignore[arg-type]
    from safetensors.torch import save_file

    save_file(dict(made.state_dict()), tmp_path / "open_clip_model.safetensors")
    return load_clip(tmp_path, device="cpu")


def trained(module: nn.Module, x: torch.Tensor, steps: int = 3) -> None:
    optimiser = torch.optim.SGD(add_low_rank(module, 2), lr=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        module(x).square().sum().backward()
        optimiser.step()


def test_at_the_start_nothing_is_changed_and_only_the_changes_learn():
    module, x = Layers().eval(), torch.randn(3, 5, 8)
    before = module(x)
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trained(module, x, steps=0)
    torch.testing.assert_close(module(x), before)
    learning = {name for name, one in module.named_parameters() if one.requires_grad}
    assert learning == {
        f"{stem}.0.{side}"
        for stem in (
            "attention.parametrizations.in_proj_weight",
            "attention.out_proj.parametrizations.weight",
            "out.parametrizations.weight",
        )
        for side in ("up", "down")
    }
    remove_low_rank(module)
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, kept[name])


def test_a_copy_with_the_changes_computes_what_was_trained_and_shares_the_rest():
    model = nn.ModuleDict({"visual": Layers().eval()})
    x = torch.randn(3, 5, 8)
    before = model["visual"](x).detach()
    trained(model["visual"], x)
    after = model["visual"](x).detach()
    assert not torch.allclose(after, before, atol=1e-3)
    changes = changes_of(model["visual"])
    assert changes["out.weight.up"].shape == (4, 2)
    remove_low_rank(model["visual"])
    torch.testing.assert_close(model["visual"](x).detach(), before)
    copied = with_changes(model, "visual", changes)
    torch.testing.assert_close(copied["visual"](x).detach(), after)  # type: ignore[index]
    torch.testing.assert_close(model["visual"](x).detach(), before)
    assert copied["visual"].out.bias is model["visual"].out.bias  # type: ignore[index]


@pytest.mark.parametrize("changed", ["another.weight", "out.weight"])
def test_changes_of_other_layers_or_shapes_are_refused(changed: str):
    changes = {f"{changed}.up": torch.zeros(7, 2), f"{changed}.down": torch.zeros(2, 8)}
    with pytest.raises(ValueError, match=changed):
        with_changes(nn.ModuleDict({"visual": Layers()}), "visual", changes)


def slow_loss(images: torch.Tensor, anchors: torch.Tensor, keys: list[int], temperature: float) -> float:
    """The same, pair by pair."""
    images, total, count = F.normalize(images, dim=1), 0.0, len(keys)
    for i in range(count):
        others = [j for j in range(count) if j == i or keys[j] != keys[i]]
        own = float(images[i] @ anchors[i]) / temperature
        by_image = [float(images[i] @ anchors[j]) / temperature for j in others]
        by_text = [float(images[j] @ anchors[i]) / temperature for j in others]
        total += 0.5 * (np.logaddexp.reduce(by_image) - own) + 0.5 * (np.logaddexp.reduce(by_text) - own)
    return total / count


def test_the_loss_is_that_of_a_loop_over_pairs_where_the_same_is_no_negative():
    torch.manual_seed(1)
    images, anchors, keys = torch.randn(5, 6), F.normalize(torch.randn(5, 6), dim=1), [0, 1, 0, 2, 3]
    found = anchored_loss(images, anchors, torch.tensor(keys), 0.1)
    assert float(found) == pytest.approx(slow_loss(images, anchors, keys, 0.1), rel=1e-4)


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(count)]


def test_a_whole_vision_transformer_moves_to_its_captions_and_the_clip_stays(clip, tmp_path):
    images = pictures(8)
    words = ("dog", "cat", "red", "blue", "boat", "tree", "house", "ring")
    captions = [f"a photo of a {word}" for word in words]
    before, texts = clip.encode_images(images), clip.encode_texts(captions)
    changes, losses = tune_on_pictures(
        clip, images.__getitem__, captions, steps=25, batch=8, low_rank=4, rate=1e-2
    )
    assert losses[-1] < losses[0] - 0.3
    np.testing.assert_array_equal(clip.encode_images(images), before)
    assert any("in_proj_weight" in name for name in changes)
    save_tuned(changes, tmp_path / "tat.safetensors", {"recipe": "tat", "trained_for": clip.fingerprint})
    tuned = load_tuned(tmp_path / "tat.safetensors", clip, again=AGAIN)
    assert tuned.fingerprint != clip.fingerprint
    after = tuned.encode_images(images)

    def near(rows: np.ndarray) -> float:
        return float(((rows / np.linalg.norm(rows, axis=1)[:, None]) * texts).sum(axis=1).mean())

    assert near(after) > near(before) + 0.1
    np.testing.assert_array_equal(tuned.encode_texts(captions), texts)


def test_a_tower_for_another_clip_and_a_file_that_is_none_are_refused_with_the_command(clip, tmp_path):
    path = tmp_path / "tat.safetensors"
    save_tuned({"x.up": torch.zeros(1, 1)}, path, {"recipe": "tat", "trained_for": "clip@other"})
    with pytest.raises(MissingModel, match=r"made for clip@other, not for .*python -m cir train tat"):
        load_tuned(path, clip, again=AGAIN)
    save_tuned({"x.up": torch.zeros(1, 1)}, path, {"recipe": "tat", "trained_for": clip.fingerprint})
    with pytest.raises(UnsafeFile, match="does not fit"):
        load_tuned(path, clip, again=AGAIN)
    path.write_bytes(b"no tensors")
    with pytest.raises(UnsafeFile, match="no whole safetensors"):
        load_tuned(path, clip, again=AGAIN)
