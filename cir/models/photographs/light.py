"""What simple statistics of the pixels tell of a picture: its colours, its light, sky, snow, plants and water.

Numbers between 0 and 1, without any training. Of a thing before a plain ground only the thing counts: a black ground is
no night, a white one no snow. Knows neither words nor networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.models.photographs.ground import SIDE, plain_ground

TOP, BOTTOM = slice(0, 38), slice(58, SIDE)
COLOUR_SHARE = 0.12  # of the picture: a colour that fills as much counts 1 - 1/e
Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Planes of a picture, (SIDE, SIDE) each: hue in degrees, the others between 0 and 1."""

    hue: Plane
    saturation: Plane
    value: Plane
    chroma: Plane
    least: Plane
    luminance: Plane
    smooth: NDArray[np.bool_]

    def between(self, low: float, high: float) -> NDArray[np.bool_]:
        """Where the hue is in [low, high)."""
        return (self.hue >= low) & (self.hue < high)


def light_of(image: Image.Image) -> dict[str, float]:
    """Attribute -> strength in [0, 1]; the names are those of `lexicon`."""
    rgb = image.convert("RGB")
    pixels, ground = _planes(rgb), plain_ground(rgb)
    counted = slice(None) if ground is None else ground.thing
    colours = {
        name: _fills(float(mask[counted].mean()), COLOUR_SHARE)
        for name, mask in _colour_masks(pixels).items()
    }
    grey = {"monochrome": _between(0.04 - float(pixels.chroma[counted].mean()), 0.03)}
    return colours | grey | (_scene(pixels) if ground is None else {})


def _planes(image: Image.Image) -> _Pixels:
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    rgb = np.asarray(small, dtype=np.float32) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value, least = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = value - least
    some = np.maximum(chroma, 1e-6)
    sector = np.where(
        value == red,
        ((green - blue) / some) % 6,
        np.where(value == green, (blue - red) / some + 2, (red - green) / some + 4),
    )
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    change = np.zeros_like(luminance)
    change[1:] += np.abs(np.diff(luminance, axis=0))
    change[:, 1:] += np.abs(np.diff(luminance, axis=1))
    hue = np.where(chroma > 1e-6, 60 * sector, 0)
    return _Pixels(
        hue,
        chroma / np.maximum(value, 1e-6),
        value,
        chroma,
        least,
        luminance.astype(np.float32),
        np.asarray(change < 0.04),
    )


def _colour_masks(p: _Pixels) -> Mapping[str, NDArray[np.bool_]]:
    strong = (p.saturation > 0.35) & (p.value > 0.25) & (p.chroma > 0.15)
    return {
        "red": strong & ((p.hue < 14) | (p.hue >= 344)),
        "orange": strong & p.between(14, 38) & (p.value > 0.55) & (p.saturation > 0.5),
        "yellow": strong & p.between(38, 66) & (p.value > 0.5),
        "brown": p.between(8, 45)
        & (p.saturation > 0.25)
        & (p.chroma > 0.06)
        & (abs(p.value - 0.375) < 0.225),
        "green": p.between(66, 170) & (p.saturation > 0.2) & (p.chroma > 0.06) & (p.value > 0.15),
        "blue": p.between(170, 255) & (p.saturation > 0.25) & (p.chroma > 0.1) & (p.value > 0.2),
        "purple": p.between(255, 300) & (p.saturation > 0.2) & (p.chroma > 0.08) & (p.value > 0.2),
        "pink": p.between(300, 350) & (p.saturation > 0.15) & (p.chroma > 0.1) & (p.value > 0.5),
        "black": p.value < 0.16,
        "white": (p.least > 0.78) & (p.saturation < 0.15),
        "grey": (p.saturation < 0.12) & (abs(p.value - 0.49) < 0.29),
    }


def _scene(p: _Pixels) -> dict[str, float]:
    lit, dark = float(p.luminance.mean()), float((p.luminance < 0.2).mean())
    bluish, warm = p.between(180, 250) & (p.saturation > 0.12), (p.hue < 50) | (p.hue > 320)
    above = p.smooth & (p.value > 0.55) & (bluish | (p.saturation < 0.15))
    blue_above = p.smooth & bluish & (p.value > 0.35)
    glow = (warm & p.smooth & (p.saturation > 0.35) & (p.value > 0.35))[: BOTTOM.start]
    cold_white = (p.value > 0.65) & (p.saturation < 0.22) & (p.between(170, 270) | (p.saturation < 0.08))
    leaves = p.between(60, 165) & (p.saturation > 0.2) & (p.chroma > 0.06) & (p.value > 0.12)
    wet = bluish & (p.saturation > 0.2) & (abs(p.value - 0.525) < 0.375)
    fall = float(p.luminance[TOP].mean() - p.luminance[BOTTOM].mean())
    return {
        "night": _between(dark - 0.45, 0.3) * _between(0.35 - lit, 0.15),
        "dark": _between(0.4 - lit, 0.2),
        "bright": _between(lit - 0.5, 0.25),
        "sunset": _fills(float(glow.mean()), 0.15) * _between(0.62 - lit, 0.2) * _between(fall, 0.15),
        "snow": _fills(float(cold_white[BOTTOM].mean()) - 0.2, 0.3),
        "sky": _fills(float(above[TOP].mean() + blue_above[TOP].mean()), 0.3),
        "greenery": _fills(float(leaves.mean()) - 0.1, 0.25),
        "water": _fills(float(wet[BOTTOM].mean()) - 0.15, 0.3),
    }


def _fills(share: float, scale: float) -> float:
    """0 for nothing, 1 - 1/e at `scale`, towards 1 beyond it."""
    return float(1 - np.exp(-max(share, 0.0) / scale))


def _between(value: float, span: float) -> float:
    """`value / span` within [0, 1]."""
    return float(np.clip(value / span, 0.0, 1.0))
