"""What the reports of all benchmarks are made of: values of single queries, their means and intervals.

Each benchmark's own file says by its official definitions which values these are. All numbers are in percent and at
full precision. It knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cir.errors import DatasetError
from cir.evaluation.bootstrap import interval
from cir.evaluation.datasets.dataset import DatasetQuery, Report

Values = dict[str, NDArray[np.float64]]  # measure -> (Q,) percent, one for each query


def means(values: Values) -> dict[str, float]:
    """Measure -> mean over queries."""
    return {name: float(np.mean(row)) for name, row in values.items()}


def intervals(values: Values, *, seed: int = 0) -> dict[str, list[float]]:
    """Measure -> its 95 % bootstrap interval over queries."""
    return {name: list(interval(row, seed=seed)) for name, row in values.items()}


def columns_at(name: str, ks: Iterable[int]) -> tuple[str, ...]:
    """ "R@1", "R@5", ..."""
    return tuple(f"{name}@{k}" for k in ks)


def report_of(dataset: str, protocol: str, values: Values, more: Mapping[str, Any]) -> Report:
    """A report: the means of the values, their intervals, and whatever else a benchmark tells."""
    count = len(next(iter(values.values())))
    found = {"dataset": dataset, "protocol": protocol, "queries": count, **means(values), **more}
    return found | {"intervals": intervals(values)}


def percent(values: Iterable[float]) -> NDArray[np.float64]:
    """Numbers from 0 to 1, one for each query, in percent."""
    return 100.0 * np.fromiter(values, dtype=np.float64)


def require_targets(queries: Sequence[DatasetQuery], name: str) -> None:
    """See to it that every query has a target.

    Raises:
        DatasetError: the first that has none.
    """
    for query in queries:
        if not query.query.target_ids:
            raise DatasetError(
                f"Query {query.query_id} has no target in these annotations: only {name}'s server knows them.",
                "Score the validation split, or send the predictions to the server.",
            )
