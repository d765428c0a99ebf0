"""Draw a scene: background, then every object of every group, and say where each was drawn.

All choices come from the scene's `layout_seed` and are made in fractions of the picture, so a scene looks
the same at every size in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cir.world.backgrounds import HELD_OUT_VARIANTS, TRAINING_VARIANTS, background_image
from cir.world.scene import Scene
from cir.world.sprites import rim_mask, sprite_aspect, sprite_image
from cir.world.vocabulary import Sprite, load_nouns

__all__ = ["HELD_OUT_VARIANTS", "TRAINING_VARIANTS", "Box", "RenderedScene", "render_scene"]

LONG_SIDES = {"small": 0.27, "normal": 0.41, "large": 0.56}  # of a lone object, in fractions of the picture
GROUP_JITTER = 0.07
OBJECT_JITTER = 0.03
MARGIN = 0.025
GAP = 0.025  # between groups
MAX_HEIGHT = 0.86
BOTTOMS = (0.72, 0.93)  # where objects may stand
HORIZON = 0.6  # no shadow falls above it
FLOATING = ("underwater", "space")
# count -> ways to stand together: (x, height above the group's foot) of each object's lower edge, in widths
# and heights of one object, the rear ones first. Neighbours share at most 6 % of their boxes before jitter.
ARRANGEMENTS: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {
    1: (((0.0, 0.0),),),
    2: (((-0.5, 0.0), (0.5, 0.0)), ((0.28, 0.90), (-0.28, 0.0)), ((0.08, 0.96), (-0.08, 0.0))),
    3: (
        ((0.0, 0.91), (-0.5, 0.0), (0.5, 0.0)),
        ((-1.0, 0.0), (0.0, 0.0), (1.0, 0.0)),
        ((0.06, 1.94), (-0.06, 0.97), (0.06, 0.0)),
    ),
}
NIGHT_LIGHT = (0.84, 0.85, 0.96)  # factor of each channel of what stands in the open
SUNSET_LIGHT = (1.0, 0.96, 0.93)


@dataclass(frozen=True, slots=True)
class Box:
    """Where one object of group `group_index` is: fractions of the picture, 0..1, from the top left."""

    group_index: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """The RGB picture and one box for every drawn object, in the order of drawing within each group."""

    image: Image.Image
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What all objects of one group share."""

    sprite: Sprite
    colour: str | None
    mirrored: bool


_Extent = tuple[float, float, float, float]  # left, top, right, bottom; heights below 0 are above the foot


def _cluster(count: int, width: float, height: float, factors: Sequence[float], way: int) -> list[_Extent]:
    """Place the objects of a group around its own foot at (0, 0)."""
    boxes = []
    for (x, up), factor in zip(ARRANGEMENTS[count][way], factors, strict=True):
        centre, foot, w, h = x * width, -up * height, width * factor, height * factor
        boxes.append((centre - w / 2, foot - h, centre + w / 2, foot))
    return boxes


def _hull(boxes: Sequence[_Extent]) -> _Extent:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _choose_clusters(scene: Scene, aspects: Sequence[float], rng: np.random.Generator) -> list[list[_Extent]]:
    """Arrange every group so that all fit side by side with as little shrinking as can be."""
    options: list[list[list[_Extent]]] = []
    for group, aspect in zip(scene.groups, aspects, strict=True):
        side = LONG_SIDES[group.size] * float(rng.uniform(1 - GROUP_JITTER, 1 + GROUP_JITTER))
        width, height = min(side, side * aspect), min(side, side / aspect)
        factors = rng.uniform(1 - OBJECT_JITTER, 1 + OBJECT_JITTER, group.count).tolist()
        ways = range(len(ARRANGEMENTS[group.count]))
        options.append([_cluster(group.count, width, height, factors, way) for way in ways])
    hulls = [[_hull(cluster) for cluster in ways] for ways in options]
    room = 1 - 2 * MARGIN - GAP * (len(options) - 1)
    scales = {}
    for ways in product(*(range(len(o)) for o in options)):
        chosen = [hulls[i][way] for i, way in enumerate(ways)]
        widths = sum(h[2] - h[0] for h in chosen)
        scales[ways] = min(1.0, room / widths, MAX_HEIGHT / max(h[3] - h[1] for h in chosen))
    good = [ways for ways, scale in scales.items() if scale > 0.85 * max(scales.values())]
    if scene.background in FLOATING:
        ways = good[int(rng.integers(len(good)))]
    else:  # on the ground, side by side looks more natural than one above the other
        ways = min(
            good, key=lambda ways: sum(hulls[i][way][3] - hulls[i][way][1] for i, way in enumerate(ways))
        )
    scale = scales[ways]
    return [[tuple(v * scale for v in box) for box in options[i][way]] for i, way in enumerate(ways)]


def _place(scene: Scene, clusters: Sequence[Sequence[_Extent]], rng: np.random.Generator) -> list[Box]:
    """Spread the groups from left to right and stand them on the ground, or let them float."""
    hulls = [_hull(cluster) for cluster in clusters]
    free = 1 - 2 * MARGIN - sum(h[2] - h[0] for h in hulls) - GAP * (len(hulls) - 1)
    # the gaps between groups get twice the share of the outer ones
    shares = rng.uniform(0.6, 1.4, len(hulls) + 1) * np.array([1.0, *[2.0] * (len(hulls) - 1), 1.0])
    spaces = (free * shares / shares.sum()).tolist()
    boxes = []
    x = MARGIN
    for index, (cluster, hull) in enumerate(zip(clusters, hulls, strict=True)):
        x += spaces[index] + (GAP if index else 0.0)
        height = hull[3] - hull[1]
        if scene.background in FLOATING:
            foot = float(rng.uniform(0.06 + height, 0.94)) if height < 0.88 else 0.94
        else:
            foot = float(rng.uniform(max(BOTTOMS[0], min(BOTTOMS[1], 0.05 + height)), BOTTOMS[1]))
        dx, dy = x - hull[0], foot - hull[3]
        boxes += [
            Box(index, left + dx, top + dy, right + dx, bottom + dy) for left, top, right, bottom in cluster
        ]
        x += hull[2] - hull[0]
    return boxes


@lru_cache(maxsize=512)
def _shadow(width_px: int) -> Image.Image:
    """A soft flat ellipse, `width_px` wide: an L mask."""
    height, scale = max(4, width_px // 5), 2
    mask = Image.new("L", (width_px * scale, height * scale))
    inset = height * scale // 4
    ImageDraw.Draw(mask).ellipse((inset, inset, mask.width - inset, mask.height - inset), fill=84)
    return mask.reduce(scale).filter(ImageFilter.BoxBlur(max(1, height / 6)))


@lru_cache(maxsize=8)
def _light_table(light: tuple[float, float, float]) -> list[int]:
    return [round(level * factor) for factor in (*light, 1.0) for level in range(256)]


def _rim_colour(scene: Scene) -> tuple[int, int, int] | None:
    if scene.time == "night" or scene.background == "space":
        return (150, 166, 214)
    return (150, 168, 196) if scene.background == "snow" else None


def _paste_object(canvas: Image.Image, scene: Scene, look: _Look, box: Box) -> None:
    size = canvas.width
    side = max(box.right - box.left, box.bottom - box.top) * size
    picture = sprite_image(look.sprite, side, look.colour, look.mirrored)
    left = round((box.left + box.right) / 2 * size - picture.width / 2)
    top = round(box.bottom * size) - picture.height
    if scene.background not in FLOATING and box.bottom > HORIZON:
        shadow = _shadow(max(6, 2 * round(picture.width * 0.48)))
        foot = top + picture.height - round(shadow.height * 0.58)
        canvas.paste((16, 20, 36), (left + (picture.width - shadow.width) // 2, foot), shadow)
    rim = _rim_colour(scene)
    if rim:
        width = max(1, round(size / 160))
        mask = rim_mask(look.sprite, side, look.mirrored, width)
        canvas.paste(rim, (left - 2 * width, top - 2 * width), mask)
    alpha = picture
    if scene.time in ("night", "sunset"):
        picture = picture.point(_light_table(NIGHT_LIGHT if scene.time == "night" else SUNSET_LIGHT))
    canvas.paste(picture, (left, top), alpha)


def render_scene(
    scene: Scene, size_px: int = 256, *, variants: tuple[int, ...] = TRAINING_VARIANTS
) -> RenderedScene:
    """Draw a scene.

    Args:
        scene: What to draw; its `layout_seed` chooses how.
        size_px: Side of the square picture.
        variants: The drawings of the background to choose from.

    Returns:
        The RGB picture, which the caller owns, and one box per object, group by group.

    Raises:
        KeyError: A noun, colour or size that the world does not have.
        ValueError: A background that does not exist, or not at this time.
    """
    rng = np.random.default_rng(scene.layout_seed)
    variant = variants[int(rng.random() * len(variants))]
    nouns = load_nouns()
    looks = []
    for group in scene.groups:
        sprites = nouns[group.noun].sprites
        sprite, mirrored = sprites[int(rng.random() * len(sprites))], bool(rng.random() < 0.5)
        looks.append(_Look(sprite, group.colour, mirrored))
    clusters = _choose_clusters(scene, [sprite_aspect(look.sprite) for look in looks], rng)
    boxes = _place(scene, clusters, rng)
    canvas = background_image(scene.background, scene.time, variant, size_px).copy()
    for box in boxes:
        _paste_object(canvas, scene, looks[box.group_index], box)
    return RenderedScene(canvas, tuple(boxes))
