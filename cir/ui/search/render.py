"""The Search tab's pieces of HTML after an answer: thoughts, steps, the closer look, the list of keys.

Every text that is not ours passes through `render.escape`. What can be clicked carries `data-do` or `data-edit`,
which the page's script sends on (`cir.ui.search.acts`). This module knows neither gradio nor the retriever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cir.composers.revision import CAPTIONS, MODIFIED, OBJECTS
from cir.ranking.retriever import MAX_RESULTS as MAX_SHOWN
from cir.text import counted
from cir.translating import TRANSLATION, TYPED
from cir.types import SignedTerm
from cir.ui.pieces import PART_WORDS, chips, escape, slider_label
from cir.ui.search import steps
from cir.ui.search.controls import inspector_buttons
from cir.ui.search.looking import Inspected
from cir.ui.session import Step

CHIPS_SHOWN = 1
TRACE_WORDS = {
    CAPTIONS: "Seen in the reference",
    MODIFIED: "Rewritten with the edit",
    OBJECTS: "Objects likely added",
}
_ADDING = {CAPTIONS: "Add a caption", MODIFIED: "Add a description", OBJECTS: "Add an object"}
_TERM_WORDS = {"more": "more like", "less": "less like", "without": "without"}
_CROSSES = "Take away"
_BRIEF = ' class="brief"'
KEYS = (
    ("/", "to the edit"),
    ("arrows  Home  End  PgUp  PgDn", "from picture to picture"),
    ("Enter", "look at a result"),
    ("u", "use it as the reference"),
    ("m  l", "more like it, less like it"),
    ("v", "see it larger"),
    ("x", "select it"),
    ("z", "undo"),
    ("Esc", "close"),
)


# --- the machine's thoughts -----------------------------------------------------------------------------


def thoughts(
    trace: Mapping[str, Sequence[str]],
    *,
    pending: bool,
    changeable: bool = False,
    changed: bool = False,
    more: str = "",
) -> str:
    """What was thought on the way, as chips; where they can be changed, each is a button that becomes a field.

    Args:
        trace: name -> texts.
        pending: more is to come: what is missing keeps its place, so that nothing jumps when it arrives.
        changeable: whether a changed text can be followed.
        changed: whether a person changed something, which can be reset.
        more: a piece that stands at the end of the last row, or in a row of its own.
    """
    rows = [_translation_row(trace)] if TRANSLATION in trace else []
    rows += [_thought_row(kind, trace, pending=pending, changeable=changeable) for kind in TRACE_WORDS]
    if more and rows[-1]:
        rows[-1] = rows[-1].removesuffix("</dd>") + more + "</dd>"
    elif more:
        rows.append(f"<dt></dt><dd>{more}</dd>")
    if trace.get("image_word"):
        title = "Words of the vocabulary that are nearest to the word which the picture became"
        words = escape(", ".join(trace["image_word"]))
        rows.append(
            f'<dt>Image word</dt><dd class="brief"><span class="word" title="{title}">≈ {words}</span></dd>'
        )
    if changed:
        rows.append(
            '<dt></dt><dd><button type="button" class="chip add" data-do="reset">Reset to the machine’s</button></dd>'
        )
    shown = "".join(rows)
    return f'<dl class="trace">{shown}</dl>' if shown else ""


def _translation_row(trace: Mapping[str, Sequence[str]]) -> str:
    """The edit in English: a click puts it into the field, to be changed; another one searches as it was typed."""
    english, typed = escape(trace[TRANSLATION][0]), escape(f'"{trace[TYPED][0]}"')
    return (
        '<dt>In English</dt><dd><button type="button" class="chip" data-do="retype" '
        f'data-text="{english}" title="Change this text">{english}</button>'
        f'<button type="button" class="chip add" data-do="retype" data-kind="search" data-text="{typed}" '
        'title="Search for it as it was typed, without a translation">As typed</button></dd>'
    )


def _thought_row(kind: str, trace: Mapping[str, Sequence[str]], *, pending: bool, changeable: bool) -> str:
    title, items = TRACE_WORDS[kind], trace.get(kind, ())
    if not items and pending:
        return f'<dt>{title}</dt><dd><span class="chip waiting" aria-hidden="true">&nbsp;</span></dd>'
    if kind not in trace and not (changeable and trace.get(CAPTIONS)):
        return ""
    shown = len(items) if kind == OBJECTS else CHIPS_SHOWN
    if not changeable:
        said = chips(items, shown) if items else '<span class="none">none</span>'
        return f"<dt>{title}</dt><dd{'' if items else _BRIEF}>{said}</dd>"
    made = [
        f'<button type="button" class="chip" data-edit="thought" data-kind="{kind}" data-place="{place}" '
        f'title="Change this text">{escape(text)}{f" <small>×{n}</small>" if n > 1 else ""}</button>'
        for place, (text, n) in enumerate(Counter(items).items())
    ]
    rest = made[shown:]
    fold = f"<details><summary>{len(rest)} more</summary>{''.join(rest)}</details>" if rest else ""
    none = "" if items else '<span class="none">none</span>'
    add = (
        f'<button type="button" class="chip add" data-edit="thought" data-kind="{kind}" aria-label="{_ADDING[kind]}" '
        f'title="{_ADDING[kind]}">+</button>'
    )
    return f"<dt>{title}</dt><dd{'' if items else _BRIEF}>{none}{''.join(made[:shown])}{fold}{add}</dd>"


def leave_out_button() -> str:
    """The button that becomes a field for what should not be there."""
    return '<button type="button" class="chip add" data-edit="without" title="What should not be there">Without …</button>'


def wishes(signed: Sequence[SignedTerm], pictures: Mapping[str, str] | None = None) -> str:
    """What more and what less is wanted: each term with its picture, its weight, which can be changed, and a cross.

    Args:
        signed: the terms.
        pictures: id -> address of a small picture.
    """
    known = pictures or {}
    terms = "".join(
        f'<span class="chip term {escape(term.kind)}">{_TERM_WORDS[term.kind]} {_wanted(known.get(term.image_id))}<q>{escape(term.words)}</q>'
        f'<button type="button" class="weight" data-edit="weigh" data-place="{place}" data-value="{term.weight:.2f}" '
        f'title="Its weight in the query, from -1 to 1" aria-label="Weight {term.weight:+.2f}, change it">'
        f"{_signed(term.weight)}</button>"
        f'<button type="button" class="cross" data-do="weigh" data-place="{place}" data-text="0" '
        f'aria-label="{_CROSSES}">×</button></span>'
        for place, term in enumerate(signed)
    )
    return f'<div class="wishes">{terms}</div>' if terms else ""


def _wanted(address: str | None) -> str:
    return f'<img src="{escape(address)}" alt="">' if address else ""


def show_more(shown: int, total: int, page: int) -> str:
    """Under the results: how many of how many are shown, and the button for more; nothing when all are."""
    if shown >= total:
        return ""
    said = f"<span>{shown:,} of {counted(total, 'picture')}</span>"
    if shown >= MAX_SHOWN:
        return f'<p class="more">{said}<span>No more than {MAX_SHOWN} are shown. “Only in …” or more words find the others.</span></p>'
    button = f'<button type="button" class="pill" data-do="more">Show {min(page, total - shown, MAX_SHOWN - shown)} more</button>'
    return f'<p class="more">{said}{button}</p>'


def _signed(number: float, digits: int = 2) -> str:
    """A number with its sign, the minus as long as the plus."""
    rounded = round(number, digits) + 0.0  # no minus before a zero
    return f"{rounded:+.{digits}f}".replace("-", "−")


# --- the steps ------------------------------------------------------------------------------------------


def crumbs(way: Sequence[Step], history: Sequence[Step], present: int) -> str:
    """The way to the present step, undo, and a fold with all remembered steps; nothing before the second."""
    if len(history) < 2:
        return ""
    undo = (
        '<button type="button" class="undo" data-do="undo" title="Back to the step before (z)">Undo</button>'
    )
    apart = steps.details(history)
    here = "".join(f"<li>{_step(step, present, apart)}</li>" for step in way[-6:])
    more = "… " if len(way) > 6 else ""
    all_steps = "".join(f"<li>{_step(step, present, apart)}</li>" for step in history)
    fold = f"<details><summary>History</summary><ol>{all_steps}</ol></details>"
    return f'<nav class="crumbs" aria-label="Your steps">{undo if len(way) > 1 else ""}{more}<ol>{here}</ol>{fold}</nav>'


def _step(step: Step, present: int, apart: Mapping[int, str]) -> str:
    detail = f"<small>{escape(apart[step.number])}</small>" if apart.get(step.number) else ""
    title = " · ".join(part for part in (step.title, apart.get(step.number, "")) if part)
    picture = f'<img src="{escape(step.picture)}" alt="">' if step.picture else ""
    current = ' aria-current="step"' if step.number == present else ""
    return (
        f'<button type="button" data-do="step" data-place="{step.number}"{current} title="{escape(title)}">'
        f"{picture}<span>{escape(step.title)}</span>{detail}</button>"
    )


# --- the closer look ------------------------------------------------------------------------------------


def closer_look(seen: Inspected) -> str:
    """One result closely: its captions, what its score is made of, what would lift it, where to go from it."""
    said = (
        f'<span class="machine">The machine’s words, which may be wrong:</span> {chips(seen.captions, CHIPS_SHOWN)}'
        if seen.captions
        else '<span class="none">No captions of this picture.</span>'
    )
    return (
        f'<div class="inspected"><h2>Number {seen.rank}<span>score {seen.score:.3f}</span></h2>'
        f'<div class="said">{_file(seen)}{said}<p class="move">{_move(seen)}</p></div>'
        f'<div class="why">{_stack(seen)}{_table(seen)}</div>{_ways_on(seen)}</div>{inspector_buttons()}'
    )


def _file(seen: Inspected) -> str:
    return f'<p class="file">{escape(seen.file)}</p>' if seen.file else ""


def _stack(seen: Inspected) -> str:
    """The terms of the score as one bar; what counts against it is hatched. The table beside it says the same."""
    pieces = []
    for name, share in _in_order(seen):
        for side in ("image", "captions"):
            if abs(share[side]) >= 0.0005:
                against = " against" if share[side] < 0 else ""
                pieces.append(
                    f'<i class="{escape(name)} {side}{against}" style="flex-grow:{abs(share[side]):.4f}"></i>'
                )
    return f'<div class="stack" aria-hidden="true">{"".join(pieces)}</div>'


def _table(seen: Inspected) -> str:
    rows = "".join(
        f'<tr class="{escape(name)}"><th scope="row" title="{escape(_meaning(name, seen.called))}"><i></i>{escape(_row_name(name, seen.called))}</th>'
        f"<td>{_signed(share['image'], 3)}</td><td>{_signed(share['captions'], 3)}</td>"
        f"<td>{seen.why.ranks_alone.get(name, '')}</td></tr>"
        for name, share in _in_order(seen)
    )
    return (
        '<table><caption class="spoken">What the score is made of: each part with the pixels and with the captions '
        "of this picture, and the rank by that part alone</caption>"
        '<thead><tr><td></td><th scope="col" title="What its pixels add to the score">pixels</th>'
        '<th scope="col" title="What its captions add to the score">captions</th>'
        '<th scope="col" title="Its rank, were the query this part alone">rank alone</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _in_order(seen: Inspected) -> list[tuple[str, Mapping[str, float]]]:
    """The rows of the query with their shares: the parts in the order of the page, then the signed terms."""
    shares = seen.why.shares
    names = [
        *(name for name in PART_WORDS if name in shares),
        *(name for name in shares if name not in PART_WORDS),
    ]
    return [(name, shares[name]) for name in names]


def _row_name(name: str, called: Mapping[str, str]) -> str:
    """A part's name under this method; of a signed term, such as "more 1", its kind and number."""
    if name in PART_WORDS:
        return called.get(name) or PART_WORDS[name].name
    kind, _, number = name.partition(" ")
    return f"{_TERM_WORDS.get(kind, kind).capitalize()} … {f'({number})' if number else ''}".strip()


def _meaning(name: str, called: Mapping[str, str]) -> str:
    if name in called:
        return f"{called[name]}, as text."
    return PART_WORDS[name].meaning if name in PART_WORDS else "One of your own terms, with its sign."


def _move(seen: Inspected) -> str:
    """The slider move that would lift the result most, in a sentence."""
    if seen.rank == 1:
        return "It is first already."
    if not seen.weighted:
        return "This method has no sliders."
    move = seen.why.move
    if move is None or move.rank >= seen.rank:
        return "No single slider lifts it."
    return (
        f"{escape(slider_label(move.parameter))} {move.before:.2f} → {move.after:.2f} would lift it "
        f"from {seen.rank} to {move.rank}."
    )


def _ways_on(seen: Inspected) -> str:
    fold = ""
    if seen.similar:
        words = f"Fold {seen.similar} similar" if seen.unfolded else f"Show {seen.similar} similar"
        title = "Pictures whose features have a cosine of at least 0.97 with this one"
        fold = f'<button type="button" data-do="unfold" title="{title}">{words}</button>'
    return (
        '<div class="ways"><button type="button" data-do="want" data-kind="more">More like this</button>'
        '<button type="button" data-do="want" data-kind="less">Less like this</button>'
        '<button type="button" data-do="enlarge" title="The whole picture (v)">Larger</button>'
        f'<button type="button" data-do="select" aria-pressed="{str(seen.selected).lower()}">'
        f"{'Selected' if seen.selected else 'Select'}</button>{fold}</div>"
    )
