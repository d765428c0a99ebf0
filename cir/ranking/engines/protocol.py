"""What an engine is: it holds the features of a gallery's images, and alone computes with all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.ranking.engines.neighbours import Neighbours
from cir.ranking.scoring import Floats, GalleryTerms, QueryTerms, Scoring
from cir.types import Features

# Which images may be found, as `select` of their gallery says it: (K,) bool, or what a server is asked instead; None for all.
Among = Any
Told = Callable[[str, int, int], object]  # what is done, how far it is, and of how much


class Promise(NamedTuple):
    """What an answer is worth.

    Attributes:
        engine: the name of the engine that gives it.
        recall: the share of the true 10 best that is found.
        note: a sentence about that; "" where there is nothing to say.
    """

    engine: str
    recall: float
    note: str = ""


class Sides(NamedTuple):
    """The same of both sides of images: of their pixels (t_v), and of their captions (t_c)."""

    image: Floats
    captions: Floats


class Engine(Protocol):
    """K images, by their places in the gallery: 0 to K - 1. A query is rows (D,) by name.

    An image has a unit row t_v of its pixels and a row t_c, the mean of the unit rows of its captions: not normalised
    again, and zeros where it has none. Source: CVSI, section III-D, Eq. 5.
    """

    @property
    def recall(self) -> float:
        """What `top` promises: the share of the true best images that it finds.

        1 of an engine that is exact; of another one measured on the gallery's own rows. Scores are exact in any case.
        """
        ...

    @property
    def far(self) -> int | None:
        """From which rank on `ranks` does not tell images apart; None where it counts all."""
        ...

    def __len__(self) -> int:
        """K."""
        ...

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N images; (D,) of one."""
        ...

    def sample(self, count: int, *, captioned: bool = False) -> NDArray[np.int64]:
        """Places of `count` images, always the same, or of fewer; with `captioned` only of those that have captions."""
        ...

    def norms_of(self, indices: ArrayLike) -> GalleryTerms:
        """What norms need of some images."""
        ...

    def terms_of(self, rows: Mapping[str, Floats], indices: ArrayLike) -> QueryTerms:
        """The dot products of one query with N images, in float64."""
        ...

    def prepare(self, told: Told | None = None, *, behind: bool = False) -> None:
        """Make what the first query would wait for.

        Args:
            told: how far it is.
            behind: in a thread of its own, and not waited for.
        """
        ...

    def promise(self, scoring: Scoring) -> Promise:
        """What an answer to a query that is scored so is worth now."""
        ...

    def top(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        count: int,
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> tuple[NDArray[np.int64], Floats]:
        """The best images, the best first; equal scores in the gallery's order. No other rows are read for new weights.

        Args:
            rows: of the query.
            scoring: how its dot products become scores.
            count: how many; fewer where there are not so many.
            among: which images may be found.
            exclude: places of images that are left out.

        Returns:
            Their places and their scores, in float64.

        Raises:
            BadQuery: a row of the query is not of finite numbers, or this engine cannot rank by such a scoring.
        """
        ...

    def scores(self, rows: Mapping[str, Floats], scoring: Scoring, indices: ArrayLike) -> Floats:
        """(N,) scores of some images in float64."""
        ...

    def ranks(
        self,
        rows: Mapping[str, Floats],
        indices: Sequence[int],
        scorings: Sequence[Scoring],
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> NDArray[np.int64]:
        """(T, S) ranks of T images, from 1, under each of S scorings of one query, among those that may be found.

        `far` stands for that rank and any behind it; 0 for one that this engine could only tell by many more questions.
        """
        ...

    def count_reaching(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        least: float,
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> int:
        """How many images that may be found have a score from `least` on; counted up to `far`."""
        ...

    def count(self, among: Among, exclude: Sequence[int] = ()) -> int:
        """How many images may be found."""
        ...

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N, by their pixels, itself left out.

        Equal ones come in the order given. `Neighbours.ids` are places in `indices`.
        """
        ...


class WholeEngine(Engine, Protocol):
    """One that has all images in this process, and computes with all of them at once: for measuring."""

    @property
    def captioned(self) -> NDArray[np.bool_]:
        """(K,) which images have captions that count."""
        ...

    @property
    def norms(self) -> GalleryTerms:
        """What norms need of each image."""
        ...

    def dots(self, rows: Features) -> Sides:
        """(K, P) dot products A = Tv Q' and B = Tc Q' of every image with P rows (P, D). Nothing is remembered."""
        ...

    def terms(self, rows: Mapping[str, Floats]) -> QueryTerms:
        """The dot products of one query. Asked again with the same rows, as when a slider moves, it costs nothing."""
        ...
