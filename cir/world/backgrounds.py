"""The 14 backgrounds of the world, drawn by rule: the outdoor ones by day, at sunset and at night.

The outdoor places are painted in `landscapes`; the four that have no time of day are painted here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from cir.world import landscapes
from cir.world.canvas import Canvas
from cir.world.vocabulary import BACKGROUNDS, OUTDOOR, TIMES

TRAINING_VARIANTS: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
HELD_OUT_VARIANTS: tuple[int, ...] = (6, 7)
CACHED_IMAGES = 320  # every background at one size


def _underwater(c: Canvas) -> None:
    c.gradient(0, 1, [(84, 200, 228), (30, 140, 204), (18, 92, 170), (16, 70, 140)])
    for _ in range(4):
        x, width, lean = c.uniform(0, 0.9), c.uniform(0.05, 0.11), c.uniform(0.1, 0.2)
        c.polygon(
            [(x, 0), (x + width, 0), (x + width * 1.9 - lean, 0.8), (x - lean, 0.8)], (220, 250, 255, 34)
        )
    c.hills(0.80, 0.03, (24, 92, 138), 1.3)
    c.hills(0.89, 0.018, (222, 200, 146), 0.9)
    c.specks(20, 0.92, 1, 0.007, [(196, 170, 118), (240, 222, 176)])
    for side in (0.0, 1.0):
        for _ in range(4):
            x, foot, height, phase = (
                abs(side - c.uniform(0.01, 0.14)),
                0.93,
                c.uniform(0.2, 0.42),
                c.uniform(0, 6),
            )
            points = [
                (x + 0.014 * np.sin(phase + t * 9), foot - t * height) for t in np.linspace(0, 1, 14).tolist()
            ]
            c.line(points, 0.022, (36, 146, 96) if c.uniform(0, 1) < 0.6 else (84, 176, 84))
        x = abs(side - c.uniform(0.04, 0.12))
        for dx, h in ((-0.05, 0.08), (0, 0.13), (0.045, 0.09)):
            c.line([(x, 0.95), (x + dx, 0.95 - h)], 0.026, (240, 116, 118))
            c.ellipse(x + dx, 0.95 - h, 0.018, 0.018, (240, 116, 118))
    for x, y, r in c.rng.uniform((0.03, 0.04, 0.008), (0.97, 0.8, 0.019), (15, 3)).tolist():
        c.ellipse(x, y, r, r, (226, 248, 255, 96))
        c.ellipse(x - r * 0.3, y - r * 0.3, r * 0.3, r * 0.3, (255, 255, 255, 220))


def _space(c: Canvas) -> None:
    c.gradient(0, 1, [(12, 10, 38), (30, 20, 72), (18, 14, 52)])
    for _ in range(3):
        c.glow(
            c.uniform(0, 1),
            c.uniform(0, 1),
            c.uniform(0.25, 0.4),
            ((150, 60, 190), (40, 90, 200))[c.rng.integers(2)],
            6,
        )
    for x, y, r in c.rng.uniform((0, 0, 0.0014), (1, 1, 0.006), (90, 3)).tolist():
        c.ellipse(
            x, y, r, r, ((255, 255, 255), (255, 236, 190), (190, 214, 255))[c.rng.integers(3)], lit=True
        )
    left = c.uniform(0, 1) < 0.5
    x, y, r = (
        c.uniform(0.05, 0.2) if left else c.uniform(0.8, 0.95),
        c.uniform(0.08, 0.16),
        c.uniform(0.12, 0.16),
    )
    base = [(226, 140, 90), (96, 170, 200), (196, 120, 190), (214, 182, 110)][int(c.rng.integers(4))]
    c.ellipse(x, y, r, r, base)
    c.ellipse(x - 0.25 * r, y - 0.25 * r, 0.55 * r, 0.5 * r, (255, 255, 255, 44))
    c.line([(x - 1.7 * r, y + 0.5 * r), (x + 1.7 * r, y - 0.5 * r)], 0.016, (250, 226, 176, 210))
    c.ellipse(1 - x + 0.04, y + 0.1, 0.04, 0.04, (176, 180, 196))
    c.ellipse(c.uniform(0.3, 0.7), 1.42, 0.95, 0.56, (104, 100, 132))
    for _ in range(5):
        c.ellipse(c.uniform(0.1, 0.9), c.uniform(0.93, 0.98), c.uniform(0.03, 0.06), 0.012, (82, 78, 110))


def _kitchen(c: Canvas) -> None:
    wall = [(250, 240, 222), (226, 240, 236), (250, 232, 220), (232, 238, 248)][int(c.rng.integers(4))]
    c.rectangle(0, 0, 1, 0.6, wall)
    for i in range(11):
        c.line([(i / 10, 0), (i / 10, 0.58)], 0.005, (208, 206, 200))
        c.line([(0, i * 0.1 - 0.02), (1, i * 0.1 - 0.02)], 0.005, (208, 206, 200))
    doors = [(110, 160, 166), (196, 146, 100), (130, 160, 120), (150, 150, 176)][int(c.rng.integers(4))]
    c.rectangle(0, 0, 1, 0.20, tuple(int(v * 0.85) for v in doors))
    for i in range(4):
        c.rectangle(i * 0.25 + 0.012, -0.03, i * 0.25 + 0.238, 0.185, doors, radius=0.012)
        c.rectangle(i * 0.25 + 0.10, 0.15, i * 0.25 + 0.15, 0.163, (244, 236, 214), radius=0.006)
    hood = c.uniform(0.15, 0.85)
    c.polygon(
        [
            (hood - 0.08, 0.0),
            (hood + 0.08, 0),
            (hood + 0.08, 0.2),
            (hood + 0.16, 0.27),
            (hood - 0.16, 0.27),
            (hood - 0.08, 0.2),
        ],
        (190, 196, 202),
    )
    c.rectangle(hood - 0.165, 0.265, hood + 0.165, 0.295, (158, 164, 172))
    c.gradient(0.575, 0.96, [(222, 172, 118), (202, 150, 98)])
    c.rectangle(0, 0.565, 1, 0.58, (176, 124, 78))
    for _ in range(8):
        x, y = c.uniform(0, 0.8), c.uniform(0.60, 0.94)
        c.line([(x, y), (x + c.uniform(0.1, 0.3), y)], 0.004, (184, 132, 84, 150))
    c.rectangle(0, 0.955, 1, 1, (150, 104, 66))


def _room(c: Canvas) -> None:
    wall = [(240, 214, 196), (190, 212, 206), (214, 204, 228), (240, 226, 180)][int(c.rng.integers(4))]
    c.rectangle(0, 0, 1, 0.56, wall)
    for i in range(13):
        c.rectangle(i / 12 - 0.02, 0, i / 12 + 0.02, 0.56, (255, 255, 255, 40))
    x = c.uniform(0.28, 0.72)
    c.rectangle(x - 0.15, 0.07, x + 0.15, 0.37, (252, 250, 246))
    c.rectangle(x - 0.13, 0.09, x + 0.13, 0.35, (162, 214, 244))
    c.ellipse(x - 0.03, 0.27, 0.06, 0.025, (255, 255, 255, 200))
    c.rectangle(x - 0.008, 0.09, x + 0.008, 0.35, (252, 250, 246))
    c.rectangle(x - 0.13, 0.21, x + 0.13, 0.224, (252, 250, 246))
    curtain = [(206, 84, 84), (84, 130, 176), (96, 150, 110), (226, 160, 80)][int(c.rng.integers(4))]
    for side in (-1, 1):
        c.polygon(
            [
                (x + side * 0.22, 0.05),
                (x + side * 0.07, 0.05),
                (x + side * 0.15, 0.24),
                (x + side * 0.13, 0.45),
                (x + side * 0.22, 0.45),
            ],
            curtain,
        )
    c.line([(x - 0.25, 0.05), (x + 0.25, 0.05)], 0.014, (128, 90, 62))
    c.gradient(0.56, 1, [(190, 138, 92), (168, 116, 74)])
    for i in range(-6, 17):
        c.line([(i / 10, 0.56), (0.5 + (i / 10 - 0.5) * 2.2, 1)], 0.004, (150, 102, 64))
    c.rectangle(0, 0.535, 1, 0.57, (250, 246, 238))
    rug = [(176, 70, 80), (70, 104, 150), (90, 128, 104), (150, 100, 150)][int(c.rng.integers(4))]
    c.ellipse(0.5, 0.81, 0.50, 0.17, tuple(int(v * 0.8) for v in rug))
    c.ellipse(0.5, 0.81, 0.46, 0.15, (240, 222, 190))
    c.ellipse(0.5, 0.81, 0.43, 0.137, rug)


_PAINTERS: dict[str, Callable[[Canvas], None]] = {
    **{name: getattr(landscapes, name) for name in OUTDOOR},
    "underwater": _underwater,
    "space": _space,
    "kitchen": _kitchen,
    "room": _room,
}


@lru_cache(maxsize=CACHED_IMAGES)
def background_image(name: str, time: str, variant: int, size_px: int) -> Image.Image:
    """Return one drawing of a background: the same arguments give the same pixels.

    Args:
        name: A key of `BACKGROUNDS`.
        time: "day", "sunset" or "night" outdoors, otherwise "".
        variant: Seeds the layout and a small shift of the hues; one variant is the same place at every time.
        size_px: Side of the square picture.

    Returns:
        An RGB image that the cache shares: do not draw on it.

    Raises:
        ValueError: No such background, or a time that it does not have.
    """
    if name not in BACKGROUNDS or time not in (TIMES if name in OUTDOOR else ("",)):
        raise ValueError(f"there is no background {name!r} at time {time!r}")
    canvas = Canvas(2 * size_px, time, np.random.default_rng((zlib.crc32(name.encode()), variant)))
    _PAINTERS[name](canvas)
    return canvas.image.reduce(2)
