"""The subgroup of a triplet as SVG: six pictures in a ring, and its nine pairs as arrows that lead to their triplets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cir.ui.pieces import escape
from cir.ui.triplets.cards import Closer, Edge

_SIDE, _MIDDLE, _RADIUS, _HALF = 400.0, 200.0, 148.0, 40.0


def group(seen: Closer) -> str:
    """The six pictures of the subgroup in a ring, and its nine pairs as arrows that lead to their triplets."""
    if not seen.members:
        return ""
    places = [_place(rank) for rank in range(6)]
    # The current arrow is drawn last, above the others.
    edges = sorted(seen.edges, key=lambda edge: edge.current)
    arrows = "".join(_edge(edge, places) for edge in edges)
    pictures = "".join(_node(seen, rank, places[rank]) for rank in range(6))
    missing = sum(edge.shown is None for edge in seen.edges)
    hint = "Choose an arrow to see its triplet." + (
        f" {missing} pale arrow{'s have' if missing > 1 else ' has'} no triplet in this file."
        if missing
        else ""
    )
    heads = "".join(
        f'<marker id="head-{name}" class="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="{size}" '
        f'markerHeight="{size}" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker>'
        for name, size in (("kept", 5), ("dropped", 5), ("absent", 4), ("current", 4))
    )
    return (
        '<div class="group"><p class="subtitle">Its group of six, and the nine pairs made of it</p>'
        f'<svg viewBox="0 0 {_SIDE:.0f} {_SIDE:.0f}" role="group" aria-label="The group of six">'
        f'<defs>{heads}</defs>{arrows}{pictures}</svg><p class="hint">{hint}</p></div>'
    )


def _place(rank: int) -> tuple[float, float]:
    """The middle of a picture: the seed at the top, the others clockwise."""
    angle = math.radians(60 * rank - 90)
    return _MIDDLE + _RADIUS * math.cos(angle), _MIDDLE + _RADIUS * math.sin(angle)


def _node(seen: Closer, rank: int, place: tuple[float, float]) -> str:
    x, y = place[0] - _HALF, place[1] - _HALF
    triplet, picture = seen.card.triplet, seen.members[rank]
    role = {triplet.ranks[0]: " reference", triplet.ranks[1]: " target"}.get(rank, "")
    alike = f"{triplet.similarities[rank]:.2f}" if 0 < rank < len(triplet.similarities) else ""
    label = "seed" if rank == 0 else f"{rank} · {alike}" if alike else str(rank)
    box = f'x="{x:.1f}" y="{y:.1f}" width="{2 * _HALF:.0f}" height="{2 * _HALF:.0f}"'
    shown = (
        f'<image {box} href="{escape(picture.address)}" preserveAspectRatio="xMidYMid slice"/>'
        if picture.path is not None
        else f'<rect {box} class="grey"/>'
    )
    title = escape(f"{label} {picture.name}")
    return (
        f'<g class="node{role}">{shown}<rect {box} rx="9" class="frame"><title>{title}</title></rect>'
        f'<rect class="plate" x="{place[0] - 27:.1f}" y="{y + 2 * _HALF - 9:.1f}" width="54" height="18" rx="9"/>'
        f'<text x="{place[0]:.1f}" y="{y + 2 * _HALF + 4:.1f}" text-anchor="middle">{escape(label)}</text></g>'
    )


def _edge(edge: Edge, places: Sequence[tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = _between(places[edge.ranks[0]], places[edge.ranks[1]])
    state = "absent" if edge.shown is None else "kept" if edge.kept else "dropped"
    head = "current" if edge.current else state
    line = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    drawn = f'<line {line} class="drawn" marker-end="url(#head-{head})"/>'
    words = f"{edge.ranks[0]} to {edge.ranks[1]}: {edge.text or 'no text'}"
    if edge.shown is None:
        return f'<g class="edge absent">{drawn}</g>'
    current = ' aria-current="true"' if edge.current else ""
    return (
        f'<g class="edge {state}" role="button" tabindex="0" data-triplet="{escape(edge.shown.as_json())}"{current} '
        f'aria-label="{escape(f"{words}, {state}")}"><title>{escape(words)}</title>{drawn}'
        f'<line {line} class="grip"/></g>'
    )


def _between(
    a: tuple[float, float], b: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ends of an arrow from one picture to another: where its line leaves the frames."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy)
    ux, uy = dx / length, dy / length
    room = (_HALF + 5) / max(abs(ux), abs(uy))
    return (a[0] + ux * room, a[1] + uy * room), (b[0] - ux * (room + 3), b[1] - uy * (room + 3))
