"""One result looked at closely: its captions, what its score is made of, what would lift it, and where to go from it.

`inspect` gathers that, the rest is its HTML, in which every text that is not ours passes through `escape`. No gradio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cir.errors import BadQuery
from cir.gallery import narrowing
from cir.ranking.explaining import Why, why
from cir.ui.pieces import PART_WORDS, chips, escape, slider_label
from cir.ui.search import handlers
from cir.ui.search.render import CHIPS_SHOWN, TERM_WORDS, signed_number

if TYPE_CHECKING:
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Answer, Session


@dataclass(frozen=True, slots=True)
class Inspected:
    """One result of the present query.

    Attributes:
        image_id, rank, score: as ranked.
        file: its path inside the gallery.
        read_as: as what it was read, such as "a photograph"; "" where all pictures are read alike.
        captions: of the image.
        why: what the score is made of.
        weighted: whether there are sliders that could lift it.
        similar: how many near-identical results stand behind it.
        unfolded: whether those are shown.
        selected: whether it is chosen for the download.
        called: as of the query.
        far: as of `Engine`.
    """

    image_id: str
    rank: int
    score: float
    captions: tuple[str, ...]
    why: Why
    weighted: bool
    similar: int
    unfolded: bool
    selected: bool
    file: str = ""
    read_as: str = ""
    called: Mapping[str, str] = field(default_factory=dict)
    far: int | None = None


def inspect(
    retriever: Retriever,
    session: Session,
    image_id: str,
    found: Answer | None = None,
    *,
    read_as: Callable[[NDArray[np.float32]], str] = lambda row: "",
) -> Inspected:
    """Look closely at one result of the present query.

    Args:
        retriever, session: as in `handlers.answer`.
        image_id: one of `session.result_ids`.
        found: the answer on the screen, when the caller has it.
        read_as: as of `PageContent`.

    Raises:
        BadQuery: nothing was searched for, or the image is not among the results.
    """
    found = handlers.answer(retriever, session) if found is None else found
    result = next((r for r in found.results if r.image_id == image_id), None)
    if result is None:
        raise BadQuery(
            "That picture is not among the results any more.", "Choose one of those that are shown."
        )
    session.inspected_id = image_id
    among, out = narrowing.among(retriever.gallery, session.only), handlers.left_out(session)
    parameters = retriever.composers[found.method].parameters
    return Inspected(
        image_id,
        result.rank,
        result.score,
        tuple(retriever.gallery.captions(image_id)),
        why(
            retriever,
            found.composed,
            parameters,
            found.settings.values,
            image_id,
            among=among,
            exclude=out,
        ),
        bool(parameters),
        len(found.similar.get(image_id, ())),
        image_id in session.unfolded,
        image_id in session.selected,
        retriever.gallery.label(image_id),
        read_as(retriever.gallery.raw_features(image_id)),
        found.composed.called,
        retriever.engine.far,
    )


def closer_look(seen: Inspected) -> str:
    """One result closely: its captions, what its score is made of, what would lift it, where to go from it."""
    captions = (
        f'<span class="machine">The machine’s words, which may be wrong:</span> {chips(seen.captions, CHIPS_SHOWN)}'
        if seen.captions
        else '<span class="none">No captions of this picture.</span>'
    )
    return (
        f'<div class="inspected"><h2>Number {seen.rank} <span>score {seen.score:.3f}</span></h2>'
        f'<div class="said">{_file(seen)}{captions}<p class="move">{_move(seen)}</p></div>'
        f'<div class="why">{_stack(seen)}{_table(seen)}</div>{_buttons(seen)}</div>{_leave_buttons()}'
    )


def _file(seen: Inspected) -> str:
    """Which file it is, and as what it was read: a photograph that was read as a drawing is found by nothing."""
    said = [escape(seen.file)] if seen.file else []
    if seen.read_as:
        said.append(f"read as {escape(seen.read_as)}")
    return f'<p class="file">{", ".join(said)}</p>' if said else ""


def _stack(seen: Inspected) -> str:
    """The terms of the score as one bar; what counts against it is hatched. The table beside it says the same."""
    pieces = []
    for name, share in _ordered_shares(seen):
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
        f"<td>{signed_number(share['image'], 3)}</td><td>{signed_number(share['captions'], 3)}</td>"
        f"<td>{_rank_alone(seen, name)}</td></tr>"
        for name, share in _ordered_shares(seen)
    )
    return (
        '<table><caption class="spoken">What the score is made of: each part with the pixels and with the captions '
        "of this picture, and the rank by that part alone</caption>"
        '<thead><tr><td></td><th scope="col" title="What its pixels add to the score">pixels</th>'
        '<th scope="col" title="What its captions add to the score">captions</th>'
        '<th scope="col" title="Its rank, were the query this part alone">rank alone</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _rank_alone(seen: Inspected, name: str) -> str:
    rank = seen.why.ranks_alone.get(name)
    return "" if rank is None else f"{rank:,} or more" if rank == seen.far else str(rank)


def _ordered_shares(seen: Inspected) -> list[tuple[str, Mapping[str, float]]]:
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
    return f"{TERM_WORDS.get(kind, kind).capitalize()} … {f'({number})' if number else ''}".strip()


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


def _buttons(seen: Inspected) -> str:
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


def _leave_buttons() -> str:
    """Under the closer look: go on from this picture, or leave it."""
    return (
        '<div class="leave"><button type="button" class="primary" data-do="use" id="use-as-reference">'
        "Use as reference</button>"
        '<button type="button" class="pill" data-do="close" id="close-inspector">Close</button></div>'
    )
