"""The pictures that were meant: where each method puts them, and which numbers would put them highest.

All of it is arithmetic on what was composed; no model is called. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cir.composers.parameters import Parameter, Values
from cir.ranking.retriever import Retriever, scoring_of
from cir.ranking.scoring import Linear
from cir.ranking.sweep import Fit, Ranks, fit, grid, sweep
from cir.types import ComposedQuery

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


def judge(
    retriever: Retriever,
    composed: Mapping[str, ComposedQuery],
    values: Mapping[str, Values],
    ids: Sequence[str],
    *,
    exclude: Sequence[str] = (),
) -> Judged | None:
    """Where some pictures stand, and which numbers of the first method that has any would put them highest.

    Args:
        retriever: what is searched.
        composed: method -> the query as it composed it.
        values: method -> its present numbers.
        ids: of the pictures that were meant.
        exclude: ids that no method ranks.

    Returns:
        None where no picture was meant, or no method has composed the query.
    """
    meant = tuple(i for i in ids if i not in exclude)
    if not meant or not composed:
        return None
    by_method = {m: ranks_of(retriever, one, values[m], meant, exclude) for m, one in composed.items()}
    far = _far_note(retriever, by_method)
    method = next((m for m in by_method if retriever.composers[m].parameters), "")
    if not method:
        return Judged(meant, by_method, note=far)
    query, present = composed[method], values[method]
    parameters = retriever.composers[method].parameters
    tried = grid(parameters)
    found = sweep(retriever, query, meant, [scoring_of(query, one) for one in tried], exclude=exclude)
    by_part = _by_part(retriever, query, meant, exclude)
    if not found.all():
        note = " ".join(filter(None, (far, UNTOLD)))
        return Judged(meant, by_method, by_part, query.called, method, parameters, note=note)
    fitted = fit(found, by_method[method], present, tried)
    fixed, worst = _nearest_fixed(parameters, fitted.values, tried), found.max(axis=0)
    return Judged(
        meant,
        by_method,
        by_part,
        query.called,
        method,
        parameters,
        _curve(parameters, worst, tried, present, by_method[method]),
        _surface(parameters, worst, fixed, tried),
        fixed,
        present,
        fitted,
        len(tried),
        far,
    )


def ranks_of(
    retriever: Retriever, composed: ComposedQuery, values: Values, ids: Sequence[str], exclude: Sequence[str]
) -> tuple[int, ...]:
    """Ranks of images by one method under these numbers."""
    found = sweep(retriever, composed, ids, [scoring_of(composed, values)], exclude=exclude)
    return tuple(found[:, 0].tolist())


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
    retriever: Retriever, composed: ComposedQuery, ids: Sequence[str], exclude: Sequence[str]
) -> dict[tuple[str, str], tuple[int, ...]]:
    captioned = retriever.gallery.captioned_images and not composed.space
    sides = {"pixels": 0.0, **({"captions": 1.0} if captioned else {})}
    alone = {(part, side): Linear({part: 1.0}, g) for part in composed.parts for side, g in sides.items()}
    found = sweep(retriever, composed, ids, list(alone.values()), exclude=exclude)
    return {name: tuple(found[:, place].tolist()) for place, name in enumerate(alone)}
