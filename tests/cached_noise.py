"""Two folders of pictures whose features are noise, with the scenes that belong to them, as `train pictures` would leave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cir.training import pictures

PAIRS = 150


def cached_pictures(root: Path, patch: pytest.MonkeyPatch) -> dict[str, Path]:
    """ "pictures" and "held_out", each in its folder."""
    patch.setattr(pictures, "CHUNK_PAIRS", PAIRS)
    folders = {}
    for name, seed in (("pictures", 1), ("held_out", 77)):
        folder = folders[name] = root / name
        folder.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        maps = rng.random((2 * PAIRS, pictures.WIDTH, pictures.GRID, pictures.GRID)).astype(np.float16)
        np.save(folder / "maps-0000.npy", maps)
        np.save(folder / "pooled-0000.npy", maps.mean(axis=(2, 3)) / 2 + maps.max(axis=(2, 3)) / 2)
        settings = {"pairs": PAIRS, "seed": seed, "held_out": name == "held_out"}
        (folder / "pictures.json").write_text(json.dumps(settings), encoding="utf-8")
    return folders
