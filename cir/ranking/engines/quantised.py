"""int8 copies of a gallery's rows: all images are looked at in a sixteenth of the bytes, within bounds that are known.

What the bounds leave open is scored again from the rows themselves, by the engine.
Of each side the mean row is subtracted (q.x = q.m + q.(x - m)), then each row is kept as a scale times whole numbers up to
127. With r the length of what is lost of a row, its dot product with q is off by at most |q| r, and by what q itself
loses as int16 times the length of the row.

A new query looks first at the heads of the images: what both rows together are along the few directions in which the
gallery differs most (its principal components), kept in the same way. With q' and r' the lengths of what lies in none of
these directions, a dot product is off by at most q' r' more. Most images are too far below the best for that to matter; of
the others the whole rows are looked at.

The copies do not lie in the gallery's order: images with like heads lie together, in blocks, most of which are left out
without a look at any of their images.
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
BLOCK = 2048  # rows that are read at once
PARTS = 64  # into so many are images divided, and these again, until alike ones lie together
ROUNDS = 4  # in which the middles of the parts are looked for
DIVISIONS = 4  # one after another, at most: among rows that are all alike there is nothing to divide
ROUNDING = 4e-6  # what float32 may be off by in sums of products of unit rows, generously
HALF = 5e-4  # what a float16 is off by, as a share of it
HEAD = 3 / 16  # a head has so many numbers, as a share of those of a row of one side ...
MAIN = 2 / 3  # ... and so many of these are looked at first
CAPTIONS = (
    0.5  # what captions count for when main directions are looked for: mostly they count for less than pixels
)
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
SIDES = "image", "captions"  # what the names of their arrays begin with


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


class Axes:
    """The main directions of rows [t_v; CAPTIONS t_c] without their means: (N, 2 D), of which the first come first.

    Args:
        some: (M, 2 D) such rows, which tell what all are like.
    """

    def __init__(self, some: NDArray[np.float64]) -> None:
        numbers = max(1, round(HEAD * some.shape[1] / 2))
        self.axes = np.ascontiguousarray(np.linalg.eigh(some.T @ some)[1].T[::-1][:numbers], np.float32)

    def heads(
        self, image: NDArray[np.float32], captions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What rows are along these directions (M, N), and the lengths of what of each side is in none of them (2, M)."""
        dim, sides = image.shape[1], (image, np.asarray(CAPTIONS * captions, np.float32))
        axes = self.axes[:, :dim], self.axes[:, dim:]
        along = [np.asarray(side @ part.T, np.float32) for side, part in zip(sides, axes, strict=True)]
        head, tails = np.asarray(along[0] + along[1], np.float32), np.empty((2, len(image)), np.float32)
        for side, part, own, tail in zip(sides, axes, along, tails, strict=True):
            back = _dots(np.asarray(head @ (part @ part.T), np.float32), head)
            # |side - part' head|^2, multiplied out
            squared = _dots(side, side) - 2.0 * _dots(own, head) + back
            tail[:] = np.sqrt(np.maximum(squared, 0.0) + ROUNDING)
        return head, tails


class Heads:
    """The heads of K images in blocks, see `kernels.Heads`.

    Args:
        arrays: from `quantise`.
        captioned: (K,) which images have captions, as they lie in blocks.
    """

    def __init__(self, arrays: Mapping[str, NDArray], captioned: NDArray[np.bool_]) -> None:
        starts = np.arange(0, len(captioned), kernels.FEW)
        self._axes, self._most_lost = arrays["axes"], float(arrays["head lost"].max(initial=0.0))
        self._first, self._rest = arrays["head first"], arrays["head rest"]
        self._scales, self._longest = arrays["head scales"], arrays["head longest"]
        self._captioned, self._alone = (np.logical_or.reduceat(w, starts) for w in (captioned, ~captioned))

    def seen(
        self,
        row: NDArray[np.float64],
        gamma: float,
        means: Two32,
        longest: float,
    ) -> kernels.Heads:
        """The images, asked for a row (D,) under a weight of captions."""
        query = np.concatenate([(1.0 - gamma) * row, gamma / CAPTIONS * row])
        along = (self._axes @ query.astype(np.float32)).astype(np.float64)
        apart = np.split(query - along.astype(np.float32) @ self._axes, 2)
        asked, rounding = Whole.of(along[None]), ROUNDING * float(np.linalg.norm(query))
        length, main = float(np.linalg.norm(along)), self._first.shape[1]
        slack = (float(asked.lost[0]) + rounding) * 2.0 * longest + length * self._most_lost
        bases = [
            share * (row @ mean.astype(np.float64))
            for share, mean in zip((1.0 - gamma, gamma), means, strict=True)
        ]
        lengths = [np.linalg.norm(part) * 1.000001 for part in (along[main:], *apart)]
        return kernels.Heads(
            self._first,
            self._rest,
            self._scales,
            self._longest,
            self._captioned,
            self._alone,
            asked.numbers[0],
            np.float32(asked.steps[0]),
            (np.float32(bases[0]), np.float32(bases[1])),
            (np.float32(lengths[0]), np.float32(lengths[1]), np.float32(lengths[2])),
            np.float32(slack),
        )


class Quantised:
    """The rows of K images as int8, with all norms.

    Args:
        arrays: from `quantise`, or as they were kept.
        captioned: (K,) which images have captions that count.

    Attributes:
        norms: what norms need of each image, exactly.
        order: (K,) the places of the images as they lie here, alike ones together.
    """

    def __init__(self, arrays: Mapping[str, NDArray], captioned: NDArray[np.bool_]) -> None:
        for array in arrays.values():
            array.setflags(write=False)  # as those from the disk are: one kind of array, compiled once
        codes = [Codes(*(arrays[f"{side} {key}"] for key in Codes._fields)) for side in SIDES]
        self.sides = tuple(Side(arrays[f"{side} mean"], one) for side, one in zip(SIDES, codes, strict=True))
        exact = arrays["norms"]
        self.order = order = arrays["order"]
        self.norms = GalleryTerms(exact[0], exact[2], exact[1], captioned)
        self._captioned = captioned[order]
        self._heads = Heads(arrays, self._captioned)
        cross = np.where(self._captioned, exact[1:, order], 0.0)
        units = max(float(np.abs(cross).max(initial=0.0)), 1e-30) / 32_000
        numbers = np.float32(units), np.float32(np.abs(exact[0] - 1.0).max(initial=0.0))
        whole = _in_blocks(np.rint(cross / units).astype(np.int16))
        self._lengths = kernels.Lengths(
            order,
            captioned.copy(),  # one that may be written, as all such are
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
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The images that may be among the `count` best of one row (D,), in the gallery's order, and what they score at most.

        Scores are not divided by the length of the row. See `candidates`.
        """
        count, length = min(count, len(self._captioned)), float(np.linalg.norm(row))
        if cosine or self._captioned.all():
            means = self.sides[0].mean, self.sides[1].mean
            (image, lost), (captions, lost_too) = (side.seen(row) for side in self.sides)
            return kernels.best_by_heads(
                self._heads.seen(row, gamma, means, self._longest),
                image,
                captions,
                np.float32(gamma),
                self._lengths,
                np.float32((max(lost, lost_too) + ROUNDING * length) * self._longest),
                cosine,
                _ALL if among is None else np.array(among),  # one that is read only is another type
                count,
            )
        dots = self.dots(row[None], captions=bool(gamma))
        near = self.candidates(dots, np.ones(1), gamma, count, cosine=cosine, among=among)
        return near, np.full(len(near), np.inf, np.float32)

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
    axes = Axes(np.hstack([apart[0], CAPTIONS * captioned[some, None] * apart[1]]))
    heads, tails = np.empty((images, len(axes.axes)), np.float16), np.empty((2, images), np.float32)
    sides = {side: Codes.empty(images, dim) for side in SIDES}
    norms = np.empty((3, images))
    order = image.order() if isinstance(image, StoredRows) else np.arange(images)
    for start in range(0, images, BLOCK):
        places = order[start : start + BLOCK]
        both = [np.ascontiguousarray(rows[places], np.float32) for rows in (image, captions)]
        for side, rows, mean in zip(sides.values(), both, means, strict=True):
            kernels.quantise(rows, places, mean, *side)
        found = axes.heads(both[0] - means[0], (both[1] - means[1]) * captioned[places, None])
        heads[places], tails[:, places] = found
        kernels.exact_norms(both[0], both[1], places, norms)
    together = alike_together(heads, captioned)
    arrays: dict[str, NDArray] = {f"{side} mean": mean for side, mean in zip(SIDES, means, strict=True)}
    for side in SIDES:
        for key, array in sides.pop(side)._asdict().items():
            arrays[f"{side} {key}"] = array[together]
    return {
        **arrays,
        "axes": axes.axes,
        "norms": norms,
        "order": together,
        **heads_in_blocks(heads, tails, together),
    }


def heads_in_blocks(
    heads: NDArray[np.float16], tails: NDArray[np.float32], together: NDArray[np.int32]
) -> dict[str, NDArray]:
    """What `Heads` takes of heads (K, N) and the lengths (2, K) of what is in none, each FEW of those that lie together."""
    numbers, blocks = heads.shape[1], -(-len(together) // kernels.FEW)
    main = max(1, round(MAIN * numbers))
    first, rest = (np.zeros((blocks, n, kernels.FEW), np.int8) for n in (main, numbers - main))
    scales, lost, longest = (np.zeros(shape, np.float32) for shape in (blocks, blocks, (3, blocks)))
    for block in range(blocks):
        places = together[block * kernels.FEW : (block + 1) * kernels.FEW]
        rows = heads[places].astype(np.float32)
        lost[block] = kernels.quantise_heads(rows, block, first, rest, scales, longest)
        lost[block] += HALF * np.linalg.norm(rows, axis=1).max() + ROUNDING
        longest[1:, block] = tails[:, places].max(axis=1)
    return {
        "head first": first,
        "head rest": rest,
        "head scales": scales,
        "head longest": longest,
        "head lost": lost,
    }


def alike_together(heads: NDArray[np.float16], captioned: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The places of K images, those with like heads (K, N) one after another; first all that have captions.

    They are divided by the nearest of a few middles (k-means), then each part is divided again.
    """
    parts = [_divided(heads, np.flatnonzero(which), DIVISIONS) for which in (captioned, ~captioned)]
    return np.concatenate([*parts[0], *parts[1]]).astype(np.int32)


def _divided(heads: NDArray[np.float16], places: NDArray[np.int64], times: int) -> list[NDArray[np.int64]]:
    count = min(PARTS, -(-len(places) // kernels.FEW))
    if count < 2 or not times:
        return [places]
    some = heads[places[:: max(1, len(places) // (PARTS * count))]].astype(np.float32)
    middles = some[np.linspace(0, len(some) - 1, count).astype(np.int64)]
    for _ in range(ROUNDS):
        nearest = _nearest(some, middles)
        own = np.zeros((count, len(some)), np.float32)
        own[nearest, np.arange(len(some))] = 1.0
        sizes = own.sum(axis=1, keepdims=True)
        middles = np.where(sizes > 0.0, own @ some / np.maximum(sizes, 1.0), middles)
    nearest = np.concatenate(
        [
            _nearest(heads[places[start : start + BLOCK]].astype(np.float32), middles)
            for start in range(0, len(places), BLOCK)
        ]
    )
    order = places[np.argsort(nearest, kind="stable")]
    groups = np.split(order, np.bincount(nearest, minlength=count).cumsum()[:-1])
    return [part for group in groups for part in _divided(heads, group, times - 1)]


def _nearest(rows: NDArray[np.float32], middles: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) which of the middles each row is nearest to."""
    return np.argmax(rows @ middles.T - 0.5 * np.square(middles).sum(axis=1), axis=1)


def _in_blocks(numbers: NDArray[np.int16]) -> NDArray[np.int16]:
    """(R, K) -> (B, R, FEW), the last block filled up with zeros."""
    blocks = -(-numbers.shape[1] // kernels.FEW)
    filled = np.zeros((len(numbers), blocks * kernels.FEW), np.int16)
    filled[:, : numbers.shape[1]] = numbers
    return np.ascontiguousarray(filled.reshape(len(numbers), blocks, kernels.FEW).transpose(1, 0, 2))


def _dots(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) dot products, row by row."""
    return np.einsum("nd,nd->n", rows, others, dtype=np.float64)
