"""Measures by their usual definitions: of one query, and recalls over many. They know no file and no benchmark.

Lists of ranked ids come without duplicates, best first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np


def recall_at(ranks: Sequence[int], k: int) -> float:
    """Recall@k: share of queries whose target is among the first k. Ranks count from 1; 0 means not found."""
    if not ranks:
        return 0.0
    return 100.0 * float(np.mean([1 <= rank <= k for rank in ranks]))


def recalls(ranks: Sequence[int], ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """{"R@1": ..., "R@5": ..., "R@10": ...}."""
    return {f"R@{k}": recall_at(ranks, k) for k in ks}


def without(ranked: Sequence[str], left_out: str) -> list[str]:
    """The list without one image, such as the reference; what came after it moves up."""
    return [image_id for image_id in ranked if image_id != left_out]


def hit(ranked: Sequence[str], target: str, k: int) -> float:
    """1 when the target is among the first k, else 0: Recall@k of one query."""
    return float(target in ranked[:k])


def soft_hit(ranked: Sequence[str], labels: Mapping[str, float], k: int) -> float:
    """The highest label among the first k, and 0 when there is none.

    Labels are 1, 0.5, 0.2 or -1; a negative one therefore counts as a miss.
    Source: the evaluation that CIRR's authors use for their own model (CIRPLANT), "target_soft".
    """
    return max([0.0, *(labels[image_id] for image_id in ranked[:k] if image_id in labels)])


def average_precision(ranked: Sequence[str], targets: Collection[str], k: int) -> float:
    """AP@k = 1 / min(|G|, k) * sum over places p <= k of precision(p) * relevant(p), G the targets.

    Source: CIRCO, section 5; with several targets, unlike recall, every one counts.

    Raises:
        ValueError: no targets.
    """
    if not targets:
        raise ValueError("average precision needs at least one target")
    found, total = 0, 0.0
    for place, image_id in enumerate(ranked[:k], start=1):
        if image_id in targets:
            found += 1
            total += found / place
    return total / min(len(targets), k)
