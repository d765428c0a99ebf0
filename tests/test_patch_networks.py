"""Networks that read the patches of a picture: they look at them, and Context-I2W's word also heeds the edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cir.errors import CirError, UnsafeFile
from cir.models.clip import load_clip
from cir.models.network_files import save_network
from cir.models.patch_networks import ContextWords, SentenceWords, load_patch_words

SHAPE = (16, 24, 8, 2, 12, 16)  # patches, their width, features, words, their width, width between
KINDS = (ContextWords, SentenceWords)


def network(kind):
    torch.manual_seed(3)
    return kind(*(SHAPE[:3] + ((1,) if kind is ContextWords else (4,)) + SHAPE[4:])).eval()


def given(rows: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(4)
    return [torch.rand(rows, 16, 24), *(F.normalize(torch.randn(rows, 8), dim=1) for _ in range(2))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_whose_other_half_changes_has_another_word(kind) -> None:
    made, (patches, features, context) = network(kind), given()
    changed = patches.clone()
    changed[0, 8:] = torch.rand(8, 24)
    with torch.no_grad():
        before, after = made(patches, features, context), made(changed, features, context)
    assert (after[0] - before[0]).abs().max() > 1e-3
    torch.testing.assert_close(after[1], before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_where_something_is_counts(kind) -> None:
    made, (patches, features, context) = network(kind), given()
    with torch.no_grad():
        moved = made(patches.flip(1), features, context)
        assert (moved - made(patches, features, context)).abs().max() > 1e-4


def test_another_edit_asks_for_another_word_of_context_i2w() -> None:
    made, (patches, features, context) = network(ContextWords), given()
    with torch.no_grad():
        before, after = made(patches, features, context), made(patches, features, context.flip(0))
    assert (after - before).abs().max() > 1e-2


def test_every_word_of_isa_looks_somewhere_and_not_all_at_the_same() -> None:
    made, (patches, _, _) = network(SentenceWords), given()
    with torch.no_grad():
        where = made.look(F.gelu(made.patch(patches) + made.places)).softmax(dim=1)
    torch.testing.assert_close(where.sum(dim=1), torch.ones(2, 4))
    assert (where[..., 0] - where[..., 1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_again_as_it_was_written_and_refuses_what_another_encoder_sees(
    kind, tmp_path: Path
) -> None:
    made, (patches, features, context) = network(kind), given()
    save_network(made, tmp_path / "net.safetensors", {"trained_for": "clip@1"})
    found = load_patch_words(tmp_path / "net.safetensors", name="net")
    with torch.no_grad():
        expected = made(patches, features, context).numpy()
    # Image features come at any length, contexts at length 1.
    said = found.map_patches(patches.numpy(), 7.0 * features.numpy(), context.numpy())
    np.testing.assert_allclose(said, expected, atol=1e-5)
    assert found.metadata["trained_for"] == "clip@1"
    with pytest.raises(CirError, match="reads 16 patches of 24 numbers and features of 8, not"):
        found.map_patches(patches.numpy()[:, :9], features.numpy(), context.numpy())


def test_a_file_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    made = torch.nn.Linear(2, 2)
    made.shape = lambda: {"layout": "another"}  # type: ignore[method-assign, assignment]
    save_network(made, tmp_path / "net.safetensors", {})  # type: ignore[arg-type]
    with pytest.raises(UnsafeFile, match="no network that reads patches"):
        load_patch_words(tmp_path / "net.safetensors")


def test_the_shipped_clips_patches_are_what_its_features_are_made_of() -> None:
    from cir.world.render import render_scene
    from cir.world.scene import sample_scene

    clip = load_clip(Path(__file__).resolve().parents[1] / "assets" / "models" / "clip", device="cpu")
    images = [render_scene(sample_scene(np.random.default_rng(i)), 128).image for i in range(3)]
    patches = clip.encode_patches(images)
    assert patches.shape == (3, 16, 1280)
    pooled = torch.from_numpy((patches.mean(axis=1) + patches.max(axis=1)) / 2)
    with torch.no_grad():
        features = clip.model.visual.head(pooled).numpy()
    np.testing.assert_allclose(features, clip.encode_images(images), rtol=1e-3, atol=1e-3)


def test_a_vision_transformer_gives_its_patches_without_the_class_token() -> None:
    from open_clip.transformer import VisionTransformer

    from cir.models.patches import patch_rows

    tower = VisionTransformer(32, 16, width=8, layers=2, heads=2, mlp_ratio=2.0, output_dim=4).eval()
    assert patch_rows(tower, torch.rand(3, 3, 32, 32)).shape == (3, 4, 8)
    with pytest.raises(CirError, match="does not say what it sees of patches"):
        patch_rows(torch.nn.Linear(2, 2), torch.rand(1, 3, 32, 32))
