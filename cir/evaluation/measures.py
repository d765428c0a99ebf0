"""Measures by their usual definitions, in percent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def recall_at(ranks: Sequence[int], k: int) -> float:
    """Recall@k: share of queries whose target is among the first k. Ranks count from 1; 0 means not found."""
    if not ranks:
        return 0.0
    return 100.0 * float(np.mean([1 <= rank <= k for rank in ranks]))


def recalls(ranks: Sequence[int], ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """{"R@1": ..., "R@5": ..., "R@10": ...}."""
    return {f"R@{k}": recall_at(ranks, k) for k in ks}
