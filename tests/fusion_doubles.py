"""A small CLIP for the networks of supervised methods, with weights that nobody trained."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from cir.models.clip import ClipModel


def small_clip() -> ClipModel:
    """32 dimensions, four patches, words of 24 numbers."""
    import open_clip

    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        text_cfg={"context_length": 32, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 2},
    )
    torch.nn.init.normal_(model.token_embedding.weight, std=0.5)  # so that texts differ
    tokenizer = open_clip.SimpleTokenizer(context_length=32)
    return ClipModel(model, tokenizer, pixels_of, "small", "small")


def pixels_of(image: Image.Image) -> torch.Tensor:
    values = np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.float32)
    return torch.from_numpy(values.copy()).permute(2, 0, 1) / 255.0
