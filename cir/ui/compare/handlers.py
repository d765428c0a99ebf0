"""What the Compare tab does, as plain functions: one query by several methods, and the pictures that were meant.

Everything after composing is arithmetic. This module knows neither gradio nor HTML.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cir.composers.parameters import Values, defaults, starting
from cir.errors import BadQuery
from cir.images import read_image
from cir.ranking.judging import Judged, judge, ranks_of
from cir.text import clean_text, counted
from cir.types import ComposedQuery, Query, RetrievedImage
from cir.ui.problems import Problem, describe_problem
from cir.ui.reading import read_method
from cir.ui.search.reference import read_reference
from cir.ui.session import Session

if TYPE_CHECKING:
    from cir.ranking.retriever import Retriever

LEAST, MOST = 2, 4
SHOWN = 12  # results of each method
MARKS = 3


@dataclass(slots=True)
class Comparison:
    """What the server remembers of one comparison: the query's features by method, and ids. Small.

    Attributes:
        methods: in the order of the columns.
        composed, problems: method -> its query as far as it is composed, or why it cannot be.
        values: method -> the numbers that it is ranked by.
        result_ids: method -> what is on the screen.
        asked: (picture, edit, gallery) of this comparison; the same query is not composed again.
        reference_id: the reference, where it is a picture of the gallery: it is left out.
        marked: the pictures that were meant, at most three.
        turn: how many comparisons were begun; an older one stops when a newer one has begun.
        notes: what was noticed while the query was read.
    """

    methods: tuple[str, ...] = ()
    composed: dict[str, ComposedQuery] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    result_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: tuple[str, str, str] = ("", "", "")
    reference_id: str = ""
    marked: tuple[str, ...] = ()
    turn: int = 0
    notes: tuple[str, ...] = ()

    @property
    def rest_is_costly(self) -> bool:
        """Whether every method has its first results, and some are to come that may need a language model."""
        begun = [self.composed[m] for m in self.methods if m in self.composed]
        answered = len(begun) + sum(m in self.problems for m in self.methods if m not in self.composed)
        return answered == len(self.methods) and any(composed.pending for composed in begun)

    @property
    def done(self) -> int:
        """How many methods have their last results, or a problem."""
        whole = {name for name, composed in self.composed.items() if not composed.pending}
        return sum(method in whole or method in self.problems for method in self.methods)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Ids that no method ranks."""
        return (self.reference_id,) if self.reference_id else ()


@dataclass(frozen=True, slots=True)
class Column:
    """One method's answer.

    Attributes:
        method: its name.
        results: best first.
        moves: for each result, by how many places it stands higher than under the first method (negative: lower).
        shared: how many of the results are results of the first method as well.
        composed: None where it cannot be composed, or nothing has come yet.
        problem: why not.
        ranking_ms: how long ranking the whole gallery took.
    """

    method: str
    results: tuple[RetrievedImage, ...] = ()
    moves: tuple[int, ...] = ()
    shared: int = 0
    composed: ComposedQuery | None = None
    problem: Problem | None = None
    ranking_ms: float = 0.0


def read_choice(methods: Sequence[str], chosen: object) -> tuple[str, ...]:
    """The chosen methods, in the order of `methods`.

    Raises:
        BadQuery: fewer than two, more than four, or one that there is not.
    """
    names = {read_method(methods, name) for name in chosen} if isinstance(chosen, list | tuple) else set()
    if not LEAST <= len(names) <= MOST:
        raise BadQuery(f"{counted(len(names), 'method')} chosen.", f"Choose {LEAST} to {MOST}.")
    return tuple(name for name in methods if name in names)


def begin(state: Comparison) -> int:
    """The number of a comparison that was asked for just now; those of the same page that came before it end."""
    state.turn += 1
    return state.turn


def compare(
    retriever: Retriever,
    session: Session,
    state: Comparison,
    *,
    image: object,
    text: object,
    chosen: object,
    sliders: tuple[str, Values] | None,
    turn: int | None = None,
    notes: Sequence[str] = (),
) -> Iterator[str]:
    """Compose the query by every chosen method, one stage of each in turn, so that the quick ones are there first.

    Args:
        retriever: what is searched.
        session: of the page; says whether the picture is one of the gallery.
        state: takes what is composed. A newer comparison ends this one at its next stage.
        image, text: the fields of the Search tab.
        chosen: names of methods.
        sliders: the method on the Search tab and the numbers that a person chose for it; None where none were. All others
            are where the method starts for the picture.
        turn: from `begin`, where this may stand in a line for a while; None begins now.
        notes: what was noticed before.

    Yields:
        The method that has just come further.

    Raises:
        CirError: what cannot be compared. A method that cannot answer is a problem of its column alone.
    """
    methods = read_choice(retriever.methods, chosen)
    edit, text_notes = clean_text(text)
    path, reference_id = read_reference(retriever.gallery, session, image)
    query = Query(None if path is None else read_image(path), edit)
    turn = begin(state) if turn is None else turn
    asked = (str(path or ""), edit, session.gallery)
    if asked != state.asked:
        state.composed, state.marked, state.asked = {}, (), asked
    state.methods, state.problems, state.notes = methods, {}, (*notes, *text_notes)
    state.reference_id = reference_id
    chosen_numbers = dict([sliders] if sliders else [])
    state.values = {
        name: chosen_numbers.get(name, defaults(retriever.composers[name].parameters)) for name in methods
    }
    follow = [m for m in methods if m not in chosen_numbers]
    whole = [m for m in methods if m in state.composed and not state.composed[m].pending]
    for method in whole:
        if method in follow:
            state.values[method] = starting(retriever.composers[method].parameters, state.composed[method])
        yield method
    waiting = {m: retriever.compose(query, m) for m in methods if m not in whole}
    while waiting:
        for method in list(waiting):
            stage = _next_stage(waiting[method])
            if state.turn != turn:
                return
            if stage is None:
                del waiting[method]
                continue
            if isinstance(stage, Problem):
                state.problems[method] = stage
                del waiting[method]
            else:
                state.composed[method] = stage
                if method in follow:
                    state.values[method] = starting(retriever.composers[method].parameters, stage)
            yield method


def _next_stage(stages: Iterator[ComposedQuery]) -> ComposedQuery | Problem | None:
    """The next stage; None when there is no more; a problem in words when the method cannot go on."""
    try:
        return next(stages, None)
    except Exception as error:  # told in its column; faults are logged under an id
        return describe_problem(error)


def column(retriever: Retriever, state: Comparison, method: str) -> Column:
    """One method's results as they stand, beside those of the first method, whose column comes before."""
    if method in state.problems:
        state.result_ids[method] = ()
        return Column(method, problem=state.problems[method])
    if method not in state.composed:
        state.result_ids[method] = ()
        return Column(method)
    composed = state.composed[method]
    since = time.perf_counter()
    results = tuple(retriever.rank(composed, state.values[method], top_k=SHOWN, exclude=state.left_out))
    took = 1000.0 * (time.perf_counter() - since)
    ids = tuple(r.image_id for r in results)
    state.result_ids[method] = ids
    first = state.methods[0]
    if method == first or first not in state.composed:
        return Column(method, results, composed=composed, ranking_ms=took)
    known = {image_id: rank for rank, image_id in enumerate(state.result_ids.get(first, ()), start=1)}
    beyond = [i for i in ids if i not in known]
    ranks = ranks_of(retriever, state.composed[first], state.values[first], beyond, state.left_out)
    there = known | dict(zip(beyond, ranks, strict=True))
    moves = tuple(there[r.image_id] - r.rank for r in results)
    shared = sum(i in known for i in ids)
    return Column(method, results, moves, shared, composed, ranking_ms=took)


def judged(retriever: Retriever, state: Comparison) -> Judged | None:
    """Where the marked pictures stand, and which weights would find them; None when nothing is marked."""
    composed = {m: state.composed[m] for m in state.methods if m in state.composed}
    return judge(retriever, composed, state.values, state.marked, exclude=state.left_out)


def mark(state: Comparison, image_id: object) -> None:
    """Mark a picture as one that was meant; marked again, it is so no more. The oldest of more than three goes.

    Raises:
        BadQuery: it is no result of any method.
    """
    if not isinstance(image_id, str) or not any(image_id in ids for ids in state.result_ids.values()):
        raise BadQuery("That picture is not on the page any more.", "Choose one of those that are shown.")
    if image_id in state.marked:
        state.marked = tuple(i for i in state.marked if i != image_id)
    else:
        state.marked = (*state.marked, image_id)[-MARKS:]
