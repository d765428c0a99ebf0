"""The images most alike to each image of a set, by their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.types import Features

TOP = 20  # ranked neighbours of each image, as CIRR has them
_BLOCK = 1024  # rows whose similarities to all others are in memory at a time


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The images most alike to each image, the best first.

    Attributes:
        ids: (N, T) rows of the features.
        similarities: (N, T) their cosine with the image.
    """

    ids: NDArray[np.int64]
    similarities: NDArray[np.float32]


def find_neighbours(features: Features, *, top: int = TOP) -> Neighbours:
    """The `top` images most alike to each image, itself left out; equal ones in the order of the rows.

    Blocks of the similarity matrix are computed and thrown away: memory grows with N, not with its square.

    Args:
        features: (N, D) unit rows.
        top: how many; N - 1 where there are not so many.
    """
    count = len(features)
    width = max(0, min(top, count - 1))
    ids = np.zeros((count, width), np.int64)
    similarities = np.zeros((count, width), np.float32)
    columns = np.ascontiguousarray(features.T, dtype=np.float32)
    for start in range(0, count if width else 0, _BLOCK):
        rows = np.asarray(features[start : start + _BLOCK], dtype=np.float32) @ columns
        rows[np.arange(len(rows)), np.arange(start, start + len(rows))] = -np.inf
        best = np.argpartition(-rows, width - 1, axis=1)[:, :width]
        found = np.take_along_axis(rows, best, axis=1)
        order = np.lexsort((best, -found), axis=1)
        ids[start : start + len(rows)] = np.take_along_axis(best, order, axis=1)
        similarities[start : start + len(rows)] = np.take_along_axis(found, order, axis=1)
    return Neighbours(ids, similarities)
