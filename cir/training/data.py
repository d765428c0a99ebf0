"""Training pictures of the world, drawn on the fly: tensors and what is known of them.

Only content that is not held out is drawn, on training backgrounds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from cir.world.edits import Edit, sample_edit
from cir.world.render import RenderedScene
from cir.world.scene import Scene, sample_scene

MEAN = STD = 0.5  # what TensorFlow's EfficientNet-lite was trained with, nearly: (x - 127) / 128


def training_scene(rng: np.random.Generator) -> Scene:
    """A scene whose content is not held out."""
    while (scene := sample_scene(rng)).is_held_out:
        pass
    return scene


def training_edit(rng: np.random.Generator) -> tuple[Scene, Edit]:
    """A reference and an edit of it, neither held out."""
    while True:
        reference = training_scene(rng)
        edit = sample_edit(reference, rng)
        if edit is not None and not edit.target.is_held_out:
            return reference, edit


def images_to_tensor(images: list[Image.Image]) -> torch.Tensor:
    """RGB images of one size -> (N, 3, H, W) float32 in [-1, 1]."""
    array = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(255.0).sub_(MEAN).div_(STD)


def crop_object(picture: RenderedScene, index: int, rng: np.random.Generator, size_px: int) -> Image.Image:
    """A square window round one object of a picture, at about the scale that the picture has it."""
    box = picture.boxes[index]
    width, height = picture.image.size
    span = max((box.right - box.left) * width, (box.bottom - box.top) * height)
    side = min(width, max(size_px * rng.uniform(0.75, 1.1), span * rng.uniform(1.0, 1.25)))
    shift = 0.18 * side
    x = (box.left + box.right) / 2 * width + rng.uniform(-shift, shift) - side / 2
    y = (box.top + box.bottom) / 2 * height + rng.uniform(-shift, shift) - side / 2
    x, y = min(max(0.0, x), width - side), min(max(0.0, y), height - side)
    return picture.image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))


def close_up(scene: Scene, picture: RenderedScene, rng: np.random.Generator) -> tuple[Scene, RenderedScene]:
    """The same single object seen from nearer: it fills about half to nine tenths of the picture.

    People's pictures are often of one thing, and the crops on which nouns are tested are such pictures. Of a
    close-up no size can be said, so the scene that is returned has a "normal" one.
    """
    (box,) = picture.boxes
    width = picture.image.width
    side = min(1.0, max(box.right - box.left, box.bottom - box.top) * rng.uniform(1.1, 1.7))
    x = min(max(0.0, (box.left + box.right) / 2 - side / 2 + rng.uniform(-0.1, 0.1) * side), 1.0 - side)
    y = min(max(0.0, (box.top + box.bottom) / 2 - side / 2 + rng.uniform(-0.1, 0.1) * side), 1.0 - side)
    image = picture.image.resize(
        (width, width),
        Image.Resampling.BILINEAR,
        box=(x * width, y * width, (x + side) * width, (y + side) * width),
    )
    left, top = (max(0.0, (a - o) / side) for a, o in ((box.left, x), (box.top, y)))
    right, bottom = (min(1.0, (a - o) / side) for a, o in ((box.right, x), (box.bottom, y)))
    seen = replace(box, left=left, top=top, right=right, bottom=bottom)
    return replace(scene, groups=(replace(scene.groups[0], size="normal"),)), RenderedScene(image, (seen,))


def may_be_close(scene: Scene) -> bool:
    """Whether a scene shows one single object."""
    return len(scene.groups) == 1 and scene.groups[0].count == 1


def cell_labels(picture: RenderedScene, labels: list[int], none: int, grid: int) -> np.ndarray:
    """Which label each cell of a grid x grid map shows: the object that covers most of it (a third at least).

    Args:
        picture: a rendered scene.
        labels: label of each object group.
        none: the label of a cell that shows no object.
        grid: cells on each side.

    Returns:
        (grid, grid) int64, rows from the top.
    """
    best = np.full((grid, grid), 0.33)
    out = np.full((grid, grid), none, dtype=np.int64)
    edges = np.arange(grid + 1) / grid
    for box in picture.boxes:
        wide = np.clip(np.minimum(box.right, edges[1:]) - np.maximum(box.left, edges[:-1]), 0, None) * grid
        high = np.clip(np.minimum(box.bottom, edges[1:]) - np.maximum(box.top, edges[:-1]), 0, None) * grid
        share = high[:, None] * wide[None, :]
        # A small object may lie across the corner of four cells: its best cell counts whatever its share.
        share.flat[int(share.argmax())] += 0.34
        hit = share > best
        best[hit] = share[hit]
        out[hit] = labels[box.group_index]
    return out
