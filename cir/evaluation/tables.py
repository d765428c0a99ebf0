"""The tables of docs/results.md, made of kept queries: ranks first, then recalls with their intervals, then markdown.

No model is called here. Source of the forms: CVSI, Tables I, III and IV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cir.evaluation.bootstrap import interval
from cir.evaluation.measures import recalls
from cir.fusion import Floats, gallery_terms
from cir.gallery.gallery import Gallery
from cir.retriever import part_weights
from cir.sweep import ranks, rows_for, terms_of
from cir.types import PARTS, CirQuery, ComposedQuery, Weights

KS = (1, 5, 10, 50)
MEAN = "mean"
Ranked = Mapping[str, int]  # query id -> rank of its target, from 1


def target_ranks(
    gallery: Gallery,
    queries: Iterable[CirQuery],
    composed: Mapping[str, ComposedQuery],
    rows: Callable[[ComposedQuery], tuple[Floats, Sequence[float]]],
) -> dict[str, np.ndarray]:
    """(G, W) ranks of each query's target, the reference left out.

    Args:
        gallery: what is searched.
        queries: those without a composed query are passed over.
        composed: query id -> composed query.
        rows: a composed query -> (W, P) weights in the order of its parts, and G gammas.
    """
    asked = [q for q in queries if q.query_id in composed]
    norms = gallery_terms(gallery.image_features, gallery.caption_features, gallery.captioned)
    found = {}
    all_terms = terms_of(
        (composed[q.query_id] for q in asked), gallery.image_features, gallery.caption_features
    )
    for query, terms in zip(asked, all_terms, strict=True):
        weights, gammas = rows(composed[query.query_id])
        left_out = [gallery.find(query.reference_id)]
        target = gallery.find(query.target_ids[0])
        found[query.query_id] = ranks(terms, norms, target, weights, gammas, excluded=left_out)
    return found


def method_ranks(
    gallery: Gallery, queries: Iterable[CirQuery], composed: Mapping[str, ComposedQuery], weights: Weights
) -> dict[str, int]:
    """Rank of each query's target under a method's weights."""

    def rows(query: ComposedQuery) -> tuple[Floats, Sequence[float]]:
        numbers, gamma = part_weights(query, weights)
        return np.array([[numbers[name] for name in query.parts]]), [gamma]

    found = target_ranks(gallery, queries, composed, rows)
    return {query_id: int(grid[0, 0]) for query_id, grid in found.items()}


@dataclass(frozen=True, slots=True)
class Measured:
    """Recalls of one row, in percent, and the interval of R@1."""

    recalls: Mapping[str, float]
    low: float
    high: float
    queries: int


def measure(ranked: Ranked, *, seed: int = 0) -> Measured:
    """R@1, R@5, R@10, R@50, their mean, and the 95 % bootstrap interval of R@1."""
    values = list(ranked.values())
    found = recalls(values, KS)
    hits = np.array([100.0 * (rank == 1) for rank in values])
    low, high = interval(hits, seed=seed)
    return Measured(
        {**found, MEAN: float(np.mean(list(found.values())))}, float(low), float(high), len(values)
    )


def recall_table(rows: Mapping[str, Ranked], *, first: str, seed: int = 0) -> str:
    """One line for each row: R@1 with its interval, R@5, R@10, R@50, mean, and on how many queries.

    Args:
        rows: name -> ranks; empty ones say that there is nothing yet.
        first: heading of the first column.
        seed: of the resampling.
    """
    lines = [f"| {first} | R@1 | R@5 | R@10 | R@50 | mean | queries |", "|---|---|---|---|---|---|---|"]
    for name, ranked in rows.items():
        if not ranked:
            lines.append(f"| {name} | | | | | | 0 |")
            continue
        m = measure(ranked, seed=seed)
        rest = " | ".join(f"{m.recalls[k]:.1f}" for k in ("R@5", "R@10", "R@50", MEAN))
        lines.append(
            f"| {name} | {m.recalls['R@1']:.1f} [{m.low:.1f}, {m.high:.1f}] | {rest} | {m.queries:,} |"
        )
    return "\n".join(lines)


def kinds_table(rows: Mapping[str, Ranked], queries: Sequence[CirQuery]) -> str:
    """R@1 of each row by kind of edit; the heading says how many queries of each kind there are."""
    kinds = sorted({q.kind for q in queries})
    counts = {kind: sum(q.kind == kind for q in queries) for kind in kinds}
    lines = [
        "| method | " + " | ".join(f"{kind} ({counts[kind]})" for kind in kinds) + " |",
        "|" + "---|" * (len(kinds) + 1),
    ]
    for name, ranked in rows.items():
        cells = []
        for kind in kinds:
            own = [ranked[q.query_id] for q in queries if q.kind == kind and q.query_id in ranked]
            cells.append(f"{recalls(own, (1,))['R@1']:.0f}" if own else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def best_first(rows: Mapping[str, Ranked]) -> dict[str, Ranked]:
    """Rows by falling R@1, then R@5; those on fewer than half of the queries, which say little, come last."""
    most = max(map(len, rows.values()), default=0)

    def key(item: tuple[str, Ranked]) -> tuple[bool, float, float]:
        found = recalls(list(item[1].values()), (1, 5))
        return 2 * len(item[1]) < most, -found["R@1"], -found["R@5"]

    return dict(sorted(rows.items(), key=key))


def shared(rows: Mapping[str, Ranked]) -> dict[str, Ranked]:
    """The same rows on the queries that all non-empty ones have."""
    sets = [set(ranked) for ranked in rows.values() if ranked]
    common = set.intersection(*sets) if sets else set()
    return {name: {q: r for q, r in ranked.items() if q in common} for name, ranked in rows.items()}


def ablation_rows(weights: Weights) -> dict[str, tuple[tuple[float, float, float], float]]:
    """CVSI's Table III: name -> (weights of PARTS, gamma).

    What is excluded weighs 0 and the rest keeps its ratio; where all weight lay on what is excluded, the rest counts
    equally. Source: CVSI, section IV-C and Table III.
    """
    a, b, c = weights.parts
    g = weights.gamma
    return {
        "w/o visual information extraction": ((1.0, 0.0, 0.0), 1.0),
        "w/o semantic information extraction": ((0.0, b, c), 0.0),
        "w/o reference image features": ((a, b, 0.0), g),
        "w/o fine-grained features": ((a, 0.0, c), g),
        "w/o average modified captions features": ((0.0, b, c), g),
        "w/o target images features": ((a, b, c), 1.0),
        "w/o target average captions features": ((a, b, c), 0.0),
        "CVSI": ((a, b, c), g),
    }


def ablated(
    gallery: Gallery, queries: Sequence[CirQuery], composed: Mapping[str, ComposedQuery], weights: Weights
) -> dict[str, dict[str, int]]:
    """The rows of Table III -> ranks, on queries that have all three parts."""
    whole = {name: q for name, q in composed.items() if set(q.parts) == set(PARTS)}
    wanted = ablation_rows(weights)
    kinds, numbers = list(wanted), np.array([row for row, _ in wanted.values()])
    gammas = sorted({gamma for _, gamma in wanted.values()})

    def rows(query: ComposedQuery) -> tuple[Floats, Sequence[float]]:
        return rows_for(query, numbers), gammas

    grids = target_ranks(gallery, queries, whole, rows)
    return {
        kind: {q: int(grid[gammas.index(wanted[kind][1]), i]) for q, grid in grids.items()}
        for i, kind in enumerate(kinds)
    }
