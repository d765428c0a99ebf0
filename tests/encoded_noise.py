"""Encoded pictures of the world that are noise: trainings take them for what the trunk saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def encoded_noise(folder: Path, pairs: int = 40) -> Path:
    """Write them where `train pictures` would; returns the folder."""
    folder.mkdir(parents=True)
    (folder / "pictures.json").write_text(json.dumps({"pairs": pairs, "seed": 1, "held_out": False}))
    rng = np.random.default_rng(0)
    np.save(folder / "pooled-0000.npy", rng.random((2 * pairs, 1280)).astype(np.float16))
    np.save(folder / "maps-0000.npy", rng.random((2 * pairs, 1280, 4, 4)).astype(np.float16))
    return folder
