"""What a table measures, from the ranks of a query's targets alone, so that a whole grid of weights can be measured.

The values are those of `cir.evaluation.scoring`, which makes them from rankings. It knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cir.evaluation.datasets.dataset import Dataset
from cir.evaluation.scoring import columns_at

MEAN = "mean"
NOT_RANKED = np.iinfo(np.int64).max  # a target that is left out of its own ranking: no k reaches it
Ranked = Mapping[str, Sequence[int]]  # query id -> ranks of its targets, from 1, the intended one first


@dataclass(frozen=True, slots=True)
class Measure:
    """The columns of a benchmark's tables, and how its targets are ranked.

    Attributes:
        columns: "R@k" (of the intended target), "R_subset@k" (of its rank inside the query's set, which stands last among
            the ranks), "mAP@k" (of all targets), and "mean", that of the columns before it.
        brief: the two columns of a narrow table.
        by_kind: the column by kind of edit.
        leaves_out_reference: whether the reference is taken out of each ranking.
        members: query id -> the set that R_subset ranks.
    """

    columns: tuple[str, ...]
    brief: tuple[str, str]
    by_kind: str
    leaves_out_reference: bool = True
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The column that rows are sorted by, and that has an interval."""
        return self.columns[0]

    @property
    def second(self) -> str:
        """The column that decides between equal rows."""
        return self.columns[1]

    def means(self, rows: Iterable[Sequence[int]]) -> dict[str, float]:
        """Column -> percent over the queries, from the ranks of each; 0 where there is no query."""
        found: dict[str, float] = {}
        grids = [np.asarray(row) for row in rows]
        for column in self.columns:
            if column == MEAN:
                found[column] = float(np.mean(list(found.values())))
            else:
                found[column] = 100.0 * float(np.mean([share(grid, column) for grid in grids] or [0.0]))
        return found


def share(ranks: NDArray[np.int64], column: str) -> NDArray[np.float64]:
    """What a query counts in a column: (T, ...) ranks of its targets -> (...) numbers from 0 to 1.

    Source of mAP: CIRCO, section 5; see `cir.evaluation.measures.average_precision`.
    """
    name, _, number = column.partition("@")
    k = int(number)
    if name != "mAP":
        return (ranks[-1 if name == "R_subset" else 0] <= k).astype(np.float64)
    ordered = np.sort(ranks, axis=0)
    found = np.arange(1, len(ordered) + 1).reshape(-1, *[1] * (ordered.ndim - 1))
    precisions = np.where(ordered <= k, found / ordered, 0.0)
    return np.cumsum(precisions, axis=0)[-1] / min(len(ordered), k)  # summed in the order of the places


RECALLS = Measure((*columns_at("R", (1, 5, 10, 50)), MEAN), ("R@1", "R@10"), "R@1")


def measure_of(dataset: Dataset) -> Measure:
    """What is measured on one split, or one category of it, by its benchmark's definitions."""
    card = dataset.card
    members = {q.query_id: q.members for q in dataset.queries if q.members}
    return Measure(card.columns, card.brief, card.by_kind, dataset.leaves_out_reference, members=members)
