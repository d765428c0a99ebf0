"""The tables of docs/results.md, made of kept queries: ranks first, then measures with their intervals, then markdown.

No model is called here. Source of the forms: CVSI, Tables I, III and IV.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cir.composers.cvsi import PARAMETERS, PARTS
from cir.composers.parameters import Values, shares
from cir.evaluation.bootstrap import interval
from cir.evaluation.rank_measures import NOT_RANKED, RECALLS, Measure, Ranked, share
from cir.gallery.gallery import Gallery
from cir.ranking.engines import open_whole
from cir.ranking.retriever import rows_of, scoring_of
from cir.ranking.scoring import Linear, Scoring
from cir.ranking.sweep import Ranks, ranks, terms_of
from cir.text import counted
from cir.types import CirQuery, ComposedQuery

IMAGE_ONLY, TEXT_ONLY = ONE_SIDED = ("Image-only", "Text-only")
Scorings = Callable[[ComposedQuery], Sequence[Scoring]]


def target_ranks(
    gallery: Gallery,
    queries: Iterable[CirQuery],
    composed: Mapping[str, ComposedQuery],
    scorings_of: Scorings,
    measure: Measure = RECALLS,
) -> dict[str, Ranks]:
    """Ranks of each query's targets: (T, S), and inside the query's set, where it has one, as a last row.

    Args:
        gallery: what is searched.
        queries: those without a composed query are passed over.
        composed: query id -> composed query.
        scorings_of: a composed query -> its S scorings.
        measure: whether the reference is left out, and which queries have sets.
    """
    asked = [q for q in queries if q.query_id in composed]
    engine = open_whole(gallery)
    found = {}
    all_terms = terms_of(engine, (composed[q.query_id] for q in asked))
    for query, terms in zip(asked, all_terms, strict=True):
        scorings = scorings_of(composed[query.query_id])
        targets = [gallery.find(image_id) for image_id in query.target_ids]
        left_out = [gallery.find(query.reference_id)] if measure.leaves_out_reference else []
        placed = ranks(terms, engine.norms, targets, scorings, excluded=left_out)
        placed[np.isin(targets, left_out)] = NOT_RANKED
        if query.query_id in measure.members:
            others = [m for m in measure.members[query.query_id] if m != query.reference_id]
            rows_of_set = [gallery.find(image_id) for image_id in others]
            target = others.index(query.target_ids[0])
            inside = ranks(terms.among(rows_of_set), engine.norms.among(rows_of_set), [target], scorings)
            placed = np.concatenate([placed, inside])
        found[query.query_id] = placed
    return found


def method_ranks(
    gallery: Gallery,
    queries: Iterable[CirQuery],
    composed: Mapping[str, ComposedQuery],
    values: Values,
    measure: Measure = RECALLS,
) -> dict[str, tuple[int, ...]]:
    """Ranks of each query's targets under a method's numbers."""
    found = target_ranks(gallery, queries, composed, lambda query: [scoring_of(query, values)], measure)
    return {query_id: tuple(grid[:, 0].tolist()) for query_id, grid in found.items()}


def first_places(
    gallery: Gallery,
    queries: Iterable[CirQuery],
    composed: Mapping[str, ComposedQuery],
    values: Values,
    measure: Measure = RECALLS,
) -> dict[str, str]:
    """Query id -> id of the image that a method puts first under its numbers."""
    engine, found = open_whole(gallery), {}
    for query in queries:
        if query.query_id in composed:
            left_out = [gallery.find(query.reference_id)] if measure.leaves_out_reference else []
            one = composed[query.query_id]
            places, _ = engine.top(rows_of(one), scoring_of(one, values), 1, exclude=left_out)
            found[query.query_id] = gallery.image_ids[places[0]]
    return found


def solved_by_one_side(rows: Mapping[str, Ranked]) -> dict[str, set[str]]:
    """Method of one modality -> ids of the queries whose target it puts first: by the image alone, by the text alone.

    Such queries are shortcuts: a method may answer them without composing anything. Empty where one of the two is not there.
    """
    if not all(rows.get(name) for name in ONE_SIDED):
        return {}
    return {name: {query_id for query_id, ranks in rows[name].items() if ranks[0] == 1} for name in ONE_SIDED}


def shortcuts_table(rows: Mapping[str, Ranked], measure: Measure = RECALLS, *, seed: int = 0) -> str:
    """The share of queries that one modality alone solves, and each method on the others; "" where that is not known."""
    solved = solved_by_one_side(rows)
    if not solved:
        return ""
    asked = set.intersection(*(set(rows[name]) for name in ONE_SIDED))
    either = set.union(*solved.values()) & asked
    percent = {name: 100.0 * len(ids & asked) / len(asked) for name, ids in solved.items()}
    said = (
        f"Of {counted(len(asked), 'query', 'queries')} the reference alone puts the target first in {percent[IMAGE_ONLY]:.1f} %, the text alone in "
        f"{percent[TEXT_ONLY]:.1f} %, one or the other in {100.0 * len(either) / len(asked):.1f} %. {measure.first} on those, and on the rest:"
    )
    lines = [
        f"| method | {measure.first} of all | of shortcuts | of the rest | queries of the rest |",
        "|" + "---|" * 5,
    ]
    for name, ranked in rows.items():
        short = {i: r for i, r in ranked.items() if i in either}
        rest = {i: r for i, r in ranked.items() if i in asked - either}
        if rest and name not in ONE_SIDED:
            whole, m = measured(ranked, measure, seed=seed), measured(rest, measure, seed=seed)
            by_short = f"{measure.means(short.values())[measure.first]:.1f}" if short else ""
            lines.append(
                f"| {name} | {whole.values[measure.first]:.1f} | {by_short} | {m.values[measure.first]:.1f} [{m.low:.1f}, {m.high:.1f}] | {m.queries:,} |"
            )
    return said + "\n\n" + "\n".join(lines)


def near_misses_table(misses: Mapping[str, Mapping[str, str]]) -> str:
    """How often each method puts a near miss first, and what is wrong with it.

    Args:
        misses: method -> query id -> what is wrong with the image that stands first; "" where it is no near miss.
    """
    kinds = sorted({kind for found in misses.values() for kind in found.values() if kind})
    lines = [
        f"| method | a near miss is first | {' | '.join(kinds)} | queries |",
        "|" + "---|" * (len(kinds) + 3),
    ]
    for name, found in misses.items():
        count = Counter(found.values())
        shares_of = [100.0 * count[kind] / len(found) for kind in kinds]
        cells = " | ".join(f"{share:.1f}" for share in shares_of)
        lines.append(f"| {name} | {sum(shares_of):.1f} | {cells} | {len(found):,} |")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Measured:
    """The columns of one row, in percent, and the interval of the first one."""

    values: Mapping[str, float]
    low: float
    high: float
    queries: int


def measured(ranked: Ranked, measure: Measure = RECALLS, *, seed: int = 0) -> Measured:
    """The columns of a measure, and the 95 % bootstrap interval of its first one."""
    rows = list(ranked.values())
    hits = [100.0 * share(np.asarray(row), measure.first) for row in rows]
    low, high = interval(np.array(hits), seed=seed)
    return Measured(measure.means(rows), float(low), float(high), len(rows))


def measure_table(
    rows: Mapping[str, Ranked], *, first: str, measure: Measure = RECALLS, seed: int = 0
) -> str:
    """One line for each row: the measure's columns, the first with its interval, and on how many queries.

    Args:
        rows: name -> ranks; empty ones say that there is nothing yet.
        first: heading of the first column.
        measure: whose columns.
        seed: of the resampling.
    """
    columns = measure.columns
    lines = [f"| {first} | {' | '.join(columns)} | queries |", "|" + "---|" * (len(columns) + 2)]
    for name, ranked in rows.items():
        if not ranked:
            lines.append(f"| {name} |{' |' * len(columns)} 0 |")
            continue
        m = measured(ranked, measure, seed=seed)
        rest = " | ".join(f"{m.values[column]:.1f}" for column in columns[1:])
        lines.append(
            f"| {name} | {m.values[columns[0]]:.1f} [{m.low:.1f}, {m.high:.1f}] | {rest} | {m.queries:,} |"
        )
    return "\n".join(lines)


def kinds_of(queries: Iterable[CirQuery]) -> dict[str, list[str]]:
    """Kind of edit -> ids of its queries, in alphabetical order; queries without a kind are in none."""
    found: dict[str, list[str]] = {}
    for query in queries:
        found.setdefault(query.kind, []).append(query.query_id)
    return {kind: found[kind] for kind in sorted(found) if kind}


def kinds_table(
    rows: Mapping[str, Ranked], kinds: Mapping[str, Collection[str]], measure: Measure = RECALLS
) -> str:
    """One column of each row by kind of edit; the heading says how many queries of each kind there are.

    Args:
        rows: name -> ranks.
        kinds: kind -> ids of its queries.
        measure: whose column `by_kind` it is.
    """
    lines = [
        "| method | " + " | ".join(f"{kind} ({len(ids)})" for kind, ids in kinds.items()) + " |",
        "|" + "---|" * (len(kinds) + 1),
    ]
    for name, ranked in rows.items():
        cells = []
        for ids in kinds.values():
            own = [ranked[query_id] for query_id in ids if query_id in ranked]
            cells.append(f"{measure.means(own)[measure.by_kind]:.0f}" if own else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def best_first(rows: Mapping[str, Ranked], measure: Measure = RECALLS) -> dict[str, Ranked]:
    """Rows by their first column, then their second; those on fewer than half of the queries, which say little, come last."""
    most = max(map(len, rows.values()), default=0)

    def key(item: tuple[str, Ranked]) -> tuple[bool, float, float]:
        found = measure.means(item[1].values())
        return 2 * len(item[1]) < most, -found[measure.first], -found[measure.second]

    return dict(sorted(rows.items(), key=key))


def shared(rows: Mapping[str, Ranked]) -> dict[str, Ranked]:
    """The same rows on the queries that all non-empty ones have."""
    sets = [set(ranked) for ranked in rows.values() if ranked]
    common = set.intersection(*sets) if sets else set()
    return {name: {q: r for q, r in ranked.items() if q in common} for name, ranked in rows.items()}


def ablation_rows(values: Values) -> dict[str, Linear]:
    """CVSI's Table III: name -> how a query of all three parts is scored.

    What is excluded weighs 0 and the rest keeps its ratio; where all weight lay on what is excluded, the rest counts
    equally. Source: CVSI, section IV-C and Table III.
    """
    share, g = shares(PARAMETERS, values), values["gamma"]

    def of(*parts: str, captions: float = g) -> Linear:
        total = sum(share[part] for part in parts)
        return (
            Linear({p: share[p] / total for p in parts}, captions)
            if total > 1e-9
            else Linear.even(parts, captions)
        )

    q_m, q_f, q_v = PARTS
    return {
        "w/o visual information extraction": of(q_m, captions=1.0),
        "w/o semantic information extraction": of(q_f, q_v, captions=0.0),
        "w/o reference image features": of(q_m, q_f),
        "w/o fine-grained features": of(q_m, q_v),
        "w/o average modified captions features": of(q_f, q_v),
        "w/o target images features": of(*PARTS, captions=1.0),
        "w/o target average captions features": of(*PARTS, captions=0.0),
        "CVSI": of(*PARTS),
    }


def ablated(
    gallery: Gallery,
    queries: Sequence[CirQuery],
    composed: Mapping[str, ComposedQuery],
    values: Values,
    measure: Measure = RECALLS,
) -> dict[str, dict[str, tuple[int, ...]]]:
    """The rows of Table III -> ranks, on queries that have all three parts."""
    whole = {name: q for name, q in composed.items() if set(q.parts) == set(PARTS)}
    wanted = ablation_rows(values)
    grids = target_ranks(gallery, queries, whole, lambda _: list(wanted.values()), measure)
    return {
        kind: {query_id: tuple(grid[:, i].tolist()) for query_id, grid in grids.items()}
        for i, kind in enumerate(wanted)
    }
