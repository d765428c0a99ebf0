"""The funnel from pictures to kept triplets as HTML, and the reasons for which triplets drop out, in words."""

from __future__ import annotations

from collections.abc import Sequence

from cir.syncir.consistency import INCONSISTENT, NO_TEXT, RANKED_TOO_LOW, SAME_CAPTIONS
from cir.syncir.judgements import ACCEPTED, REJECTED
from cir.syncir.pairs import PAIR_RANKS
from cir.syncir.records import Funnel
from cir.text import counted
from cir.ui.pieces import escape
from cir.ui.triplets.cards import FunnelView

# Reason -> the end of a sentence, and the same after a number: "72 do not lead to the target".
REASONS = {
    INCONSISTENT: ("reference and text do not lead to the target", "do not lead to the target"),
    SAME_CAPTIONS: ("both captions are the same", "with the same caption twice"),
    NO_TEXT: ("no usable text came", "without a usable text"),
    RANKED_TOO_LOW: ("a search with it does not find the target", "whose target a search does not find"),
}
_WITHOUT_TEXT = (SAME_CAPTIONS, NO_TEXT)
Lost = Sequence[tuple[int, str]]


def reason_words(reason: str) -> str:
    """A reason as the end of a sentence; one that we do not know as it is."""
    return REASONS.get(reason, (reason, reason))[0]


def funnel(view: FunnelView) -> str:
    """Pictures -> groups -> pairs -> texts -> kept: each bar is what there was, its solid part what went on."""
    now, judged = view.now, view.judged
    recorded = view.recorded if view.recorded.images else now
    stages = _mined(now, recorded) if now.images else []
    stages.append(_stage("Pairs asked about", now.done, "", now.texts, _without_text(now)))
    lost = [reason for reason in now.dropped if reason not in _WITHOUT_TEXT]
    stages.append(_stage("Texts", now.texts, "", now.kept, _counted(now, lost)))
    stages.append(_stage("Kept", now.kept, _moved(now.kept, view.recorded.kept), now.kept))
    by_hand = (
        f"By you: {judged[ACCEPTED]:,} accepted, {judged[REJECTED]:,} rejected, {judged['edited']:,} edited."
    )
    by_hand = f'<p class="judged">{by_hand}</p>' if any(judged.values()) else ""
    why = f'<p class="hint">{escape(view.why_not)}</p>' if view.why_not else ""
    return f'<ol class="funnel">{"".join(stages)}</ol>{by_hand}{why}'


def _mined(now: Funnel, recorded: Funnel) -> list[str]:
    waiting = max(0, now.pairs - now.done)
    repeated = f"repeat others, of {counted(len(PAIR_RANKS) * now.groups, 'pair')}"
    alone = (now.images - now.groups, "find no five others for a group")
    groups, pairs = _moved(now.groups, recorded.groups), _moved(now.pairs, recorded.pairs)
    return [
        _stage("Pictures", now.images, "", now.groups, [alone]),
        _stage("Groups of six", now.groups, groups, now.pairs, [(now.repeated, repeated)]),
        _stage("Pairs", now.pairs, pairs, now.pairs - waiting, [(waiting, "not asked about yet")]),
    ]


def _without_text(now: Funnel) -> Lost:
    """What fell out before there was a text, by its reason."""
    known = _counted(now, _WITHOUT_TEXT)
    return [*known, (now.done - now.texts - sum(number for number, _ in known), "without a text")]


def _counted(now: Funnel, reasons: Sequence[str]) -> Lost:
    return [(now.dropped.get(one, 0), REASONS.get(one, (one, one))[1]) for one in reasons]


def _moved(now: int, before: int) -> str:
    """How a number changed since the file was made."""
    return "" if now == before else f"{now - before:+,} by the sliders"


def _stage(name: str, count: int, moved: str, went_on: int, lost: Lost = ()) -> str:
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
