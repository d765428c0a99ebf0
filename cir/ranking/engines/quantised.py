"""int8 copies of a gallery's rows: all images are looked at in a quarter of the bytes, within bounds that are known.

What the bounds leave open is scored again from the rows themselves, by the engine.
Of each side the mean row is subtracted (q.x = q.m + q.(x - m)), then each row is kept as a scale times whole numbers up to
127. With r the length of what is lost of a row, its dot product with q is off by at most |q| r, and by what q itself
loses as int16 times the length of the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.gallery.stored_rows import Rows, StoredRows
from cir.ranking.engines import kernels
from cir.ranking.scoring import GalleryTerms

SAMPLE = 1024  # rows whose mean stands for all: any row would do, the mean keeps the bounds small
BLOCK = 8192  # rows that are read at once
ROUNDING = 4e-6  # what float32 may be off by in sums of products of unit rows, generously
_INT32 = 2**31 - 1


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


class Side:
    """One row of each image as int8: of its pixels, or of its captions."""

    def __init__(self, images: int, mean: NDArray[np.float32]) -> None:
        self.mean = mean
        self.codes = np.empty((images, len(mean)), np.int8)
        self.scales = np.empty(images, np.float32)
        self.residuals = np.empty(images, np.float32)

    def keep(self, rows: NDArray[np.float32], places: NDArray[np.int64]) -> None:
        """Make the copies of some images' rows."""
        kernels.quantise(rows, places, self.mean, self.codes, self.scales, self.residuals)

    def dots(
        self, rows: NDArray[np.float64], units: NDArray[np.float64]
    ) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
        """(P, K) dot products with P rows (P, D) in units (P,), and the length (P,) of what each row loses as int16."""
        most = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny)
        sums = np.maximum(np.abs(rows).sum(axis=1) / most, 1.0)
        largest = np.floor((_INT32 / 127 - rows.shape[1]) / sums)  # so that no sum of products leaves int32
        steps = most / np.minimum(32767, largest)
        whole = np.rint(rows / steps[:, None])
        out = np.empty((len(rows), len(self.codes)), np.int16)
        kernels.near_dots(
            self.codes,
            self.scales,
            whole.astype(np.int16),
            (steps / units).astype(np.float32),
            (rows @ self.mean.astype(np.float64) / units).astype(np.float32),
            out,
        )
        return out, np.linalg.norm(rows - whole * steps[:, None], axis=1)


class Quantised:
    """The rows of K images as int8, with all norms.

    Attributes:
        norms: what norms need of each image, exactly.
    """

    def __init__(self, image: Rows, captions: Rows, captioned: NDArray[np.bool_]) -> None:
        images = len(captioned)
        some = np.unique(np.linspace(0, images - 1, SAMPLE).astype(np.int64))
        means = [rows[some].mean(axis=0, dtype=np.float64).astype(np.float32) for rows in (image, captions)]
        self.sides = Side(images, means[0]), Side(images, means[1])
        exact = np.empty((3, images))
        order = image.order() if isinstance(image, StoredRows) else np.arange(images)
        for start in range(0, images, BLOCK):
            places = order[start : start + BLOCK]
            both = [np.ascontiguousarray(rows[places], np.float32) for rows in (image, captions)]
            for side, rows in zip(self.sides, both, strict=True):
                side.keep(rows, places)
            kernels.exact_norms(both[0], both[1], places, exact)
        self.norms = GalleryTerms(exact[0], exact[2], exact[1], captioned)
        self._norms = exact.astype(np.float32)
        self._captioned = captioned.astype(np.float32)
        farthest = max(float(np.linalg.norm(mean)) for mean in means)
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
            self.sides[0].residuals,
            self.sides[1].residuals,
            np.float32(np.linalg.norm(weights @ dots.rows)),
            np.float32(np.abs(weights) @ dots.slack),
            cosine,
            np.empty(0, np.bool_)
            if among is None
            else np.array(among),  # one that is read only is another type
            min(count, len(self._captioned)),
        )
