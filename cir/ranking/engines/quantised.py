"""int8 copies of a gallery's rows: all images are looked at in a sixteenth of the bytes, within bounds that are known.

What the bounds leave open is scored again from the rows themselves, by the engine.
Of each side the mean row is subtracted (q.x = q.m + q.(x - m)), then each row is kept as a scale times whole numbers up to
127. With r the length of what is lost of a row, its dot product with q is off by at most |q| r, and by what q itself
loses as int16 times the length of the row.

A new query looks first at the heads of the images: what both rows together are along the few directions in which the
gallery differs most (its principal components), kept in the same way. With q' and r' the lengths of what lies in none of
these directions, a dot product is off by at most q' r' more. Most images are too far below the best for that to matter; of
the others the whole rows are looked at. Where too many are left, as among rows that differ in all directions alike, these
are all rows, one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cir.gallery.stored_rows import Rows, StoredRows
from cir.ranking.engines import kernels
from cir.ranking.scoring import GalleryTerms

SAMPLE = 8192  # rows whose mean and main directions stand for all: any would do, these keep the bounds small
BLOCK = 8192  # rows that are read at once
ROUNDING = 4e-6  # what float32 may be off by in sums of products of unit rows, generously
HEAD = 4  # a head has a fourth as many numbers as a row of one side
CAPTIONS = (
    0.5  # what captions count for when main directions are looked for: mostly they count for less than pixels
)
MOST_LEFT = 8  # where the heads leave more than an eighth of the images, all are looked at
_INT32 = 2**31 - 1
_ALL, _NONE = np.empty(0, np.bool_), np.empty(0, np.int64)
Two32 = tuple[NDArray[np.float32], NDArray[np.float32]]
LookedAt = tuple[
    NDArray[np.int16],
    kernels.Extremes,
    kernels.Asked,
    kernels.Lengths,
    Two32,
    Two32,
    NDArray[np.bool_],
]  # by `best_by_bounds`
SIDES, HEADS = ("image", "captions"), "heads"  # what the names of their arrays begin with


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """Dot products of every image with P rows, nearly.

    Attributes:
        numbers: (B, P or 2 P, FEW) in whole units, those of FEW images together: with their pixels, then with their captions
            where these were asked for.
        ends: their extremes among images that lie together.
        gram: (P, P) of the rows with one another.
        units: (P,) what 1 stands for.
        slack: (P,) what each is off by beside what the image's row has lost.
    """

    numbers: NDArray[np.int16]
    ends: kernels.Extremes
    gram: NDArray[np.float64]
    units: NDArray[np.float64]
    slack: NDArray[np.float64]

    def asked(self, weights: NDArray[np.float64], gamma: float, cosine: bool) -> kernels.Asked:
        """How these make scores under some weights (P,)."""
        return kernels.Asked(weights, self.gram, self.units, self.slack, gamma, cosine)

    @property
    def nbytes(self) -> int:
        """What it takes of the memory."""
        return sum(array.nbytes for array in (self.numbers, self.gram, *self.ends))


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
    """One row of each image, of its pixels or of its captions, without the mean.

    Args:
        mean: (D,)
        whole: the K rows.
    """

    def __init__(self, mean: NDArray[np.float32], whole: Codes) -> None:
        self.mean, self.whole = mean, whole
        starts = np.arange(0, len(whole.residuals), kernels.FEW)
        self.most_lost = np.maximum.reduceat(whole.residuals, starts)

    def fill(
        self, out: NDArray[np.int16], first: int, rows: NDArray[np.float64], units: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Put dot products with P rows (P, D) into blocks, from row `first` on, in units (P,).

        Returns:
            The length (P,) of what each row loses as int16.
        """
        asked = Whole.of(rows)
        kernels.near_dots(
            self.whole.codes,
            self.whole.scales,
            asked.numbers,
            (asked.steps / units).astype(np.float32),
            (rows @ self.mean.astype(np.float64) / units).astype(np.float32),
            out,
            first,
        )
        return asked.lost

    def seen(self, row: NDArray[np.float64]) -> tuple[kernels.Seen, float]:
        """The images, asked for a row (D,); and the length of what that loses as int16."""
        asked, base = Whole.of(row[None]), row @ self.mean.astype(np.float64)
        numbers = np.float32(asked.steps[0]), np.float32(base), np.float32(np.linalg.norm(row))
        codes, scales, residuals = self.whole
        return kernels.Seen(codes, scales, residuals, asked.numbers[0], *numbers), float(asked.lost[0])


class Heads:
    """What the rows [t_v; CAPTIONS t_c] of K images, without their means, are along the main directions of all of them.

    Args:
        axes: (N, 2 D) these directions.
        codes: of the heads (K, N).
        tails: (2, K) the lengths of what of each side is in no head.
    """

    def __init__(self, axes: NDArray[np.float32], codes: Codes, tails: NDArray[np.float32]) -> None:
        self.axes, self.codes, self.tails = axes, codes, tails
        self._most_lost = float(codes.residuals.max(initial=0.0))

    @classmethod
    def empty(cls, images: int, some: NDArray[np.float64]) -> Heads:
        """With room for K rows; `some` (M, 2 D) of them, without their means, tell what all are like."""
        numbers = some.shape[1] // (2 * HEAD)
        numbers = max(1, numbers // 32 * 32 or numbers)
        directions = np.linalg.eigh(some.T @ some)[1].T[::-1]  # the main ones first
        axes = np.ascontiguousarray(directions[:numbers], np.float32)
        return cls(axes, Codes.empty(images, numbers), np.empty((2, images), np.float32))

    def keep(
        self, image: NDArray[np.float32], captions: NDArray[np.float32], places: NDArray[np.int64]
    ) -> None:
        """Make the heads of some images' rows without their means."""
        dim, sides = image.shape[1], (image, np.asarray(CAPTIONS * captions, np.float32))
        axes = self.axes[:, :dim], self.axes[:, dim:]
        along = [np.asarray(side @ part.T, np.float32) for side, part in zip(sides, axes, strict=True)]
        head = np.asarray(along[0] + along[1], np.float32)
        nothing = np.zeros(head.shape[1], np.float32)
        kernels.quantise(head, places, nothing, *self.codes)
        for side, part, own, tails in zip(sides, axes, along, self.tails, strict=True):
            back = _dots(
                np.asarray(head @ (part @ part.T), np.float32), head
            )  # |side - part' head|^2, multiplied out
            squared = _dots(side, side) - 2.0 * _dots(own, head) + back
            tails[places] = np.sqrt(np.maximum(squared, 0.0) + ROUNDING)

    def seen(
        self,
        row: NDArray[np.float64],
        gamma: float,
        means: tuple[NDArray[np.float32], NDArray[np.float32]],
        captioned: NDArray[np.bool_],
        longest: float,
    ) -> kernels.Heads:
        """The images, asked for a row (D,) under a weight of captions."""
        query = np.concatenate([(1.0 - gamma) * row, gamma / CAPTIONS * row])
        along = (self.axes @ query.astype(np.float32)).astype(np.float64)
        rest = np.split(query - along @ self.axes, 2)
        asked, rounding = Whole.of(along[None]), ROUNDING * float(np.linalg.norm(query))
        slack = (float(asked.lost[0]) + rounding) * 2.0 * longest + float(
            np.linalg.norm(along)
        ) * self._most_lost
        bases = [
            share * (row @ mean.astype(np.float64))
            for share, mean in zip((1.0 - gamma, gamma), means, strict=True)
        ]
        return kernels.Heads(
            self.codes.codes,
            self.codes.scales,
            (self.tails[0], self.tails[1]),
            captioned,
            asked.numbers[0],
            np.float32(asked.steps[0]),
            (np.float32(bases[0]), np.float32(bases[1])),
            (np.float32(np.linalg.norm(rest[0])), np.float32(np.linalg.norm(rest[1]))),
            np.float32(slack),
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
        self.sides = tuple(Side(arrays[f"{side} mean"], _codes(arrays, side)) for side in SIDES)
        self._heads = Heads(arrays["axes"], _codes(arrays, HEADS), arrays["tails"])
        exact = arrays["norms"]
        self.norms = GalleryTerms(exact[0], exact[2], exact[1], captioned)
        self._captioned = captioned.copy()  # one that may be written, as all such are
        cross = np.where(captioned, exact[1:], 0.0)
        units = max(float(np.abs(cross).max(initial=0.0)), 1e-30) / 32_000
        numbers = np.float32(units), np.float32(np.abs(exact[0] - 1.0).max(initial=0.0))
        whole = _in_blocks(np.rint(cross / units).astype(np.int16))
        self._lengths = kernels.Lengths(
            self._captioned,
            exact,
            whole,
            kernels.extremes(whole, 2, self._captioned)[0],
            *numbers,
        )
        farthest = max(float(np.linalg.norm(side.mean)) for side in self.sides)
        self._longest = float(np.sqrt(exact[[0, 2]].max(initial=1.0))) + farthest + 1.0  # copy, from its mean

    def dots(self, rows: NDArray[np.float64], *, captions: bool = True) -> Dots:
        """Dot products of every image with P rows (P, D), one pass over each side."""
        lengths = np.linalg.norm(rows, axis=1)
        units = (
            np.maximum(lengths * self._longest, np.finfo(np.float32).tiny) / 32_000
        )  # no dot product is longer
        blocks, parts = -(-len(self._captioned) // kernels.FEW), len(rows)
        numbers = np.zeros((blocks, 2 * parts if captions else parts, kernels.FEW), np.int16)
        lost = self.sides[0].fill(numbers, 0, rows, units)
        if captions:
            self.sides[1].fill(numbers, parts, rows, units)
        ends = kernels.Extremes(
            kernels.extremes(numbers, numbers.shape[1], self._captioned),
            kernels.extremes(numbers, parts, ~self._captioned),
        )
        return Dots(numbers, ends, rows @ rows.T, units, (lost + ROUNDING * lengths) * self._longest + units)

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
        count, length = min(count, len(self._captioned)), float(np.linalg.norm(row))
        allowed = np.empty(0, np.bool_) if among is None else np.array(among)
        means = self.sides[0].mean, self.sides[1].mean
        by_heads = self._heads.seen(row, gamma, means, self._captioned, self._longest)
        (image, lost), (captions, lost_too) = (side.seen(row) for side in self.sides)
        slack = np.float32((max(lost, lost_too) + ROUNDING * length) * self._longest)
        whole = image, captions, np.float32(gamma), self._lengths, slack, cosine
        most, first = kernels.most_by_heads(
            by_heads, np.float32(gamma), self._lengths, cosine, allowed, count
        )
        enough = len(first) == count
        least = kernels.bounds_at(first, *whole)[0].min() if enough else np.float32(-np.inf)
        left = kernels.reaching(most, least)
        tells_little = len(left) > max(len(most) // MOST_LEFT, MOST_LEFT * count)
        if tells_little or not (cosine or self._captioned.all()):
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
        asked = dots.asked(weights, gamma, cosine)
        return kernels.best_by_bounds(
            *self._looked_at(dots, asked, among), _NONE, min(count, len(self._captioned)), -np.inf
        )

    def best_again(
        self,
        dots: Dots,
        known: tuple[NDArray[np.int64], NDArray[np.float64]],
        weights: NDArray[np.float64],
        length: float,
        gamma: float,
        count: int,
        *,
        among: NDArray[np.bool_] | None,
        left_out: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """What may be among the `count` best, and these and their exact scores where all of it is `known`: a move of a slider.

        See `kernels.best_again`.
        """
        asked = dots.asked(weights, gamma, bool(length))
        return kernels.best_again(
            *known,
            length,
            *self._looked_at(dots, asked, among),
            left_out,
            min(count, len(self._captioned)),
        )

    def _looked_at(self, dots: Dots, asked: kernels.Asked, among: NDArray[np.bool_] | None) -> LookedAt:
        image, captions = self.sides
        return (
            dots.numbers,
            dots.ends,
            asked,
            self._lengths,
            (image.whole.residuals, captions.whole.residuals),
            (image.most_lost, captions.most_lost),
            _ALL if among is None else np.array(among),  # one that is read only is another type
        )

    def best_known(
        self,
        near: NDArray[np.int64],
        known: tuple[NDArray[np.int64], NDArray[np.float64]],
        weights: NDArray[np.float64],
        length: float,
        gamma: float,
        count: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The best of `near` and their exact scores, see `kernels.best_known`; none where not all of them are `known`."""
        return kernels.best_known(near, *known, weights, length, gamma, self._lengths, count)


def quantise(image: Rows, captions: Rows, captioned: NDArray[np.bool_]) -> dict[str, NDArray]:
    """The arrays of `Quantised` for K rows t_v and t_c."""
    images, dim = image.shape
    some = np.unique(np.linspace(0, images - 1, SAMPLE).astype(np.int64))
    sampled = [rows[some].astype(np.float64) for rows in (image, captions)]
    means = [rows.mean(axis=0).astype(np.float32) for rows in sampled]
    apart = [rows - mean for rows, mean in zip(sampled, means, strict=True)]
    heads = Heads.empty(images, np.hstack([apart[0], CAPTIONS * captioned[some, None] * apart[1]]))
    sides = [Codes.empty(images, dim) for _ in means]
    norms = np.empty((3, images))
    order = image.order() if isinstance(image, StoredRows) else np.arange(images)
    for start in range(0, images, BLOCK):
        places = order[start : start + BLOCK]
        both = [np.ascontiguousarray(rows[places], np.float32) for rows in (image, captions)]
        for side, rows, mean in zip(sides, both, means, strict=True):
            kernels.quantise(rows, places, mean, *side)
        heads.keep(both[0] - means[0], (both[1] - means[1]) * captioned[places, None], places)
        kernels.exact_norms(both[0], both[1], places, norms)
    found = {f"{name} mean": mean for name, mean in zip(SIDES, means, strict=True)}
    for name, codes in zip((*SIDES, HEADS), (*sides, heads.codes), strict=True):
        found |= {f"{name} {key}": array for key, array in codes._asdict().items()}
    return {**found, "axes": heads.axes, "tails": heads.tails, "norms": norms}


def _in_blocks(numbers: NDArray[np.int16]) -> NDArray[np.int16]:
    """(R, K) -> (B, R, FEW), the last block filled up with zeros."""
    blocks = -(-numbers.shape[1] // kernels.FEW)
    filled = np.zeros((len(numbers), blocks * kernels.FEW), np.int16)
    filled[:, : numbers.shape[1]] = numbers
    return np.ascontiguousarray(filled.reshape(len(numbers), blocks, kernels.FEW).transpose(1, 0, 2))


def _codes(arrays: Mapping[str, NDArray], name: str) -> Codes:
    return Codes(*(arrays[f"{name} {key}"] for key in Codes._fields))


def _dots(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) dot products, row by row."""
    return np.einsum("nd,nd->n", rows, others, dtype=np.float64)
