"""The features in memory, and all of them looked at: every answer is exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cir.gallery.gallery import Gallery
from cir.ranking.engines.neighbours import Neighbours, find_neighbours
from cir.ranking.engines.protocol import Sides
from cir.types import Features


class ExactEngine:
    """An engine over an open gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self._image, self._captions = gallery.image_features, gallery.caption_features
        self.captioned = gallery.captioned

    def __len__(self) -> int:
        return len(self._image)

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N images; (D,) of one."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Sides(self._image[chosen], self._captions[chosen])

    def dots(self, rows: Features) -> Sides:
        """(K, P) dot products of every image with P rows: two matrix products."""
        return Sides(self._image @ rows.T, self._captions @ rows.T)

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N."""
        return find_neighbours(self.features(indices).image, top=top)
