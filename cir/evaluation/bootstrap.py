"""How sure a mean over queries is: the percentile bootstrap. Numpy alone; it knows no measure and no benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def interval(
    values_per_query: Sequence[float] | NDArray[np.floating],
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries.

    Args:
        values_per_query: one number for each query, such as 100.0 for a hit and 0.0 for a miss.
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many samples, with replacement, of as many queries are drawn.
        level: share of the resampled means that lie inside.

    Returns:
        (low, high), in the unit of the values.

    Raises:
        ValueError: no values, a value that is not finite, or a level outside (0, 1).
    """
    values = np.asarray(values_per_query, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("a bootstrap needs at least one query, and finite values")
    if not 0.0 < level < 1.0 or resamples < 1:
        raise ValueError(f"level {level} has to lie between 0 and 1, and resamples {resamples} above 0")
    rng = np.random.default_rng(seed)
    # One resample at a time: all at once would be resamples x queries indices in memory.
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
