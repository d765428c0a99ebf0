"""The triplet tab's cards and lines -> pieces of HTML. All text passes through `escape`.

Knows neither gradio nor how triplets are kept; the looks are in `style.css` under `#triplets`.
"""

from __future__ import annotations

from cir.durations import time_left
from cir.syncir.judgements import ACCEPTED, EDITED, REJECTED
from cir.syncir.pipeline import Progress
from cir.text import counted
from cir.types import TrainedNetwork, TrainingStep
from cir.ui import pieces
from cir.ui.pieces import escape
from cir.ui.triplets.cards import Card, Closer, Page, Picture
from cir.ui.triplets.funnel import reason_words
from cir.ui.triplets.group import group

_JUDGED_WORDS = {ACCEPTED: "accepted by you", REJECTED: "rejected by you", EDITED: "edited by you"}


def tile(picture: Picture, words: str = "") -> str:
    """A small picture, or a grey tile with its name."""
    if picture.path is None:
        return f'<span class="tile" title="{escape(picture.name)}">{escape(_short(picture.name))}</span>'
    alt = escape(words or picture.name)
    return f'<img src="{escape(picture.address)}" alt="{alt}" loading="lazy" decoding="async">'


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"…{name[-25:]}"


# --- the list -------------------------------------------------------------------------------------------


def cards(page: Page) -> str:
    """The cards of a page, as a list of buttons."""
    if not page.cards:
        filtered = "No triplet passes these filters. Widen them, or clear the words."
        none_yet = "There is no triplet in this file yet. Make some with “Generate 20 more”."
        return f'<p class="empty">{filtered if page.total else none_yet}</p>'
    return f'<ol class="cards">{"".join(_card(place, one) for place, one in enumerate(page.cards))}</ol>'


def where(page: Page) -> str:
    """How many pass, and which page this is."""
    return (
        f'<p class="where"><b>{page.matches:,}</b> of {counted(page.total, "triplet")}'
        f"<span>page {page.page + 1:,} of {page.pages:,}</span></p>"
    )


def _card(place: int, one: Card) -> str:
    triplet = one.triplet
    current = ' aria-current="true"' if one.chosen else ""
    spoken = f"Triplet {one.number}: {one.text or 'no text'}; {_verdict_words(one)}"
    return (
        f'<li class="card {_state(one)}"{current}>'
        f'<button type="button" data-place="{place}" data-triplet="{escape(one.shown.as_json())}" '
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
    if one.judgement.action in _JUDGED_WORDS:
        return _JUDGED_WORDS[one.judgement.action]
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
    words = escape(caption) if caption else '<i class="none">no caption</i>'
    return f"<figure>{tile(picture, title)}<figcaption><b>{title}</b> {words}</figcaption></figure>"


def _numbers(one: Card) -> str:
    """Each number with what it means."""
    triplet, rows = one.triplet, []
    if triplet.consistency is not None:
        old = " It is of the text as it was made." if one.judgement.text else ""
        meaning = "How close reference caption + text come to the target caption; 1 is the same meaning."
        meaning = f"{meaning} Kept from {one.threshold:.2f} on.{old}"
        rows.append(("Score", f"{triplet.consistency:.3f}", meaning))
    if triplet.target_rank is not None:
        meaning = "Rank of the target when reference and text are searched."
        rows.append(("Found at", f"{triplet.target_rank:,}", meaning))
    if triplet.members:
        start, end = triplet.ranks
        rows.append(("In its group", f"{start} → {end}", "0 is the seed; 1 to 5 are less and less like it."))
    if not one.kept:
        why = reason_words(one.reason)
        rows.append(("Dropped", "", f"{why[:1].upper()}{why[1:]}."))
    body = "".join(
        f"<dt>{escape(name)}</dt><dd><b>{escape(value)}</b> {escape(meaning)}</dd>"
        for name, value, meaning in rows
    )
    return f'<dl class="numbers">{body}</dl>' if rows else ""


# --- the line at the top --------------------------------------------------------------------------------


def progress(made: Progress) -> str:
    """How far making more triplets is."""
    if made.done >= made.total:
        return line(f"{counted(made.done, 'new triplet')}, the newest first.")
    left, share = made.eta_seconds, 100 * made.done / max(made.total, 1)
    time = "" if left is None else f", {time_left(left)}"
    return (
        '<p class="stage busy"><span class="dot" aria-hidden="true"></span>'
        f"Making triplets: {made.done} of {made.total}{time}"
        f'<span class="progress" aria-hidden="true"><i style="width:{share:.0f}%"></i></span></p>'
    )


def stopped(made: int) -> str:
    """After a person stopped the making."""
    return line(f"Stopped. {counted(made, 'new triplet') if made else 'No triplet was made'}.")


def training(step: TrainingStep) -> str:
    """How far a training is."""
    return pieces.working(
        f"Training: step {step.number:,}, loss {step.loss:.2f}, {time_left(step.seconds_left)}"
    )


def trained(made: TrainedNetwork) -> str:
    """What was made, and what it is worth beside what was there."""
    asked = f"Of {counted(made.held, 'triplet')} that were held back it finds the target among the first ten"
    before = "" if made.found_before is None else f"; the set's own HyCIR in {made.found_before:.0%}"
    worth = f" {asked} in {made.found:.0%}{before}." if made.held else ""
    learned = f"It learned from {counted(made.triplets, 'triplet')}.{worth}"
    return f'<p class="stage">“{escape(made.name)}” is a method now.</p><p class="hint">{escape(learned)}</p>'


TRAINING_STOPPED = "Stopped. The same button goes on from here."


def line(sentence: str) -> str:
    """One calm sentence."""
    return f'<p class="stage">{escape(sentence)}</p>' if sentence else ""
