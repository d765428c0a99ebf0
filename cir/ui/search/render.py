"""The Search tab's pieces of HTML: what can be clicked, the machine's texts, signed terms, steps, the list of keys.

Every text that is not ours passes through `escape`. What can be clicked carries `data-do` or `data-edit`,
which the page's script sends on (`cir.ui.search.acts`). This module knows no gradio and ranks nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cir.composers.parameters import Parameter, Values
from cir.composers.revision import CAPTIONS, MODIFIED, OBJECTS, REMOVED
from cir.ranking.retriever import MAX_RESULTS as MAX_SHOWN
from cir.text import counted
from cir.translating import REWORDED, TRANSLATION, TYPED
from cir.types import RetrievedImage, SignedTerm
from cir.ui import pieces
from cir.ui.grids import Tile, grid, tile
from cir.ui.pieces import chips, escape, first_of
from cir.ui.search import handlers, steps
from cir.ui.session import Answer, Session, Step

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable

_DOWNLOADS = {"zip": "Pictures (zip)", "csv": "Table (csv)", "json": "All of it (json)"}
_TURNS = {"previous": "Previous", "shuffle": "Shuffle", "next": "Next"}
CHIPS_SHOWN = 1
TRACE_WORDS = {
    CAPTIONS: "Seen in the reference",
    MODIFIED: "Rewritten with the edit",
    OBJECTS: "Objects likely added",
}
_ADDING = {CAPTIONS: "Add a caption", MODIFIED: "Add a description", OBJECTS: "Add an object"}
TERM_WORDS = {"more": "more like", "less": "less like", "without": "without"}
_BRIEF = ' class="brief"'
_WITHOUT = '<button type="button" class="chip add" data-edit="without" title="What should not be there">Without …</button>'
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


# --- what can be clicked -----------------------------------------------------------------------------------


def examples(queries: Sequence[tuple[str, str, str, str]]) -> str:
    """Queries that are known to work; nothing when there are none.

    Args:
        queries: (address of a small picture, edit, id of the picture, its own address) of each.
    """
    made = "".join(
        f'<button type="button" class="pill example" data-do="example" data-place="{place}" '
        f'data-id="{escape(image_id)}" data-address="{escape(address)}">'
        f'<img src="{escape(picture)}" alt="">{escape(text)}</button>'
        for place, (picture, text, image_id, address) in enumerate(queries)
    )
    return f'<div class="examples"><h2>Try</h2>{made}</div>' if made else ""


def presets(known: Mapping[str, Values], parameters: Sequence[Parameter]) -> str:
    """Numbers of this method that are known to be good, by name; nothing where none are of this method."""
    own = {parameter.name for parameter in parameters}
    made = "".join(
        _pill(name, "preset", place=str(place), text=json.dumps(dict(values)))
        for place, (name, values) in enumerate(known.items())
        if set(values) == own
    )
    return f'<div class="pills">{made}</div>' if made else ""


def pick() -> str:
    """From a search back to the gallery's pictures."""
    return _pill("Pick from the gallery", "browse", elem_id="pick")


def reference_problem(most: int) -> str:
    """Where the page's script tells why a file cannot be the reference.

    Args:
        most: bytes that a file may have.
    """
    return f'<div class="problem" role="alert" data-most="{most}" hidden></div>'


def skip() -> str:
    """After the button Search: what lies between it and the pictures is skipped. Seen while it has the focus."""
    return '<button type="button" class="pill skip" data-skip="pictures">To the pictures</button>'


def browse_bar(*, back: bool = False) -> str:
    """Over the gallery's pictures: the way through them, and back to the results where there are some."""
    turns = "".join(_pill(words, "turn", kind=kind, elem_id=kind) for kind, words in _TURNS.items())
    to_results = _pill("Back to the results", "back", elem_id="back") if back else ""
    return f'<div class="pills"><h2>Start from a picture of the gallery</h2>{to_results}{turns}</div>'


def keeping(keys: str) -> str:
    """What can be taken away, and the keys."""
    saves = "".join(
        _pill(words, "save", kind=kind, elem_id=f"save-{kind}") for kind, words in _DOWNLOADS.items()
    )
    return (
        f'<div class="pills">{saves}{_pill("Copy link", "link", elem_id="copy-link")}</div>'
        '<p class="about-keeping">The selected pictures, or all that are shown, encoded anew without '
        f"metadata. Near-identical: a cosine of at least 0.97 between their features.</p>{keys}"
    )


def _pill(words: str, act: str, *, kind: str = "", place: str = "", text: str = "", elem_id: str = "") -> str:
    given = {"id": elem_id, "data-kind": kind, "data-place": place, "data-text": text}
    said = "".join(f' {name}="{escape(value)}"' for name, value in given.items() if value)
    return f'<button type="button" class="pill" data-do="{act}"{said}>{escape(words)}</button>'


# --- the machine's texts and signed terms ---------------------------------------------------------------


def texts(
    trace: Mapping[str, Sequence[str]],
    *,
    pending: bool,
    changeable: bool = False,
    changed: bool = False,
    without: bool = False,
) -> str:
    """What the machine wrote on the way, as chips; where they can be changed, each is a button that becomes a field.

    Args:
        trace: name -> texts.
        pending: more is to come: what is missing keeps its place, so that nothing jumps when it arrives.
        changeable: whether a changed text can be followed.
        changed: whether a person changed something, which can be reset.
        without: whether "Without ..." is offered, at the end of the last row or in a row of its own.
    """
    rows = [_other_words_row(trace, kind) for kind in _OTHER_WORDS if kind in trace]
    changeable = changeable and not pending
    rows += [_text_row(kind, trace, pending=pending, changeable=changeable) for kind in TRACE_WORDS]
    if trace.get(REMOVED):
        rows.append(f"<dt>Objects likely removed</dt><dd>{chips(trace[REMOVED], len(trace[REMOVED]))}</dd>")
    if without and rows[-1]:
        rows[-1] = rows[-1].removesuffix("</dd>") + _WITHOUT + "</dd>"
    elif without:
        rows.append(f"<dt></dt><dd>{_WITHOUT}</dd>")
    if trace.get("image_word"):
        title = "Words of the vocabulary that are nearest to the word which the picture became"
        words = escape(", ".join(trace["image_word"]))
        kind = "".join(f", read as {escape(kind)}" for kind in trace.get("read_as", ()))
        rows.append(
            f'<dt>Image word</dt><dd class="brief"><span class="word" title="{title}">≈ {words}{kind}</span></dd>'
        )
    if changed:
        rows.append(
            '<dt></dt><dd><button type="button" class="chip add" data-do="reset">Reset to the machine’s</button></dd>'
        )
    shown = "".join(rows)
    return f'<dl class="trace">{shown}</dl>' if shown else ""


_OTHER_WORDS = {TRANSLATION: ("In English", "a translation"), REWORDED: ("Read as", "other words")}


def _other_words_row(trace: Mapping[str, Sequence[str]], kind: str) -> str:
    """The edit in other words: a click puts it into the field, to be changed; another one searches as it was typed."""
    title, made = _OTHER_WORDS[kind]
    said, typed = escape(trace[kind][0]), escape(f'"{trace[TYPED][0]}"')
    also = "".join(
        f'<span class="word" title="The mean of both wordings is searched for">and “{escape(one)}”</span>'
        for one in trace[kind][1:]
    )
    return (
        f'<dt>{title}</dt><dd><button type="button" class="chip" data-do="retype" '
        f'data-text="{said}" title="Change this text">{said}</button>{also}'
        f'<button type="button" class="chip add" data-do="retype" data-kind="search" data-text="{typed}" '
        f'title="Search for it as it was typed, without {made}">As typed</button></dd>'
    )


def _text_row(kind: str, trace: Mapping[str, Sequence[str]], *, pending: bool, changeable: bool) -> str:
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
        f'<button type="button" class="chip" data-edit="text" data-kind="{kind}" data-place="{place}" '
        f'title="Change this text">{escape(text)}{f" <small>×{n}</small>" if n > 1 else ""}</button>'
        for place, (text, n) in enumerate(Counter(items).items())
    ]
    none = "" if items else '<span class="none">none</span>'
    add = (
        f'<button type="button" class="chip add" data-edit="text" data-kind="{kind}" aria-label="{_ADDING[kind]}" '
        f'title="{_ADDING[kind]}">+</button>'
    )
    return f"<dt>{title}</dt><dd{'' if items else _BRIEF}>{none}{first_of(made, shown)}{add}</dd>"


def terms(signed: Sequence[SignedTerm], gallery: Searchable) -> str:
    """What more and what less is wanted: each term with its picture, its weight, which can be changed, and a cross."""
    shown = "".join(
        f'<span class="chip term {escape(term.kind)}">{TERM_WORDS[term.kind]} {_term_picture(gallery, term)}<q>{escape(term.words)}</q>'
        f'<button type="button" class="weight" data-edit="weigh" data-place="{place}" data-value="{term.weight:.2f}" '
        f'title="Its weight in the query, from -1 to 1" aria-label="Weight {term.weight:+.2f}, change it">'
        f"{signed_number(term.weight)}</button>"
        f'<button type="button" class="cross" data-do="weigh" data-place="{place}" data-text="0" '
        f'aria-label="Take away">×</button></span>'
        for place, term in enumerate(signed)
    )
    return f'<div class="wishes">{shown}</div>' if shown else ""


def _term_picture(gallery: Searchable, term: SignedTerm) -> str:
    known = term.image_id in gallery
    return f'<img src="{escape(tile(gallery, term.image_id, "").address)}" alt="">' if known else ""


# --- pictures -------------------------------------------------------------------------------------------


def gallery_page(gallery: Searchable, image_ids: Sequence[str]) -> str:
    """Images of the gallery, to pick one from."""
    return grid((tile(gallery, i, handlers.in_words(gallery, i)) for i in image_ids), do="pick")


def results(gallery: Searchable, session: Session, found: Answer) -> str:
    """The results; the inspected one is marked, the selected ones are ticked."""
    more = show_more(len(found.results), found.total, session.settings.top_k)
    return grid((_result(gallery, session, found, one) for one in found.shown), do="look") + more


def _result(gallery: Searchable, session: Session, found: Answer, one: RetrievedImage) -> Tile:
    image_id = one.image_id
    selected, inspected = image_id in session.selected, image_id == session.inspected_id
    similar = 0 if image_id in session.unfolded else len(found.similar.get(image_id, ()))
    return tile(
        gallery,
        image_id,
        pieces.result_caption(
            one.rank, one.score, gallery.note(image_id), similar=similar, selected=selected
        ),
        state=" ".join(["ticked"] * selected + ["looked"] * inspected),
        caption=handlers.caption_of(gallery, image_id),
    )


def show_more(shown: int, total: int, page: int) -> str:
    """Under the results: how many of how many are shown, and the button for more; nothing when all are."""
    if shown >= total:
        return ""
    said = f"<span>{shown:,} of {counted(total, 'picture')}</span>"
    if shown >= MAX_SHOWN:
        return f'<p class="more">{said}<span>No more than {MAX_SHOWN} are shown. “Only in …” or more words find the others.</span></p>'
    button = f'<button type="button" class="pill" data-do="more">Show {min(page, total - shown, MAX_SHOWN - shown)} more</button>'
    return f'<p class="more">{said}{button}</p>'


def signed_number(number: float, digits: int = 2) -> str:
    """A number with its sign, the minus as long as the plus."""
    rounded = round(number, digits) + 0.0  # no minus before a zero
    return f"{rounded:+.{digits}f}".replace("-", "−")


# --- the steps ------------------------------------------------------------------------------------------


def crumbs(path: Sequence[Step], history: Sequence[Step], present: int) -> str:
    """The way to the present step, undo, and a fold with all remembered steps; nothing before the second."""
    if len(history) < 2:
        return ""
    undo = (
        '<button type="button" class="undo" data-do="undo" title="Back to the step before (z)">Undo</button>'
    )
    apart = steps.details(history)
    here = "".join(f"<li>{_step(step, present, apart)}</li>" for step in path[-6:])
    more = "… " if len(path) > 6 else ""
    all_steps = "".join(f"<li>{_step(step, present, apart)}</li>" for step in history)
    fold = f"<details><summary>History</summary><ol>{all_steps}</ol></details>"
    return f'<nav class="crumbs" aria-label="Your steps">{undo if len(path) > 1 else ""}{more}<ol>{here}</ol>{fold}</nav>'


def _step(step: Step, present: int, apart: Mapping[int, str]) -> str:
    detail = f"<small>{escape(apart[step.number])}</small>" if apart.get(step.number) else ""
    title = " · ".join(part for part in (step.title, apart.get(step.number, "")) if part)
    picture = f'<img src="{escape(step.picture)}" alt="">' if step.picture else ""
    current = ' aria-current="step"' if step.number == present else ""
    return (
        f'<button type="button" data-do="step" data-place="{step.number}"{current} title="{escape(title)}">'
        f"{picture}<span>{escape(step.title)}</span>{detail}</button>"
    )
