"""Plain grounds: whether a picture shows a thing before a single colour, and where in the picture the thing is.

A plain ground tells nothing of weather, time of day or place. Knows neither words nor networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96  # pixels: a picture is looked at as a square of so many
EDGE = 2  # pixels: how wide the border is in which the ground is looked for
SAME, OTHER = (
    12,
    20,
)  # of 255, in any channel: how near the ground's colour its own pixels are, and how far the thing's
PLAIN = 0.75  # share of the border that has the ground's colour
LEAST = 0.02  # share of the picture that a thing fills, so that it is one


@dataclass(frozen=True, slots=True)
class Ground:
    """A plain one.

    Attributes:
        colour: red, green and blue.
        thing: (SIDE, SIDE) where the picture is not the ground.
    """

    colour: tuple[int, int, int]
    thing: NDArray[np.bool_]

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Of the thing, in a picture of so many pixels: left, top, right, bottom."""
        across, down = (np.flatnonzero(self.thing.any(axis=axis)) for axis in (0, 1))
        left, right = across[0] * width // SIDE, -(-(across[-1] + 1) * width // SIDE)
        top, bottom = down[0] * height // SIDE, -(-(down[-1] + 1) * height // SIDE)
        return int(left), int(top), int(right), int(bottom)


def plain_ground(image: Image.Image) -> Ground | None:
    """The ground of an RGB image, or None where it is not plain or nothing stands before it."""
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.int16)
    inner = np.zeros((SIDE, SIDE), bool)
    inner[EDGE:-EDGE, EDGE:-EDGE] = True
    border = pixels[~inner]
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(axis=1) < SAME).mean() < PLAIN:
        return None
    thing = np.abs(pixels - colour).max(axis=2) >= OTHER
    if thing.mean() < LEAST:
        return None
    red, green, blue = (int(value) for value in colour)
    return Ground((red, green, blue), thing)


def alone(image: Image.Image, ground: Ground, margin: float) -> Image.Image:
    """The thing before its ground, in the middle of a square.

    Args:
        image: RGB, of which the ground is.
        ground: it.
        margin: share of the thing's longer side that is ground on both sides together.
    """
    thing = image.crop(ground.box(*image.size))
    side = max(1, round(max(thing.size) * (1 + margin)))
    square = Image.new("RGB", (side, side), ground.colour)
    square.paste(thing, ((side - thing.width) // 2, (side - thing.height) // 2))
    return square
