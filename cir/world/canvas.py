"""A small drawing surface for the backgrounds: fractions as coordinates, and the light of a time of day.

Every colour is given as it looks by day and is graded for sunset and night when it is drawn, unless it
shines by itself (`lit`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, ...]  # red, green, blue and, where it is translucent, alpha: 0..255
Point = tuple[float, float]  # x to the right, y downwards, fractions of the picture

# time -> (factor of each channel, colour mixed in, share of the mix)
GRADES = {
    "sunset": ((0.90, 0.78, 0.76), (232, 112, 84), 0.15),
    "night": ((0.42, 0.48, 0.62), (34, 46, 104), 0.22),
}
SKIES = {
    "day": ((84, 170, 238), (150, 208, 248), (222, 242, 252)),
    "sunset": ((98, 66, 142), (236, 118, 104), (255, 206, 130)),
    "night": ((8, 12, 40), (22, 30, 76), (52, 66, 122)),
}


class Canvas:
    """A square RGB picture of `size_px` pixels under construction.

    Args:
        size_px: Side in pixels; widths of lines scale with it.
        time: "day", "sunset", "night", or "" indoors, under water and in space.
        rng: Chooses the layout and the small shift of all colours.
    """

    def __init__(self, size_px: int, time: str, rng: np.random.Generator) -> None:
        self.size, self.time, self.rng = size_px, time, rng
        self.image = Image.new("RGB", (size_px, size_px))
        self._draw = ImageDraw.Draw(self.image, "RGBA")
        self._shift = rng.uniform(0.95, 1.03, 3)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two, from the picture's generator."""
        return float(self.rng.uniform(low, high))

    def shade(self, colour: Colour, lit: bool = False) -> Colour:
        """The colour as it looks at the canvas's time; alpha is kept."""
        rgb = np.asarray(colour[:3], float)
        if not lit:
            rgb = rgb * self._shift
            if self.time in GRADES:
                factor, mixed, share = GRADES[self.time]
                rgb = rgb * factor * (1 - share) + np.asarray(mixed) * share
        return (*(int(c) for c in rgb.clip(0, 255)), *colour[3:])

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.size, y * self.size) for x, y in points]

    def gradient(self, top: float, bottom: float, colours: Sequence[Colour], lit: bool = False) -> None:
        """Fill the rows from `top` to `bottom` with colours that run into one another."""
        first, last = round(top * self.size), round(bottom * self.size)
        table = np.array([self.shade(c, lit) for c in colours], float)
        rows = np.linspace(0, len(colours) - 1, max(1, last - first))
        strip = np.stack([np.interp(rows, np.arange(len(colours)), table[:, i]) for i in range(3)], axis=1)
        column = Image.fromarray(strip.round().astype(np.uint8)[:, None, :])
        self.image.paste(column.resize((self.size, len(rows))), (0, first))

    def polygon(self, points: Sequence[Point], colour: Colour, lit: bool = False) -> None:
        """A filled polygon."""
        self._draw.polygon(self._pixels(points), fill=self.shade(colour, lit))

    def rectangle(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        *,
        lit: bool = False,
        radius: float = 0.0,
    ) -> None:
        """A filled rectangle, its corners rounded by `radius`."""
        corners = self._pixels([(left, top), (right, bottom)])
        self._draw.rounded_rectangle(corners, radius * self.size, fill=self.shade(colour, lit))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, lit: bool = False) -> None:
        """A filled ellipse around (x, y)."""
        self._draw.ellipse(self._pixels([(x - rx, y - ry), (x + rx, y + ry)]), fill=self.shade(colour, lit))

    def line(self, points: Sequence[Point], width: float, colour: Colour, lit: bool = False) -> None:
        """A line of `width` (a fraction of the picture) through the points."""
        width_px = max(1, round(width * self.size))
        self._draw.line(self._pixels(points), self.shade(colour, lit), width_px, joint="curve")

    def hills(self, y: float, height: float, colour: Colour, waves: float = 1.5) -> None:
        """Smooth hills around `y`, filled down to the bottom."""
        phase, second = self.uniform(0, 6.28), self.uniform(0, 6.28)
        xs = np.linspace(0, 1, 49)
        ys = y + height * (0.65 * np.sin(xs * waves * 6.28 + phase) + 0.35 * np.sin(xs * waves * 14 + second))
        self.polygon([(0, 1), *zip(xs.tolist(), ys.tolist(), strict=True), (1, 1)], colour)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: int = 14) -> None:
        """Light that fades outwards, of translucent rings."""
        for ring in range(10, 0, -1):
            self.ellipse(x, y, radius * ring / 10, radius * ring / 10, (*colour[:3], strength), lit=True)

    def sky(self, horizon: float, clouds: int = 3) -> None:
        """Sky down to `horizon`, with the sun, or the moon and stars, and clouds."""
        self.gradient(0, horizon, SKIES[self.time], lit=True)
        x, y = self.uniform(0.12, 0.88), self.uniform(0.09, 0.16)
        if self.time == "night":
            # stars of their own, so that the rest of the place is laid out as it is by day
            stars = np.random.default_rng(int(x * 1e6))
            for sx, sy, r in stars.uniform((0, 0, 0.0016), (1, horizon * 0.9, 0.0050), (44, 3)).tolist():
                self.ellipse(sx, sy, r, r, (255, 250, 224), lit=True)
            self.glow(x, y, 0.17, (190, 205, 255), 9)
            self.ellipse(x, y, 0.06, 0.06, (250, 244, 214), lit=True)
            self.ellipse(x + 0.027, y - 0.012, 0.05, 0.05, (27, 34, 80), lit=True)
        elif self.time == "sunset":
            self.glow(x, horizon - 0.03, 0.34, (255, 214, 120), 16)
            self.ellipse(x, horizon - 0.035, 0.085, 0.085, (255, 236, 150), lit=True)
        else:
            self.glow(x, y, 0.16, (255, 246, 190), 18)
            self.ellipse(x, y, 0.062, 0.062, (255, 220, 76), lit=True)
        for _ in range(clouds):
            self.cloud(
                self.uniform(0.05, 0.95),
                self.uniform(0.06, max(0.1, horizon * 0.6)),
                self.uniform(0.10, 0.17),
            )

    def cloud(self, x: float, y: float, width: float) -> None:
        """A flat-bottomed cloud, `width` to either side of `x`."""
        alpha = {"day": 235, "sunset": 170, "night": 60}[self.time]
        colour = {"day": (255, 255, 255), "sunset": (255, 186, 170), "night": (120, 134, 190)}[self.time] + (
            alpha,
        )
        layer = Image.new("L", self.image.size)
        draw = ImageDraw.Draw(layer)
        for dx, dy, r in ((-0.55, 0.05, 0.26), (-0.1, -0.12, 0.36), (0.42, 0.02, 0.29)):
            cx, cy, radius = (x + dx * width) * self.size, (y + dy * width) * self.size, r * width * self.size
            draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=alpha)
        base = self._pixels([(x - 0.92 * width, y + 0.02 * width), (x + 0.85 * width, y + 0.32 * width)])
        draw.rounded_rectangle((*base[0], *base[1]), 0.15 * width * self.size, fill=alpha)
        self.image.paste(colour[:3], (0, 0), layer)

    def pine(self, x: float, foot: float, height: float, colour: Colour, snow: bool = False) -> None:
        """A pine tree that stands on `foot`."""
        self.rectangle(x - 0.05 * height, foot - 0.16 * height, x + 0.05 * height, foot, (104, 74, 52))
        dark = tuple(int(c * 0.86) for c in colour)
        for low, top, half in ((0.12, 0.58, 0.30), (0.36, 0.80, 0.24), (0.60, 1.0, 0.17)):
            left, right, tip = (
                (x - half * height, foot - low * height),
                (x + half * height, foot - low * height),
                (x, foot - top * height),
            )
            self.polygon([left, right, tip], colour)
            self.polygon([(x, left[1]), right, tip], dark)
            if snow:
                cap = 0.55 * half * height
                self.polygon(
                    [
                        (x - cap, tip[1] + 0.24 * height),
                        (x, tip[1] + 0.18 * height),
                        (x + cap, tip[1] + 0.24 * height),
                        tip,
                    ],
                    (246, 250, 255),
                )

    def specks(self, count: int, top: float, bottom: float, radius: float, colours: Sequence[Colour]) -> None:
        """Scattered flat dots that grow towards the viewer."""
        for i, (x, y) in enumerate(self.rng.uniform((0, top), (1, bottom), (count, 2)).tolist()):
            r = radius * (0.5 + 0.8 * (y - top) / (bottom - top))
            self.ellipse(x, y, r, r * 0.6, colours[i % len(colours)])
