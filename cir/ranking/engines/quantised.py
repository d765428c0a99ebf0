"""int8 copies of a gallery's rows: all images are looked at in a sixteenth of the bytes, within bounds that are known.

What the bounds leave open is scored again from the rows themselves, by the engine.
Of each side the mean row is subtracted (q.x = q.m + q.(x - m)), then each row is kept as a scale times whole numbers up to
127. With r the length of what is lost of a row, its dot product with q is off by at most |q| r, and by what q itself
loses as int16 times the length of the row.

A new query looks first at the heads of the rows: what they are along the few directions in which the gallery's rows
differ most (their principal components), kept in the same way. With q' and r' the lengths of what lies in none of these
directions, a dot product is off by at most q' r' more. Most images are too far below the best for that to matter; of the
others the whole rows are looked at. Where too many are left, as among rows that differ in all directions alike, these are
all rows, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cir.gallery.stored_rows import Rows, StoredRows
from cir.ranking.engines import kernels
from cir.ranking.scoring import GalleryTerms

SAMPLE = 8192  # rows whose mean and main directions stand for all: any would do, these keep the bounds small
BLOCK = 8192  # rows that are read at once
ROUNDING = 4e-6  # what float32 may be off by in sums of products of unit rows, generously
HEAD = 4  # a head has a fourth of a row's numbers
MOST_LEFT = 8  # where the heads leave more than an eighth of the images, all are looked at
_INT32 = 2**31 - 1
_SIDES = "image ", "captions "  # what the names of their arrays begin with


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """Dot products of every image with P rows, nearly.

    Attributes:
        image, captions: (P, K) in whole units; captions (0, K) where they were not asked for.
        rows: (P, D) float64.
        units: (P,) what 1 stands for.
        slack: (P,) what each is off by beside what the image's row has lost.
    """

    image: NDArray[np.int16]
    captions: NDArray[np.int16]
    rows: NDArray[np.float64]
    units: NDArray[np.float64]
    slack: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """What it takes of the memory."""
        return self.image.nbytes + self.captions.nbytes + self.rows.nbytes


class Codes(NamedTuple):
    """K rows (K, N) as int8.

    Attributes:
        codes: (K, N) whole numbers up to 127.
        scales: (K,) what 1 stands for.
        residuals: (K,) the length of what is lost of each row.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    residuals: NDArray[np.float32]

    @classmethod
    def empty(cls, images: int, numbers: int) -> Codes:
        """With room for K rows of N numbers."""
        of_rows = np.empty(images, np.float32), np.empty(images, np.float32)
        return cls(np.empty((images, numbers), np.int8), *of_rows)


class Whole(NamedTuple):
    """P rows (P, N) as int16.

    Attributes:
        numbers: (P, N)
        steps: (P,) what 1 stands for.
        lost: (P,) the length of what is lost of each.
    """

    numbers: NDArray[np.int16]
    steps: NDArray[np.float64]
    lost: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float64]) -> Whole:
        """So that no sum of products with int8 numbers leaves int32."""
        most = np.maximum(np.abs(rows).max(axis=1, initial=0.0), np.finfo(np.float32).tiny)
        sums = np.maximum(np.abs(rows).sum(axis=1) / most, 1.0)
        largest = np.floor((_INT32 / 127 - rows.shape[1]) / sums)
        steps = most / np.minimum(32767, largest)
        whole = np.rint(rows / steps[:, None])
        return cls(whole.astype(np.int16), steps, np.linalg.norm(rows - whole * steps[:, None], axis=1))


class Side:
    """One row of each image, of its pixels or of its captions: its head and the whole, without the mean.

    Args:
        arrays: see `arrays`.
    """

    def __init__(self, arrays: Mapping[str, NDArray]) -> None:
        self.mean, self.axes, self.tails = (arrays[name] for name in ("mean", "axes", "tails"))
        self.whole, self.heads = (
            Codes(*(arrays[f"{part} {name}"] for name in Codes._fields)) for part in ("whole", "heads")
        )

    @classmethod
    def empty(cls, images: int, some: NDArray[np.float32]) -> Side:
        """With room for K rows; `some` (N, D) of them tell what all are like."""
        mean = some.mean(axis=0, dtype=np.float64)
        apart = some - mean
        directions = np.linalg.eigh(apart.T @ apart)[1].T[::-1]  # the main ones first
        axes = np.ascontiguousarray(directions[: max(1, len(mean) // HEAD)], np.float32)
        parts = {"whole": Codes.empty(images, len(mean)), "heads": Codes.empty(images, len(axes))}
        numbers = {
            f"{part} {name}": a for part, codes in parts.items() for name, a in codes._asdict().items()
        }
        return cls(
            {"mean": mean.astype(np.float32), "axes": axes, "tails": np.empty(images, np.float32), **numbers}
        )

    @property
    def arrays(self) -> dict[str, NDArray]:
        """All that it is made of."""
        parts = {"whole": self.whole, "heads": self.heads}
        numbers = {
            f"{part} {name}": a for part, codes in parts.items() for name, a in codes._asdict().items()
        }
        return {"mean": self.mean, "axes": self.axes, "tails": self.tails, **numbers}

    def keep(self, rows: NDArray[np.float32], places: NDArray[np.int64]) -> None:
        """Make the copies of some images' rows."""
        whole, heads = self.whole, self.heads
        kernels.quantise(rows, places, self.mean, whole.codes, whole.scales, whole.residuals)
        apart = rows - self.mean
        along = apart @ self.axes.T
        nothing = np.zeros(len(self.axes), np.float32)
        kernels.quantise(along, places, nothing, heads.codes, heads.scales, heads.residuals)
        squared = [np.einsum("nd,nd->n", one, one, dtype=np.float64) for one in (apart, along)]
        self.tails[places] = np.sqrt(np.maximum(squared[0] - squared[1], 0.0) + ROUNDING)

    def dots(
        self, rows: NDArray[np.float64], units: NDArray[np.float64]
    ) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
        """(P, K) dot products with P rows (P, D) in units (P,), and the length (P,) of what each row loses as int16."""
        asked, out = Whole.of(rows), np.empty((len(rows), len(self.tails)), np.int16)
        kernels.near_dots(
            self.whole.codes,
            self.whole.scales,
            asked.numbers,
            (asked.steps / units).astype(np.float32),
            (rows @ self.mean.astype(np.float64) / units).astype(np.float32),
            out,
        )
        return out, asked.lost

    def seen(self, row: NDArray[np.float64]) -> tuple[kernels.Seen, float, float]:
        """The images by their whole rows, asked for a row (D,).

        Returns:
            Them, the length of what that row loses as int16, and what else dot products are off by.
        """
        seen, lost = self._seen(self.whole, self.whole.residuals, row, row, float(np.linalg.norm(row)))
        return seen, lost, 0.0

    def seen_by_heads(self, row: NDArray[np.float64]) -> tuple[kernels.Seen, float, float]:
        """The images by their heads, likewise."""
        along = self.axes @ row
        tail = np.sqrt(max(float(row @ row - along @ along), 0.0) + ROUNDING * float(row @ row))
        seen, lost = self._seen(self.heads, self.tails, along, row, tail)
        return seen, lost, float(np.linalg.norm(along)) * self._most_lost

    @cached_property
    def _most_lost(self) -> float:
        return float(self.heads.residuals.max(initial=0.0))

    def _seen(
        self,
        copies: Codes,
        lost: NDArray[np.float32],
        asked: NDArray[np.float64],
        row: NDArray[np.float64],
        length: float,
    ) -> tuple[kernels.Seen, float]:
        whole, base = Whole.of(asked[None]), row @ self.mean.astype(np.float64)
        numbers = np.float32(whole.steps[0]), np.float32(base), np.float32(length)
        return kernels.Seen(copies.codes, copies.scales, lost, whole.numbers[0], *numbers), float(
            whole.lost[0]
        )


class Quantised:
    """The rows of K images as int8, with all norms.

    Args:
        arrays: from `quantise`, or as they were kept.
        captioned: (K,) which images have captions that count.

    Attributes:
        norms: what norms need of each image, exactly.
    """

    def __init__(self, arrays: Mapping[str, NDArray], captioned: NDArray[np.bool_]) -> None:
        for array in arrays.values():
            array.setflags(write=False)  # as those from the disk are: one kind of array, compiled once
        self.sides = tuple(
            Side({name.removeprefix(side): a for name, a in arrays.items() if name.startswith(side)})
            for side in _SIDES
        )
        exact = arrays["norms"]
        self.norms = GalleryTerms(exact[0], exact[2], exact[1], captioned)
        self._norms = exact.astype(np.float32)
        self._captioned = captioned.astype(np.float32)
        farthest = max(float(np.linalg.norm(side.mean)) for side in self.sides)
        self._longest = float(np.sqrt(exact[[0, 2]].max(initial=1.0))) + farthest + 1.0  # copy, from its mean

    def dots(self, rows: NDArray[np.float64], *, captions: bool = True) -> Dots:
        """Dot products of every image with P rows (P, D), one pass over each side."""
        lengths = np.linalg.norm(rows, axis=1)
        units = (
            np.maximum(lengths * self._longest, np.finfo(np.float32).tiny) / 32_000
        )  # no dot product is longer
        image, lost = self.sides[0].dots(rows, units)
        both = self.sides[1].dots(rows, units)[0] if captions else np.empty((0, image.shape[1]), np.int16)
        return Dots(image, both, rows, units, (lost + ROUNDING * lengths) * self._longest + units)

    def nearest(
        self,
        row: NDArray[np.float64],
        gamma: float,
        count: int,
        *,
        cosine: bool = True,
        among: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """The images that may be among the `count` best of one row (D,), in the gallery's order. See `candidates`."""
        count, rounding = min(count, len(self._captioned)), ROUNDING * float(np.linalg.norm(row))

        def asked(seen: Iterable[tuple[kernels.Seen, float, float]]) -> tuple:
            (image, captions), lost, more = zip(*seen, strict=True)
            slack = np.float32((max(lost) + rounding) * self._longest + max(more))
            return image, captions, np.float32(gamma), self._captioned, self._norms, slack, cosine

        allowed = np.empty(0, np.bool_) if among is None else np.array(among)
        by_heads = asked(side.seen_by_heads(row) for side in self.sides)
        most, first = kernels.most_by_heads(*by_heads, allowed, count)
        whole, least = asked(side.seen(row) for side in self.sides), -np.inf
        if len(first) == count:
            least = kernels.bounds_at(first, *whole)[0].min()
        left = np.flatnonzero((most >= least) & (most > -np.inf))
        if len(left) > max(len(most) // MOST_LEFT, MOST_LEFT * count):
            dots = self.dots(row[None], captions=bool(gamma))
            return self.candidates(dots, np.ones(1), gamma, count, cosine=cosine, among=among)
        lowest, highest = kernels.bounds_at(left, *whole)
        return left[highest >= np.partition(lowest, -count)[-count]] if len(left) > count else left

    def candidates(
        self,
        dots: Dots,
        weights: NDArray[np.float64],
        gamma: float,
        count: int,
        *,
        cosine: bool = True,
        among: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """The images that may be among the `count` best of a weighted sum of rows, in the gallery's order.

        Args:
            dots: with the rows.
            weights: (P,) of the rows.
            gamma: what captions count for.
            count: from 1.
            cosine: whether scores are divided by lengths.
            among: (K,) which may be found.
        """
        return kernels.best_by_bounds(
            dots.image,
            dots.captions,
            (weights * dots.units).astype(np.float32),
            np.float32(gamma),
            self._captioned,
            self._norms,
            self.sides[0].whole.residuals,
            self.sides[1].whole.residuals,
            np.float32(np.linalg.norm(weights @ dots.rows)),
            np.float32(np.abs(weights) @ dots.slack),
            cosine,
            np.empty(0, np.bool_)
            if among is None
            else np.array(among),  # one that is read only is another type
            min(count, len(self._captioned)),
        )


def quantise(image: Rows, captions: Rows) -> dict[str, NDArray]:
    """The arrays of `Quantised` for K rows t_v and t_c."""
    images = len(image)
    some = np.unique(np.linspace(0, images - 1, SAMPLE).astype(np.int64))
    sides = [Side.empty(images, rows[some]) for rows in (image, captions)]
    norms = np.empty((3, images))
    order = image.order() if isinstance(image, StoredRows) else np.arange(images)
    for start in range(0, images, BLOCK):
        places = order[start : start + BLOCK]
        both = [np.ascontiguousarray(rows[places], np.float32) for rows in (image, captions)]
        for side, rows in zip(sides, both, strict=True):
            side.keep(rows, places)
        kernels.exact_norms(both[0], both[1], places, norms)
    found = {
        name + key: a for name, side in zip(_SIDES, sides, strict=True) for key, a in side.arrays.items()
    }
    return {**found, "norms": norms}
