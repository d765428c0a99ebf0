"""Rankings -> a report, for each benchmark by its official definitions. The protocol is always named.

Values of single queries come first, so that intervals can be drawn from them; a report is their means. All
numbers are in percent and at full precision. It knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cir.errors import DatasetError
from cir.evaluation.bootstrap import interval
from cir.evaluation.datasets import circo, cirr
from cir.evaluation.datasets.dataset import DatasetQuery
from cir.evaluation.measures import average_precision, hit, soft_hit, without
from cir.evaluation.predictions import Rankings

Values = dict[str, NDArray[np.float64]]  # measure -> (Q,) percent, one for each query
Report = dict[str, Any]
CIRR_KS, SUBSET_KS = (1, 5, 10, 50), (1, 2, 3)
CIRCO_KS = (5, 10, 25, 50)
FASHIONIQ_KS = (10, 50)
PLAIN_KS = (1, 5, 10, 50)


def means(values: Values) -> dict[str, float]:
    """Measure -> mean over queries."""
    return {name: float(np.mean(row)) for name, row in values.items()}


def intervals(values: Values, *, seed: int = 0) -> dict[str, list[float]]:
    """Measure -> its 95 % bootstrap interval over queries."""
    return {name: list(interval(row, seed=seed)) for name, row in values.items()}


def cirr_values(
    queries: Sequence[DatasetQuery],
    rankings: Rankings | None,
    subset_rankings: Rankings | None,
    *,
    soft: bool = False,
) -> Values:
    """R@k and R_subset@k of each query of CIRR. The reference is taken out of the lists first.

    Args:
        queries: with targets.
        rankings: over the images of the split; None leaves R@k out.
        subset_rankings: over the query's set; None leaves R_subset@k out.
        soft: score by `target_soft`, as the authors' own model is, instead of `target_hard`.
    """
    values: Values = {}
    for prefix, lists, ks in (("R", rankings, CIRR_KS), ("R_subset", subset_rankings, SUBSET_KS)):
        if lists is None:
            continue
        cleared = [without(lists[q.query_id], q.query.reference_id) for q in queries]
        for k in ks:
            values[f"{prefix}@{k}"] = _percent(
                soft_hit(ranked, q.soft_targets, k) if soft else hit(ranked, q.query.target_ids[0], k)
                for q, ranked in zip(queries, cleared, strict=True)
            )
    return values


def score_cirr(
    queries: Sequence[DatasetQuery],
    rankings: Rankings | None,
    subset_rankings: Rankings | None,
    *,
    soft: bool = False,
) -> Report:
    """CIRR's report; the averages are there when what they are made of is."""
    _require_targets(queries, "CIRR")
    if soft and not all(q.soft_targets for q in queries):
        raise DatasetError("These annotations have no target_soft.", "Score by target_hard.")
    values = cirr_values(queries, rankings, subset_rankings, soft=soft)
    return _report("CIRR", cirr.SOFT_PROTOCOL if soft else cirr.PROTOCOL, values, _cirr_averages(values))


def _cirr_averages(values: Values) -> dict[str, float]:
    found, averages = means(values), {}
    if {"R@5", "R_subset@1"} <= set(found):
        averages["Avg"] = (found["R@5"] + found["R_subset@1"]) / 2.0
    if "R@1" in found:
        averages["Avg_HyCIR"] = sum(found[f"R@{k}"] for k in CIRR_KS) / len(CIRR_KS)
    return averages


def circo_values(queries: Sequence[DatasetQuery], rankings: Rankings) -> Values:
    """AP@k over all targets, and Recall@k on the target that the text was written for, of each query of CIRCO."""
    pairs = [(q.query.target_ids, rankings[q.query_id]) for q in queries]
    values = {
        f"mAP@{k}": _percent(average_precision(top, set(ids), k) for ids, top in pairs) for k in CIRCO_KS
    }
    return values | {f"Recall@{k}": _percent(hit(top, ids[0], k) for ids, top in pairs) for k in CIRCO_KS}


def score_circo(queries: Sequence[DatasetQuery], rankings: Rankings) -> Report:
    """CIRCO's report, with the semantic mAP@10 of every aspect that a query has."""
    _require_targets(queries, "CIRCO")
    values = circo_values(queries, rankings)
    named = {aspect for query in queries for aspect in query.aspects}
    semantic = {
        aspect: float(np.mean(values["mAP@10"][[aspect in query.aspects for query in queries]]))
        for aspect in (*circo.ASPECTS, *sorted(named.difference(circo.ASPECTS)))
        if aspect in named
    }
    return _report("CIRCO", circo.PROTOCOL, values, {"semantic_mAP@10": semantic})


def fashioniq_values(queries: Sequence[DatasetQuery], rankings: Rankings) -> Values:
    """R@10 and R@50 of each query of a category of FashionIQ."""
    return {
        f"R@{k}": _percent(hit(rankings[q.query_id], q.query.target_ids[0], k) for q in queries)
        for k in FASHIONIQ_KS
    }


def score_fashioniq(queries: Sequence[DatasetQuery], rankings: Rankings, protocol: str) -> Report:
    """A category's report."""
    _require_targets(queries, "FashionIQ")
    values = fashioniq_values(queries, rankings)
    return _report("FashionIQ", protocol, values, {"Avg": float(np.mean(list(means(values).values())))})


def mean_over_categories(reports: Mapping[str, Report], protocol: str) -> Report:
    """FashionIQ's headline: the mean of the categories' measures, each category counting once."""
    keys = [*(f"R@{k}" for k in FASHIONIQ_KS), "Avg"]
    return {
        "dataset": "FashionIQ",
        "protocol": protocol,
        "queries": sum(report["queries"] for report in reports.values()),
        **{key: float(np.mean([report[key] for report in reports.values()])) for key in keys},
        "categories": dict(reports),
    }


def score_plain(name: str, queries: Sequence[DatasetQuery], rankings: Rankings, protocol: str) -> Report:
    """The report of a file of queries, by kind of edit too where the queries have one."""
    values: Values = {
        f"R@{k}": _percent(hit(rankings[q.query_id], q.query.target_ids[0], k) for q in queries)
        for k in PLAIN_KS
    }
    values |= {
        f"mAP@{k}": _percent(average_precision(rankings[q.query_id], q.query.target_ids, k) for q in queries)
        for k in CIRCO_KS
    }
    kinds = sorted({q.query.kind for q in queries} - {""})
    rows = {kind: values["R@1"][[q.query.kind == kind for q in queries]] for kind in kinds}
    by_kind = {kind: {"R@1": float(np.mean(row)), "queries": len(row)} for kind, row in rows.items()}
    return _report(name, protocol, values, {"by_kind": by_kind} if kinds else {})


def _report(dataset: str, protocol: str, values: Values, more: Mapping[str, Any]) -> Report:
    count = len(next(iter(values.values())))
    found = {"dataset": dataset, "protocol": protocol, "queries": count, **means(values), **more}
    return found | {"intervals": intervals(values)}


def _percent(values: Iterable[float]) -> NDArray[np.float64]:
    return 100.0 * np.fromiter(values, dtype=np.float64)


def _require_targets(queries: Sequence[DatasetQuery], name: str) -> None:
    for query in queries:
        if not query.query.target_ids:
            raise DatasetError(
                f"Query {query.query_id} has no target in these annotations: only {name}'s server knows them.",
                "Score the validation split, or send the predictions to the server.",
            )
