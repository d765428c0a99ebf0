"""CLIPModels of the sizes of BGE-VL-base and BGE-VL-large, with random weights, against transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from cir.models.clip import load_clip

pytestmark = pytest.mark.slow

BASE = {
    "projection_dim": 512,
    "text_config": {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8},
    "vision_config": {"patch_size": 16},
}
LARGE = {
    "projection_dim": 768,
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
    },
}


@pytest.mark.parametrize(
    ("shape", "parameters"), [(BASE, 149_620_737), (LARGE, 427_616_513)], ids=["base", "large"]
)
def test_features_are_those_of_transformers_at_full_size(
    tmp_path: Path, shape: dict[str, object], parameters: int
) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = CLIPModel(CLIPConfig(**shape)).half()
    assert sum(p.numel() for p in made.parameters()) == parameters
    made.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}),
        encoding="utf-8",
    )
    del made
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8))
    texts = ["a photo of a dog", "the same, but it costs $5 and " + "is very blue, " * 30]

    ours = load_clip(tmp_path, device="cpu", name="random")
    found = ours.encode_images([image])[0], ours.encode_raw_texts(texts)
    pixels = ours.preprocess(image)[None]
    del ours

    theirs = CLIPModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokens = open_clip.SimpleTokenizer()(texts)
    tokens[tokens == 0] = 49407  # transformers fills a row with end marks
    with torch.inference_mode():
        wanted_image = theirs.get_image_features(pixels).pooler_output[0].numpy()
        wanted_texts = theirs.get_text_features(tokens).pooler_output.numpy()
    np.testing.assert_allclose(found[0], wanted_image, atol=1e-5)
    np.testing.assert_allclose(found[1], wanted_texts, atol=1e-5)
