"""Pictures of the world, drawn and seen by the frozen trunk once, kept as features for many steps.

Pair `i` is a function of (seed, i): its scenes and its edit are drawn again when they are needed, so only
what the trunk saw is stored: the map (1280 x 4 x 4) and the pooled map (1280), in half precision.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cir.training.data import close_up, images_to_tensor, may_be_close, training_edit, training_scene
from cir.training.loop import fast_half_precision
from cir.training.trunk import (
    CLOSE_UP_SHARE,
    GRID,
    SCENE_PX,
    WIDTH,
    held_out_scene,
    pool_map,
)
from cir.whole_files import write_array
from cir.world.edits import Edit, sample_edit
from cir.world.render import HELD_OUT_VARIANTS, TRAINING_VARIANTS, RenderedScene, render_scene
from cir.world.scene import Scene

CHUNK_PAIRS = 1000
SINGLE_EVERY = 5  # one pair in so many is two unrelated pictures, where close-ups may be


def draw_pair(
    seed: int, index: int, *, held_out: bool
) -> tuple[Scene, Scene, Edit | None, np.random.Generator]:
    """Pair `index`: reference, target, the edit between them (None for two unrelated scenes)."""
    rng = np.random.default_rng((seed, index))
    draw = held_out_scene if held_out else training_scene
    if index % SINGLE_EVERY == SINGLE_EVERY - 1:
        return draw(rng), draw(rng), None, rng
    if not held_out:
        reference, edit = training_edit(rng)
        return reference, edit.target, edit, rng
    while True:
        reference = held_out_scene(rng)
        for _ in range(60):  # one target in twenty is held out
            edit = sample_edit(reference, rng)
            if edit is not None and edit.target.is_held_out:
                return reference, edit.target, edit, rng


def draw_pictures(
    seed: int, index: int, *, held_out: bool
) -> tuple[list[Scene], list[RenderedScene], Edit | None]:
    """Pair `index` with its pictures; close-ups are applied to the scenes as well."""
    reference, target, edit, rng = draw_pair(seed, index, held_out=held_out)
    scenes = [reference, target]
    variants = HELD_OUT_VARIANTS if held_out else TRAINING_VARIANTS
    pictures = [render_scene(s, SCENE_PX, variants=variants) for s in scenes]
    if edit is None:
        for i in (0, 1):
            if may_be_close(scenes[i]) and rng.random() < 2 * CLOSE_UP_SHARE:
                scenes[i], pictures[i] = close_up(scenes[i], pictures[i], rng)
    return scenes, pictures, edit


def encode_pictures(
    folder: Path, trunk: nn.Module, *, pairs: int, seed: int, held_out: bool, part: int = 0, parts: int = 1
) -> None:
    """Draw and encode pairs in chunks; finished chunks are kept, so it can be stopped and started again.

    Args:
        folder: where the chunks go.
        trunk: from `trained_trunk`.
        pairs: how many pairs in all.
        seed: of the drawing.
        held_out: content that training never draws, before held-out backgrounds.
        part, parts: this process makes every `parts`-th chunk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"pairs": pairs, "seed": seed, "held_out": held_out}
    (folder / "pictures.json").write_text(json.dumps(settings), encoding="utf-8")
    see: Any = trunk  # torch types a module's attributes as "tensor or module"
    for chunk in range(part, -(-pairs // CHUNK_PAIRS), parts):
        path = folder / f"maps-{chunk:04d}.npy"
        if path.exists():
            continue
        maps = np.empty((2 * CHUNK_PAIRS, WIDTH, GRID, GRID), np.float16)
        for start in range(0, CHUNK_PAIRS, 32):
            rows = range(start, min(start + 32, CHUNK_PAIRS))
            drawn = [draw_pictures(seed, chunk * CHUNK_PAIRS + row, held_out=held_out) for row in rows]
            with torch.inference_mode(), fast_half_precision():
                pixels = images_to_tensor([p.image for _, pictures, _ in drawn for p in pictures])
                seen = see.forward_features(pixels.contiguous(memory_format=torch.channels_last))
            maps[2 * start : 2 * start + len(seen)] = seen.float().numpy()
        pooled = pool_map(torch.from_numpy(maps).float()).numpy().astype(np.float16)
        for name, array in (("pooled", pooled), ("maps", maps)):
            write_array(folder / f"{name}-{chunk:04d}.npy", array)


class CachedPictures:
    """Encoded pairs: picture 2i is the reference of pair i, picture 2i + 1 its target."""

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "pictures.json").read_text(encoding="utf-8"))
        self.seed, self.held_out = int(settings["seed"]), bool(settings["held_out"])
        files = sorted(folder.glob("pooled-*.npy"))
        self._pooled = np.concatenate([np.load(f) for f in files])
        self._maps = [np.load(f.parent / f.name.replace("pooled", "maps"), mmap_mode="r") for f in files]
        self._chunks = [int(f.stem.split("-")[1]) for f in files]
        self.describe = lru_cache(maxsize=None)(self._describe)

    def __len__(self) -> int:
        return len(self._pooled) // 2

    def _describe(self, pair: int) -> tuple[Scene, Scene, Edit | None]:
        index = self._chunks[pair // CHUNK_PAIRS] * CHUNK_PAIRS + pair % CHUNK_PAIRS
        reference, target, edit, rng = draw_pair(self.seed, index, held_out=self.held_out)
        scenes = [reference, target]
        if edit is None:  # the same draws as `draw_pictures`, without drawing
            for i in (0, 1):
                if may_be_close(scenes[i]) and rng.random() < 2 * CLOSE_UP_SHARE:
                    variants = HELD_OUT_VARIANTS if self.held_out else TRAINING_VARIANTS
                    scenes[i], _ = close_up(
                        scenes[i], render_scene(scenes[i], SCENE_PX, variants=variants), rng
                    )
        return scenes[0], scenes[1], edit

    def pooled(self, pictures: NDArray[np.int64]) -> torch.Tensor:
        """(N, 1280) float32 pooled maps of the given pictures."""
        return torch.from_numpy(self._pooled[pictures]).float()

    def features(self, head: torch.nn.Module, pictures: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, D) raw image features: what a CLIP's head makes of the pooled maps."""
        device = next(head.parameters()).device
        with torch.inference_mode():
            rows = [
                head(self.pooled(pictures[i : i + 512]).to(device)).cpu()
                for i in range(0, len(pictures), 512)
            ]
        return torch.cat(rows).numpy().astype(np.float32)

    def maps(self, pictures: NDArray[np.int64]) -> torch.Tensor:
        """(N, 1280, 4, 4) float32 maps of the given pictures."""
        size = 2 * CHUNK_PAIRS
        return torch.from_numpy(np.stack([self._maps[i // size][i % size] for i in pictures])).float()

    def patches(self, pictures: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, 16, 1280) the same, a row for each patch, from the top left, line by line."""
        return self.maps(pictures).flatten(2).transpose(1, 2).numpy()
