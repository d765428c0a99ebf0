"""What an engine is: it holds the features of a gallery's images, and alone computes with all of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.ranking.engines.neighbours import Neighbours
from cir.types import Features

Floats = NDArray[np.floating]


class Sides(NamedTuple):
    """The same of both sides of images: of their pixels (t_v), and of their captions (t_c)."""

    image: Floats
    captions: Floats


class Engine(Protocol):
    """K images, by their places in the gallery: 0 to K - 1.

    An image has a unit row t_v of its pixels and a row t_c, the mean of the unit rows of its captions: not normalised
    again, and zeros where it has none. Source: CVSI, section III-D, Eq. 5.
    """

    def __len__(self) -> int:
        """K."""
        ...

    @property
    def captioned(self) -> NDArray[np.bool_]:
        """(K,) which images have captions that count."""
        ...

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N images; (D,) of one."""
        ...

    def dots(self, rows: Features) -> Sides:
        """(K, P) dot products A = Tv Q' and B = Tc Q' of every image with P rows (P, D)."""
        ...

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N, by their pixels, itself left out.

        Equal ones come in the order given. `Neighbours.ids` are places in `indices`.
        """
        ...
