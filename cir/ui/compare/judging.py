"""The pictures that were meant, as plain functions: where each method puts them, and which numbers would put them highest.

All of it is arithmetic on what was composed. Knows neither gradio nor HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cir.composers.parameters import Parameter, Values
from cir.ranking.retriever import scoring_of
from cir.ranking.scoring import Linear
from cir.ranking.sweep import Fit, Ranks, fit, grid, sweep
from cir.types import ComposedQuery
from cir.ui.compare.handlers import Comparison, ranks_of

if TYPE_CHECKING:
    from cir.ranking.retriever import Retriever

UNTOLD = (
    "Which numbers would put them highest is not worked out for a gallery on servers, unless the marked pictures are among the "
    "best under all of them: it would take hundreds of searches."
)


@dataclass(frozen=True, slots=True)
class Judged:
    """The marked pictures: where each method and each part alone puts them, and what weights would do.

    Attributes:
        ids: of the marked pictures.
        by_method: method -> their ranks.
        by_part: (part, "pixels" or "captions") -> their ranks under it alone.
        called: part -> what the method puts there, where that is not what CVSI puts there.
        weighed: the method of `by_part`, `curve`, `surface` and `fitted`: the first that has numbers; "" where none has.
        parameters: of that method.
        curve: where it has one number, that number -> the worst of their ranks; the present one is among them.
        surface: where it has two shares, (one, other) -> the worst of their ranks, at `fixed`.
        fixed: its other numbers, on the grid, nearest to those that were found.
        present: its present numbers.
        fitted: the best numbers on the grid.
        tried: how many there are.
        note: what cannot be told of this gallery, in words.
    """

    ids: tuple[str, ...]
    by_method: dict[str, tuple[int, ...]]
    by_part: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    weighed: str = ""
    parameters: tuple[Parameter, ...] = ()
    curve: Mapping[float, int] = field(default_factory=dict)
    surface: Mapping[tuple[float, float], int] = field(default_factory=dict)
    fixed: Values = field(default_factory=dict)
    present: Values = field(default_factory=dict)
    fitted: Fit | None = None
    tried: int = 0
    note: str = ""


def judge(retriever: Retriever, state: Comparison) -> Judged | None:
    """Where the marked pictures stand, and which numbers of the first method that has any would put them highest. None when nothing is marked."""
    ids = tuple(i for i in state.marked if i not in state.left_out)
    if not ids or not state.composed:
        return None
    by_method = {m: ranks_of(retriever, state, m, ids) for m in state.methods if m in state.composed}
    method = next((m for m in by_method if retriever.composers[m].parameters), "")
    if not method:
        return Judged(ids, by_method, note=_far_note(retriever, by_method))
    parameters, composed, present = (
        retriever.composers[method].parameters,
        state.composed[method],
        state.values[method],
    )
    tried = grid(parameters)
    scorings = [scoring_of(composed, values) for values in tried]
    found = sweep(retriever, composed, ids, scorings, exclude=state.left_out)
    if not found.all():
        note = " ".join(filter(None, (_far_note(retriever, by_method), UNTOLD)))
        by_part = _by_part(retriever, state, composed, ids)
        return Judged(ids, by_method, by_part, composed.called, method, parameters, note=note)
    fitted = fit(found, by_method[method], present, tried)
    fixed = _nearest_fixed(parameters, fitted.values, tried)
    return Judged(
        ids,
        by_method,
        _by_part(retriever, state, composed, ids),
        composed.called,
        method,
        parameters,
        _curve(parameters, found.max(axis=0), tried, present, by_method[method]),
        _surface(parameters, found.max(axis=0), fixed, tried),
        fixed,
        present,
        fitted,
        len(tried),
        _far_note(retriever, by_method),
    )


def _far_note(retriever: Retriever, by_method: Mapping[str, Sequence[int]]) -> str:
    """That ranks are counted up to somewhere, where one is that far back; "" otherwise."""
    far = retriever.engine.far
    if far is None or all(rank != far for ranks in by_method.values() for rank in ranks):
        return ""
    return f"Ranks of this gallery are counted up to {far:,}, which also stands for all behind it."


def _nearest_fixed(parameters: Sequence[Parameter], values: Values, tried: Sequence[Values]) -> Values:
    """The numbers that are no shares, on the grid, nearest to these."""
    names = [p.name for p in parameters if not p.part]
    best = min(tried, key=lambda one: sum(abs(one[name] - values[name]) for name in names))
    return {name: best[name] for name in names}


def _curve(
    parameters: Sequence[Parameter],
    worst: Ranks,
    tried: Sequence[Values],
    present: Values,
    before: Sequence[int],
) -> dict[float, int]:
    if len(parameters) != 1:
        return {}
    name = parameters[0].name
    curve = {values[name]: int(rank) for values, rank in zip(tried, worst, strict=True)}
    return {**curve, present[name]: max(before)}


def _surface(
    parameters: Sequence[Parameter], worst: Ranks, fixed: Values, tried: Sequence[Values]
) -> dict[tuple[float, float], int]:
    shared = [p.name for p in parameters if p.part]
    if len(shared) != 2:
        return {}
    return {
        (values[shared[0]], values[shared[1]]): int(rank)
        for values, rank in zip(tried, worst, strict=True)
        if all(values[name] == number for name, number in fixed.items())
    }


def _by_part(
    retriever: Retriever, state: Comparison, composed: ComposedQuery, ids: tuple[str, ...]
) -> dict[tuple[str, str], tuple[int, ...]]:
    captioned = retriever.gallery.captioned_images and not composed.space
    sides = {"pixels": 0.0, **({"captions": 1.0} if captioned else {})}
    alone = {(part, side): Linear({part: 1.0}, g) for part in composed.parts for side, g in sides.items()}
    found = sweep(retriever, composed, ids, list(alone.values()), exclude=state.left_out)
    return {name: tuple(found[:, place].tolist()) for place, name in enumerate(alone)}
