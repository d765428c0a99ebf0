"""Triplets, their funnel and their subgroup -> pieces of HTML and SVG. All text passes through `escape`.

Knows neither gradio nor how triplets are kept; the looks are in `style.css` under `#triplets`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from cir.text import counted, time_left
from cir.ui.pieces import escape
from cir.ui.server.pictures import address_of
from cir.ui.triplets.handlers import Card, Closer, Edge, FunnelView, Page, Picture, ShownTriplet
from cir.ui.triplets.source import ACCEPTED, INCONSISTENT, REJECTED, Made, Mining

REASON_WORDS = {
    INCONSISTENT: "reference and text do not lead to the target",
    "same captions": "both captions are the same",
    "no usable text": "no usable text came",
    "target ranked too low": "a search with it does not find the target",
}
# The same after a number: "72 do not lead to the target".
COUNTED_WORDS = {
    INCONSISTENT: "do not lead to the target",
    "same captions": "with the same caption twice",
    "no usable text": "without a usable text",
    "target ranked too low": "whose target a search does not find",
}
_SAID_WORDS = {ACCEPTED: "accepted by you", REJECTED: "rejected by you"}
_SIDE, _MIDDLE, _RADIUS, _HALF = 400.0, 200.0, 148.0, 40.0


def reason_words(reason: str) -> str:
    """A reason as the end of a sentence; one that we do not know as it is."""
    return REASON_WORDS.get(reason, reason)


def address(picture: Picture) -> str:
    """Where the browser gets a small picture; "" when there is none."""
    return address_of(picture.path) if picture.path is not None else ""


def tile(picture: Picture, words: str = "") -> str:
    """A small picture, or a grey tile with its name."""
    if picture.path is None:
        return f'<span class="tile" title="{escape(picture.name)}">{escape(_short(picture.name))}</span>'
    alt = escape(words or picture.name)
    return f'<img src="{escape(address(picture))}" alt="{alt}" loading="lazy" decoding="async">'


def sent(shown: ShownTriplet) -> str:
    """What the page sends along of a triplet that it shows; `reading.read_shown` reads it."""
    return json.dumps([shown.key, shown.row, shown.triplet_id, shown.verdict])


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"…{name[-25:]}"


# --- the list -------------------------------------------------------------------------------------------


def cards(page: Page) -> str:
    """The cards of a page, as a list of buttons."""
    if not page.cards:
        said = (
            "No triplet passes these filters. Widen them, or clear the words."
            if page.total
            else "There is no triplet in this file yet. Make some with “Generate 20 more”."
        )
        return f'<p class="empty">{said}</p>'
    return f'<ol class="cards">{"".join(_card(one) for one in page.cards)}</ol>'


def where(page: Page) -> str:
    """How many pass, and which page this is."""
    return (
        f'<p class="where"><b>{page.matches:,}</b> of {counted(page.total, "triplet")}'
        f"<span>page {page.page + 1:,} of {page.pages:,}</span></p>"
    )


def _card(one: Card) -> str:
    triplet = one.triplet
    current = ' aria-current="true"' if one.chosen else ""
    spoken = f"Triplet {one.number}: {one.text or 'no text'}; {_verdict_words(one)}"
    return (
        f'<li class="card {_state(one)}"{current}>'
        f'<button type="button" data-place="{one.place}" data-triplet="{escape(sent(one.shown))}" '
        f'aria-label="{escape(spoken)}">'
        f'<span class="pair">{tile(one.reference, "reference")}{_ARROW}{tile(one.target, "target")}</span>'
        f'<span class="text">{_quoted(one.text)}</span>'
        f'<span class="captions"><span>{escape(triplet.reference_caption)}</span>'
        f"<span>{escape(triplet.target_caption)}</span></span>"
        f'<span class="foot">{_verdict(one)}{_meter(one)}</span></button></li>'
    )


_ARROW = (
    '<svg class="arrow" viewBox="0 0 24 12" aria-hidden="true"><path d="M1 6h20m-5-5 5 5-5 5" fill="none"'
    ' stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


def _quoted(text: str) -> str:
    return f"“{escape(text)}”" if text else '<i class="none">no text</i>'


def _state(one: Card) -> str:
    """The class that colours a card: what the person said goes before what the score says."""
    if one.judgement.verdict:
        return one.judgement.verdict
    return "kept" if one.kept or one.judgement.text else "dropped"


def _verdict_words(one: Card) -> str:
    said = _SAID_WORDS.get(one.judgement.verdict, "")
    if not said and one.judgement.text:
        said = "edited by you"
    if said:
        return said
    return "kept" if one.kept else f"dropped: {reason_words(one.reason)}"


def _verdict(one: Card) -> str:
    return f'<span class="verdict {_state(one)}">{escape(_verdict_words(one))}</span>'


def _meter(one: Card) -> str:
    """The score as a bar with a mark at the threshold; nothing where there is no score."""
    score = one.triplet.consistency
    if score is None:
        return '<span class="score none">no score</span>'
    return (
        f'<span class="score" title="Score {score:.3f}; kept from {one.threshold:.2f} on">'
        f'<i class="meter"><i style="width:{100 * _within(score):.0f}%"></i>'
        f'<b style="left:{100 * _within(one.threshold):.0f}%"></b></i>{score:.2f}</span>'
    )


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


# --- one triplet closely --------------------------------------------------------------------------------


def closer(seen: Closer | None) -> str:
    """One triplet: its pictures with their captions, and its text."""
    if seen is None:
        return '<p class="empty">Nothing to look at closely.</p>'
    one, triplet = seen.card, seen.card.triplet
    original = f'<p class="original">made as {_quoted(triplet.text)}</p>' if one.judgement.text else ""
    return (
        f'<div class="closer {_state(one)}"><p class="title"><b>Triplet {one.number:,}</b>{_verdict(one)}</p>'
        f'<div class="both">{_figure("Reference", one.reference, triplet.reference_caption)}'
        f"{_figure('Target', one.target, triplet.target_caption)}</div>"
        f'<p class="text">{_quoted(one.text)}</p>{original}</div>'
    )


def details(seen: Closer | None) -> str:
    """What is known about it: its numbers, each with what it means, and its group."""
    return "" if seen is None else _numbers(seen.card) + group(seen)


def _figure(title: str, picture: Picture, caption: str) -> str:
    said = escape(caption) if caption else '<i class="none">no caption</i>'
    return f"<figure>{tile(picture, title)}<figcaption><b>{title}</b> {said}</figcaption></figure>"


def _numbers(one: Card) -> str:
    """Each number with what it means."""
    triplet, rows = one.triplet, []
    if triplet.consistency is not None:
        old = " It is of the text as it was made." if one.judgement.text else ""
        rows.append(
            ("Score", f"{triplet.consistency:.3f}",
             "How close reference caption + text come to the target caption; 1 is the same meaning. "
             f"Kept from {one.threshold:.2f} on.{old}")
        )  # fmt: skip
    if triplet.target_rank is not None:
        rows.append(
            (
                "Found at",
                f"{triplet.target_rank:,}",
                "Rank of the target when reference and text are searched.",
            )
        )
    if triplet.members:
        start, end = triplet.ranks
        rows.append(("In its group", f"{start} → {end}", "0 is the seed; 1 to 5 are less and less like it."))
    if not one.kept:
        rows.append(("Dropped", "", f"{_capital(reason_words(one.reason))}."))
    body = "".join(
        f"<dt>{escape(name)}</dt><dd><b>{escape(value)}</b> {escape(meaning)}</dd>"
        for name, value, meaning in rows
    )
    return f'<dl class="numbers">{body}</dl>' if rows else ""


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# --- the subgroup ---------------------------------------------------------------------------------------


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
        f'<image {box} href="{escape(address(picture))}" preserveAspectRatio="xMidYMid slice"/>'
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
        f'<g class="edge {state}" role="button" tabindex="0" data-triplet="{escape(sent(edge.shown))}"{current} '
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


# --- the funnel -----------------------------------------------------------------------------------------


def funnel(view: FunnelView) -> str:
    """Pictures -> groups -> pairs -> texts -> kept: each bar is what there was, its solid part what went on."""
    rows = [] if view.mining is None else _mined(view, view.mining)
    rows.append(_stage("Pairs asked about", view.asked, None, view.texts, _without_text(view)))
    early = ("same captions", "no usable text")
    lost = [
        (number, COUNTED_WORDS.get(reason, reason))
        for reason, number in view.dropped.items()
        if reason not in early
    ]
    rows.append(_stage("Texts", view.texts, None, view.kept, lost))
    rows.append(_stage("Kept", view.kept, _moved(view.kept, view.kept_recorded), view.kept, []))
    said = view.said
    judged = ""
    if any(said.values()):
        judged = (
            f'<p class="judged">By you: {said[ACCEPTED]:,} accepted, {said[REJECTED]:,} rejected, '
            f"{said['edited']:,} edited.</p>"
        )
    why = f'<p class="hint">{escape(view.why_not)}</p>' if view.why_not else ""
    return f'<ol class="funnel">{"".join(rows)}</ol>{judged}{why}'


def _without_text(view: FunnelView) -> list[tuple[int, str]]:
    """What fell out before there was a text, by its reason."""
    same, junk = (view.dropped.get(reason, 0) for reason in ("same captions", "no usable text"))
    parts = [(same, COUNTED_WORDS["same captions"]), (junk, COUNTED_WORDS["no usable text"])]
    rest = view.asked - view.texts - same - junk
    return [*parts, (rest, "without a text")] if rest > 0 else parts


def _mined(view: FunnelView, mining: Mining) -> list[str]:
    before = view.recorded or mining
    ungrouped = mining.images - mining.groups
    waiting = max(0, mining.pairs - view.asked)
    return [
        _stage(
            "Pictures", mining.images, None, mining.groups, [(ungrouped, "find no five others for a group")]
        ),
        _stage(
            "Groups of six",
            mining.groups,
            _moved(mining.groups, before.groups),
            mining.pairs,
            [(mining.repeated, f"repeat others, of {counted(9 * mining.groups, 'pair')}")],
        ),
        _stage(
            "Pairs",
            mining.pairs,
            _moved(mining.pairs, before.pairs),
            mining.pairs - waiting,
            [(waiting, "not asked about yet")],
        ),
    ]


def _moved(now: int, before: int) -> str | None:
    """How a number changed since the file was made."""
    return None if now == before else f"{now - before:+,} by the sliders"


def _stage(name: str, count: int, moved: str | None, went_on: int, lost: Sequence[tuple[int, str]]) -> str:
    lost = [(number, words) for number, words in lost if number > 0]
    parts = f'<i class="on" style="flex-grow:{went_on}"></i>' if went_on > 0 else ""
    parts += "".join(f'<i class="lost" style="flex-grow:{number}"></i>' for number, _ in lost)
    reasons = ", ".join(f"{number:,} {escape(words)}" for number, words in lost)
    change = f"<em>{escape(moved)}</em>" if moved else ""
    note = f"<small>{reasons}</small>" if reasons else ""
    return (
        f'<li><span class="name">{escape(name)}</span><b>{count:,}</b>{change}'
        f'<span class="bar" aria-hidden="true">{parts}</span>{note}</li>'
    )


# --- the line at the top --------------------------------------------------------------------------------


def making(made: Made) -> str:
    """How far making more triplets is."""
    left = "" if made.seconds_left is None or made.done >= made.total else f", {time_left(made.seconds_left)}"
    if made.done >= made.total:
        return f'<p class="stage">{counted(made.done, "new triplet")}, the newest first.</p>'
    share = 100 * made.done / max(made.total, 1)
    return (
        '<p class="stage busy"><span class="dot" aria-hidden="true"></span>'
        f"Making triplets: {made.done} of {made.total}{left}"
        f'<span class="progress" aria-hidden="true"><i style="width:{share:.0f}%"></i></span></p>'
    )


def stopped(made: int) -> str:
    """After a person stopped the making."""
    what = "No triplet was made" if not made else f"{made} new triplet{'s' if made > 1 else ''}"
    return f'<p class="stage">Stopped. {what}.</p>'


def line(sentence: str) -> str:
    """One calm sentence."""
    return f'<p class="stage">{escape(sentence)}</p>' if sentence else ""
