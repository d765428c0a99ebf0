"""Small figures as SVG text: a heat map over (alpha, beta), and lines over one variable.

They stand inline in the page and as files beside the documents, so they bring their colours along; words outside
the coloured cells take the colour of the text around them. Knows nothing of what is drawn.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# From pale to deep pine: light enough and dark enough for words on either end.
_PALE, _DEEP = (232, 242, 239), (24, 82, 75)
_LINES = ("#2f7d74", "#8f5f16", "#7c6ca6")  # of words as well: at least 4.5 : 1 of contrast on white
_MARK = "#c68a35"
_CELL, _LEFT, _TOP = 44, 54, 14


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a heat map: what is written in it, how good it is (0 to 1), and what it says in full."""

    text: str
    goodness: float
    title: str
    mark: str = ""


def heat_map(cells: Mapping[tuple[float, float], Cell], *, spoken: str, alone: bool = False) -> str:
    """Cells over alpha (to the right) and beta (upwards).

    Args:
        cells: (alpha, beta) on an even grid -> cell. `Cell.mark` is "best" (a ring) or "now" (a dashed ring).
        spoken: what a screen reader says instead of the picture.
        alone: for a file of its own: on white, with a namespace.
    """
    alphas, betas = sorted({a for a, _ in cells}), sorted({b for _, b in cells})
    width, height = _LEFT + len(alphas) * _CELL + 8, _TOP + len(betas) * _CELL + 46
    bottom = _TOP + len(betas) * _CELL
    drawn = []
    for (a, b), cell in sorted(cells.items(), key=lambda item: bool(item[1].mark)):  # rings last, on top
        x, y = _LEFT + alphas.index(a) * _CELL, bottom - (betas.index(b) + 1) * _CELL
        drawn.append(_cell(x, y, cell))
    for i, a in enumerate(alphas):
        drawn.append(_word(_LEFT + (i + 0.5) * _CELL, bottom + 17, f"{a:g}"))
    for i, b in enumerate(betas):
        drawn.append(_word(_LEFT - 9, bottom - (i + 0.5) * _CELL + 4, f"{b:g}", anchor="end"))
    drawn.append(_word(_LEFT + len(alphas) * _CELL / 2, bottom + 38, "α  described edit", size=13))
    middle = _TOP + len(betas) * _CELL / 2
    drawn.append(
        f'<g transform="rotate(-90 14 {middle:g})">{_word(14, middle + 4, "β  image word + edit", size=13)}</g>'
    )
    return _svg(width, height, "".join(drawn), spoken, alone)


def _cell(x: float, y: float, cell: Cell) -> str:
    good = min(max(cell.goodness, 0.0), 1.0)
    colour = tuple(round(p + (d - p) * good) for p, d in zip(_PALE, _DEEP, strict=True))
    ink = "#ffffff" if good > 0.727 else "#000000"  # there both have 4.58 : 1 of contrast
    ring = {
        "best": f' stroke="{_MARK}" stroke-width="3"',
        "now": f' stroke="{_MARK}" stroke-width="2.5" stroke-dasharray="5 3"',
    }.get(cell.mark, "")
    return (
        f'<g><title>{_safe(cell.title)}</title><rect x="{x + 1:g}" y="{y + 1:g}" width="{_CELL - 2}" '
        f'height="{_CELL - 2}" rx="6" fill="rgb{colour}"{ring}/>'
        f'<text x="{x + _CELL / 2:g}" y="{y + _CELL / 2 + 4:g}" font-size="12" text-anchor="middle" '
        f'fill="{ink}">{_safe(cell.text)}</text></g>'
    )


def rank_curve(
    ranks: Mapping[float, int], *, best: float, now: float, x_label: str, y_label: str, spoken: str
) -> str:
    """Ranks over one number, the first rank on top; from rank to rank by ratios, as 4 and 18 differ like 400 and 1,800.

    Args:
        ranks: number -> rank.
        best, now: two of the numbers; the one has a ring, the other a dashed one.
        x_label, y_label: of the axes.
        spoken: what a screen reader says instead of the picture.
    """
    left, right, top, bottom = 26, 366, 56, 190  # so narrow that its words can be read on a phone
    low, high, worst = min(ranks), max(ranks), max(ranks.values())
    at = {
        x: (
            left + (x - low) / ((high - low) or 1.0) * (right - left),
            top + math.log(rank) / (math.log(worst) or 1.0) * (bottom - top),
        )
        for x, rank in sorted(ranks.items())
    }
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at.values())
    drawn = [f'<path d="{path}" fill="none" stroke="{_LINES[0]}" stroke-width="2.2"/>']
    for number, (x, y) in at.items():
        title = f"<title>{number:g}: rank {ranks[number]:,}</title>"
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_LINES[0]}">{title}</circle>')
        drawn.append(_word(round(x, 1), round(y - 15, 1), f"{ranks[number]:,}"))
        drawn.append(_word(round(x, 1), bottom + 26, f"{number:g}"))
    for number, dashes in ((best, ""), (now, ' stroke-dasharray="4 3"')):
        x, y = at[number]
        ring = f'r="{10 if dashes else 7}" fill="none" stroke="{_MARK}" stroke-width="2.5"{dashes}'
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}/>')
    drawn.append(_word((left + right) / 2, bottom + 50, x_label, size=13))
    drawn.append(_word(left - 12, top - 36, y_label, anchor="start", size=13))
    return _svg(right + 20, bottom + 60, "".join(drawn), spoken, False)


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
    spoken: str,
    alone: bool = False,
) -> str:
    """Lines through points (x, y); the highest point of each is written out."""
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = _even(min(ys), max(ys))
    width, height, left, top, right, bottom = 520, 300, 62, 34, 500, 244

    def place(x: float, y: float) -> tuple[float, float]:
        span = (xs[-1] - xs[0]) or 1.0
        return left + (x - xs[0]) / span * (right - left), bottom - (y - low) / (high - low) * (bottom - top)

    drawn = []
    for i in range(5):
        value = low + (high - low) * i / 4
        y = place(xs[0], value)[1]
        drawn.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-opacity="0.18"/>'
            + _word(left - 8, y + 4, f"{value:g}", anchor="end")
        )
    drawn += [_word(place(x, low)[0], bottom + 18, f"{x:g}") for x in xs]
    drawn.append(_word((left + right) / 2, bottom + 42, x_label, size=13))
    drawn.append(_word(left, top - 18, y_label, anchor="start", size=13))
    for i, (name, points) in enumerate(series.items()):
        drawn.append(_line(name, [place(x, y) for x, y in points], points, _LINES[i % len(_LINES)], i))
    return _svg(width, height, "".join(drawn), spoken, alone)


def decades_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
    spoken: str,
    alone: bool = False,
) -> str:
    """Lines through points (x, y), both above 0, on axes of powers of ten; the last point of each is written out."""
    xs, ys = zip(*(point for points in series.values() for point in points), strict=True)
    (low_x, high_x), (low_y, high_y) = _decades(xs), _decades(ys)
    width, height, left, top, right, bottom = 560, 360, 62, 34, 470, 304

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (math.log10(x) - low_x) / (high_x - low_x) * (right - left),
            bottom - (math.log10(y) - low_y) / (high_y - low_y) * (bottom - top),
        )

    drawn = []
    for power in range(low_y, high_y + 1):
        y = place(xs[0], 10.0**power)[1]
        drawn.append(f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-opacity="0.18"/>')
        drawn.append(_word(left - 8, y + 4, f"{10.0**power:,g}", anchor="end"))
    for power in range(low_x, high_x + 1):
        drawn.append(_word(place(10.0**power, ys[0])[0], bottom + 18, f"{10**power:,}"))
    drawn.append(_word((left + right) / 2, bottom + 42, x_label, size=13))
    drawn.append(_word(left, top - 18, y_label, anchor="start", size=13))
    for i, (name, points) in enumerate(series.items()):
        colour, at = _LINES[i % len(_LINES)], [place(x, y) for x, y in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        drawn.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        for (x, y), (images, found) in zip(at, points, strict=True):
            title = f"<title>{_safe(name)}: {images:,g} gives {found:.3g}</title>"
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">{title}</circle>')
        drawn.append(_word(at[-1][0] + 8, at[-1][1] + 4, name, anchor="start", colour=colour, size=13))
    return _svg(width, height, "".join(drawn), spoken, alone)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten below and above values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _line(
    name: str, at: Sequence[tuple[float, float]], points: Sequence[tuple[float, float]], colour: str, i: int
) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    best = max(range(len(points)), key=lambda n: points[n][1])
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 if n == best else 3}" fill="{colour}">'
        f"<title>{_safe(name)}: {px:g} gives {py:.1f}</title></circle>"
        for n, ((x, y), (px, py)) in enumerate(zip(at, points, strict=True))
    )
    bx, by = at[best]
    key = _word(500, 16 + 16 * i, name, anchor="end", colour=colour, size=13)
    said = _word(bx, by - 10, f"{points[best][1]:.1f}", colour=colour)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.2"/>{dots}{said}{key}'


def _even(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis with four even steps around the values."""
    step = next(s for s in (1, 2, 5, 10, 20, 25) if (int(low // s) + 4) * s >= high or s == 25)
    start = int(low // step) * step
    return float(start), float(start + 4 * step)


def _word(
    x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, colour: str = "currentColor"
) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{_safe(text)}</text>'


def _svg(width: float, height: float, drawn: str, spoken: str, alone: bool) -> str:
    names = 'xmlns="http://www.w3.org/2000/svg" ' if alone else ""
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>' if alone else ""
    return (
        f'<svg {names}viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{_safe(spoken)}" font-family="system-ui, sans-serif" style="max-width:100%;height:auto">'
        f"{ground}{drawn}</svg>"
    )


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
