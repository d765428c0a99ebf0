"""The ten outdoor places: each function paints one on a canvas, in the light of the canvas's time.

The ground, from about 45 % of the height downwards, is kept calm, so that what stands on it stays readable.
"""

from __future__ import annotations

import numpy as np

from cir.world.canvas import Canvas


def beach(c: Canvas) -> None:
    """Sand, a foamy waterline, the sea."""
    c.sky(0.40)
    if c.uniform(0, 1) < 0.6:
        c.ellipse(c.uniform(0.1, 0.9), 0.40, c.uniform(0.12, 0.2), 0.035, (92, 148, 120))
    c.gradient(0.385, 0.60, [(24, 118, 190), (44, 160, 208), (120, 214, 218)])
    for y in (0.42, 0.455, 0.49):
        for _ in range(4):
            x = c.uniform(0, 0.9)
            c.line([(x, y), (x + c.uniform(0.05, 0.12), y)], 0.006, (214, 240, 250, 130))
    xs = np.linspace(0, 1, 41)
    wave = 0.012 * np.sin(xs * 9 + c.uniform(0, 6)) + 0.006 * np.sin(xs * 23 + c.uniform(0, 6))
    for y, colour in ((0.545, (252, 254, 250)), (0.562, (214, 182, 128)), (0.588, (244, 218, 162))):
        c.polygon([(0, 1), *zip(xs.tolist(), (y + wave).tolist(), strict=True), (1, 1)], colour)
    c.specks(46, 0.64, 1.0, 0.006, [(226, 196, 138), (252, 232, 186), (214, 180, 124)])


def forest(c: Canvas) -> None:
    """Three depths of pines around a clearing."""
    c.sky(0.5, clouds=1)
    c.hills(0.32, 0.03, (150, 196, 160))
    layers = (
        (0.47, 0.30, 13, (96, 156, 110)),
        (0.51, 0.42, 10, (58, 126, 78)),
        (0.56, 0.56, 6, (32, 94, 56)),
    )
    for foot, height, count, colour in layers:
        c.rectangle(0, foot - 0.06, 1, foot + 0.02, tuple(int(v * 0.8) for v in colour))
        for i in range(count):
            x = (i + c.uniform(0.2, 0.8)) / count
            # the tallest stand at the sides, as around a clearing
            tall = height * c.uniform(0.8, 1.0) * (0.72 + 0.5 * abs(x - 0.5))
            c.pine(x, foot + c.uniform(0, 0.015), tall, colour)
    c.gradient(0.555, 1, [(74, 124, 58), (88, 138, 64), (66, 112, 52)])
    c.ellipse(c.uniform(0.35, 0.65), 1.02, 0.42, 0.36, (112, 146, 76, 90))
    c.specks(22, 0.58, 1, 0.009, [(60, 104, 48), (108, 150, 70)])


def _buildings(
    c: Canvas, foot: float, low: float, high: float, colours: list[tuple[int, ...]], windows: bool
) -> None:
    x = -0.02
    while x < 1:
        width, top = c.uniform(0.11, 0.18), foot - c.uniform(low, high)
        colour = colours[int(c.rng.integers(len(colours)))]
        c.rectangle(x, top, x + width - 0.006, foot, colour)
        c.rectangle(x + width * 0.8, top, x + width - 0.006, foot, (0, 0, 20, 34))
        for row in range(int((foot - top - 0.03) / 0.045) if windows else 0):
            for column in range(3):
                left, y = x + width * (0.13 + 0.26 * column), top + 0.022 + row * 0.045
                lamp = c.uniform(0, 1) < {"night": 0.6, "sunset": 0.35, "day": 0}[c.time]
                c.rectangle(
                    left,
                    y,
                    left + width * 0.15,
                    y + 0.024,
                    (255, 222, 120) if lamp else (206, 232, 246),
                    lit=lamp,
                )
        x += width


def city(c: Canvas) -> None:
    """Two rows of buildings, a pavement, a street."""
    c.sky(0.56, clouds=2)
    _buildings(c, 0.56, 0.22, 0.42, [(158, 186, 212), (146, 174, 204)], windows=False)
    palette = [(214, 128, 104), (112, 142, 188), (232, 190, 130), (140, 160, 156), (176, 134, 168)]
    _buildings(c, 0.57, 0.16, 0.36, palette, windows=True)
    c.rectangle(0, 0.565, 1, 0.66, (196, 196, 198))
    for i in range(9):
        c.line([(i / 8 - 0.03, 0.66), (0.5 + (i / 8 - 0.53) * 0.8, 0.565)], 0.004, (172, 172, 178))
    c.rectangle(0, 0.655, 1, 0.675, (226, 224, 218))
    c.gradient(0.675, 1, [(110, 114, 124), (92, 96, 106)])
    for i in range(5):
        c.rectangle(i * 0.25 - 0.08, 0.945, i * 0.25 + 0.06, 0.965, (236, 232, 214))


def desert(c: Canvas) -> None:
    """Table mountains and dunes."""
    c.sky(0.5, clouds=1)
    for _ in range(2):
        x, width, top = c.uniform(0.05, 0.85), c.uniform(0.1, 0.2), c.uniform(0.27, 0.34)
        c.polygon(
            [(x - width, 0.5), (x - width * 0.7, top), (x + width * 0.6, top), (x + width, 0.5)],
            (206, 120, 78),
        )
        c.polygon(
            [(x + width * 0.2, 0.5), (x + width * 0.3, top), (x + width * 0.6, top), (x + width, 0.5)],
            (178, 98, 66),
        )
    c.hills(0.46, 0.035, (236, 186, 112), 1.1)
    x = c.uniform(0.25, 0.75)
    c.polygon([(x - 0.55, 0.62), (x, 0.41), (x + 0.12, 0.47), (x + 0.06, 0.62)], (248, 206, 132))
    c.polygon([(x, 0.41), (x + 0.5, 0.62), (x + 0.02, 0.62), (x + 0.09, 0.52)], (220, 160, 92))
    c.hills(0.58, 0.025, (242, 196, 122), 0.9)
    c.hills(0.78, 0.03, (234, 184, 108), 0.8)
    for _ in range(9):
        x, y = c.uniform(0, 0.9), c.uniform(0.64, 0.97)
        c.line([(x, y), (x + 0.05, y - 0.006), (x + 0.11, y)], 0.005, (214, 160, 88, 150))


def snow(c: Canvas) -> None:
    """White hills, pines under snow, falling flakes."""
    c.sky(0.5, clouds=2)
    c.hills(0.40, 0.04, (196, 216, 238), 1.0)
    for _ in range(9):
        foot = c.uniform(0.47, 0.52)
        c.pine(c.uniform(0.02, 0.98), foot, c.uniform(0.13, 0.24), (70, 120, 116), snow=True)
    c.hills(0.51, 0.02, (232, 240, 250), 1.2)
    c.hills(0.68, 0.02, (222, 233, 247), 0.9)
    c.hills(0.82, 0.02, (238, 245, 252), 0.8)
    for x, y, r in c.rng.uniform((0, 0, 0.004), (1, 0.62, 0.009), (46, 3)).tolist():
        c.ellipse(x, y, r, r, (255, 255, 255, 220), lit=c.time == "day")


def field(c: Canvas) -> None:
    """Green hills and tufts of grass."""
    c.sky(0.5)
    c.hills(0.42, 0.03, (150, 206, 118), 1.0)
    c.hills(0.47, 0.03, (118, 188, 88), 0.9)
    c.hills(0.54, 0.02, (102, 176, 74), 0.8)
    c.gradient(0.60, 1, [(102, 176, 74), (78, 152, 58)])
    for _ in range(52):
        x, y = c.uniform(0, 1), c.uniform(0.60, 0.99)
        h = 0.012 + 0.028 * (y - 0.55)
        for lean in (-0.6, 0, 0.6):
            c.line([(x, y), (x + lean * h, y - h * 1.4)], 0.005, (64, 134, 50))


def mountains(c: Canvas) -> None:
    """Two ranges with snow on top above a meadow."""
    c.sky(0.5, clouds=2)
    for base, count, low, high, colour in (
        (0.52, 4, 0.26, 0.36, (150, 170, 204)),
        (0.54, 3, 0.34, 0.46, (110, 126, 158)),
    ):
        for i in range(count):
            x, height = (i + c.uniform(0.2, 0.8)) / count, c.uniform(low, high)
            half = height * c.uniform(0.75, 0.95)
            top = base - height
            c.polygon([(x - half, base), (x, top), (x + half, base)], colour)
            c.polygon(
                [(x, top), (x + half, base), (x + 0.1 * half, base), (x - 0.06 * half, top + 0.5 * height)],
                tuple(int(v * 0.82) for v in colour),
            )
            snow = [
                (0, 0),
                (-0.34, 0.34),
                (-0.18, 0.28),
                (-0.05, 0.40),
                (0.1, 0.29),
                (0.22, 0.37),
                (0.33, 0.33),
            ]
            c.polygon([(x + dx * half, top + dy * height) for dx, dy in snow], (250, 252, 255))
    c.hills(0.52, 0.02, (92, 138, 96), 1.2)
    c.hills(0.58, 0.02, (124, 166, 98), 0.9)
    c.gradient(0.63, 1, [(124, 166, 98), (102, 146, 82)])
    c.specks(24, 0.62, 1, 0.014, [(150, 156, 158), (126, 132, 138), (100, 140, 80)])


def lake(c: Canvas) -> None:
    """A lake before wooded hills, seen from a shore with reeds."""
    c.sky(0.42, clouds=2)
    c.hills(0.33, 0.035, (126, 170, 162), 0.9)
    c.hills(0.385, 0.02, (66, 126, 88), 1.4)
    for i in range(16):
        c.ellipse(i / 15, 0.395, c.uniform(0.03, 0.06), c.uniform(0.03, 0.055), (54, 112, 74))
    c.gradient(0.425, 0.78, [(52, 104, 140), (66, 140, 190), (98, 172, 214)])
    for i in range(14):
        c.ellipse(i / 13, 0.425, 0.06, c.uniform(0.015, 0.035), (44, 92, 96, 120))
    c.rectangle(0, 0.415, 1, 0.428, (160, 168, 120))
    for _ in range(15):
        x, y = c.uniform(-0.05, 0.95), c.uniform(0.46, 0.64)
        c.line([(x, y), (x + c.uniform(0.05, 0.16), y)], 0.006, (196, 226, 244, 120))
    c.hills(0.69, 0.018, (206, 190, 140), 0.7)
    c.hills(0.72, 0.018, (120, 176, 88), 0.7)
    for side in (0.0, 1.0):
        for _ in range(6):
            x, y = abs(side - c.uniform(0.005, 0.10)), c.uniform(0.66, 0.76)
            top = y - c.uniform(0.12, 0.2)
            c.line([(x, y), (x, top)], 0.007, (74, 120, 62))
            c.line([(x, top), (x, top + 0.045)], 0.016, (120, 82, 50))


def road(c: Canvas) -> None:
    """A road that runs to the horizon between posts."""
    c.sky(0.45)
    c.hills(0.41, 0.03, (140, 186, 130), 1.0)
    c.hills(0.45, 0.012, (134, 180, 92), 1.0)
    c.gradient(0.47, 1, [(140, 186, 96), (116, 164, 76)])
    x = c.uniform(0.4, 0.6)
    c.polygon([(x - 0.035, 0.45), (x + 0.035, 0.45), (1.22, 1), (-0.22, 1)], (226, 222, 204))
    c.polygon([(x - 0.03, 0.45), (x + 0.03, 0.45), (1.16, 1), (-0.16, 1)], (98, 102, 112))
    for near in (0.03, 0.10, 0.20, 0.34, 0.52, 0.76):
        dash = []
        for t, sides in ((near, (-1, 1)), (near * 1.28 + 0.01, (1, -1))):
            centre, half = x + (0.5 - x) * t, 0.0016 + 0.022 * t
            dash += [(centre + side * half, 0.45 + 0.55 * t) for side in sides]
        c.polygon(dash, (252, 220, 110))
    for side in (-1, 1):
        for t in (0.05, 0.12, 0.22, 0.36):
            post_x, y, h = x + side * (0.07 + 0.66 * t), 0.45 + 0.55 * t, 0.03 + 0.2 * t
            c.rectangle(post_x - 0.1 * h, y - h, post_x + 0.1 * h, y, (246, 246, 242))
            c.rectangle(post_x - 0.1 * h, y - 0.8 * h, post_x + 0.1 * h, y - 0.6 * h, (214, 60, 50))


def garden(c: Canvas) -> None:
    """A lawn and flowers before a white fence and bushes."""
    c.sky(0.45, clouds=2)
    for i in range(12):
        c.ellipse(
            i / 11,
            0.42,
            c.uniform(0.06, 0.09),
            c.uniform(0.09, 0.15),
            (70, 140, 74) if i % 2 else (84, 156, 82),
        )
    c.rectangle(0, 0.42, 1, 0.6, (64, 130, 66))
    for y in (0.40, 0.50):
        c.rectangle(0, y, 1, y + 0.028, (232, 228, 220))
    for i in range(15):
        x = i / 14
        c.polygon(
            [(x - 0.022, 0.57), (x - 0.022, 0.36), (x, 0.325), (x + 0.022, 0.36), (x + 0.022, 0.57)],
            (252, 250, 244),
        )
        c.rectangle(x + 0.012, 0.36, x + 0.022, 0.57, (220, 216, 210))
    c.gradient(0.565, 1, [(112, 184, 84), (94, 164, 70)])
    palette = [(244, 90, 110), (255, 206, 70), (250, 150, 200), (255, 255, 255), (164, 106, 214)]
    spots = [(c.uniform(0, 1), c.uniform(0.555, 0.60)) for _ in range(34)]
    spots += [(abs(side - c.uniform(0, 0.16)), c.uniform(0.9, 0.99)) for side in (0, 1) for _ in range(9)]
    for i, (x, y) in enumerate(spots):
        r = 0.010 if y < 0.7 else 0.016
        c.line([(x, y), (x, y + 2.6 * r)], 0.006, (54, 124, 50))
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            c.ellipse(x + dx * r * 0.8, y + dy * r * 0.8, r * 0.8, r * 0.8, palette[i % 5])
        c.ellipse(x, y, r * 0.6, r * 0.6, (255, 226, 120) if i % 5 != 1 else (206, 120, 40))
