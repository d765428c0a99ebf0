"""Text-anchored tuning of a vision transformer of the size that people use, with random weights."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
from PIL import Image

from cir.models.clip import ClipModel
from cir.models.low_rank import with_changes
from cir.training.text_anchored import tune_on_pictures

pytestmark = pytest.mark.slow


def test_every_layer_of_a_full_image_tower_learns_a_change_and_the_clip_stays_as_it_was() -> None:
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32")
    clip = ClipModel(model, open_clip.get_tokenizer("ViT-B-32"), preprocess, "ViT-B-32", "random@1")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (224, 224, 3), dtype=np.uint8)) for _ in range(6)]
    captions = [f"a photo of a {word}" for word in ("dog", "cat", "boat", "tree", "ring", "house")]
    before = clip.encode_images(images)
    changes, losses = tune_on_pictures(
        clip, images.__getitem__, captions, steps=8, batch=6, low_rank=4, rate=1e-3
    )
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(clip.encode_images(images), before)
    layers = {name.removesuffix(".up") for name in changes if name.endswith(".up")}
    assert len(layers) == 12 * 4  # attention in and out, and both layers of the perceptron, of 12 blocks
    assert all(np.abs(changes[f"{name}.up"].numpy()).max() > 0 for name in layers)
    tuned = ClipModel(
        with_changes(clip.model, "visual", changes), clip.tokenizer, clip.preprocess, "tuned", "tuned@1"
    )
    assert np.abs(tuned.encode_images(images) - before).max() > 1e-4
