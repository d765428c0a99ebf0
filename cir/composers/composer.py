"""What a method is: an (image, text) query turned into named features. One published method per file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cir.types import ComposedQuery, Query, Weights


class Composer(Protocol):
    """One method.

    Attributes:
        name: as in its paper.
        default_weights: what its paper uses.
    """

    name: str
    default_weights: Weights

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Yield the query's features, at least once; the last is the whole."""
        ...


def unit_row(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D,) or (1, D) -> (D,) of length 1."""
    flat = np.asarray(row, dtype=np.float32).reshape(-1)
    return flat / max(float(np.linalg.norm(flat)), 1e-12)
