"""All images looked at, and every answer exact: by int8 copies and a bound where there are many, else in float32.

Whatever may belong to the best is scored again in float64, from the rows themselves: both ways give the same answers.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from threading import Lock, Thread, Timer
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.gallery.gallery import Gallery
from cir.ranking.engines.counting import Counting
from cir.ranking.engines.neighbours import Neighbours, find_neighbours
from cir.ranking.engines.protocol import Promise, Sides, Told
from cir.ranking.engines.remembered import Kept, Remembered
from cir.ranking.scoring import (
    Floats,
    GalleryTerms,
    Linear,
    QueryTerms,
    Scoring,
    gallery_terms,
    query_length,
    row_dots,
    top_indices,
)
from cir.types import Features

if TYPE_CHECKING:
    from cir.gallery.kept_arrays import KeptArrays
    from cir.ranking.engines.quantised import Quantised

_log = logging.getLogger(__name__)

QUANTISED_FROM = 20_000  # images; for fewer, float32 is as fast, and nothing has to be compiled
AT_ONCE = 4096  # rows that are read at once
_NONE = np.zeros(0, np.int64)
CAPTIONS_AHEAD = (0.1, 0.5, 0.9)  # what captions count for where a row of the query counts alone
CHECKED_AFTER_SECONDS = 60.0  # the first searches do not share the disk and the processor with that


class ExactEngine(Counting):
    """An engine over an open gallery. It remembers the dot products of the last queries: a slider reads no row again.

    Args:
        gallery: whose images.
        quantised: whether to look at int8 copies; None: where there are many images, and numba is installed.
    """

    recall = 1.0

    def __init__(self, gallery: Gallery, *, quantised: bool | None = None) -> None:
        self._gallery = gallery
        self._features = gallery.image_features, gallery.caption_features
        self.captioned = gallery.captioned
        self._any_captioned = bool(gallery.captioned_images)
        many = len(self) >= QUANTISED_FROM and find_spec("numba") is not None
        self._is_quantised = len(self) > 0 and (many if quantised is None else quantised)
        self._remembered = Remembered()
        self._making = Lock()

    def __len__(self) -> int:
        return len(self.captioned)

    def prepare(self, told: Told | None = None, *, behind: bool = False) -> None:
        """Make what the first query would wait for."""
        if behind:
            Thread(target=self.prepare, daemon=True, name="engine").start()
        elif self._is_quantised:
            from cir.ranking.engines.compiled_files import remove_earlier_loops
            from cir.ranking.engines.kernels import compile_ahead

            some = {"any": np.ones(self._features[0].shape[1])}
            for _ in range(2):  # as a new query, then as a move of a slider
                self.top(some, Linear.even(some, 0.5), 1)
                self.settle()
            compile_ahead()
            remove_earlier_loops()
            _return_freed_memory()
            later = Timer(CHECKED_AFTER_SECONDS, self.check_copies)
            later.daemon = True
            later.start()

    def check_copies(self) -> None:
        """Of copies that were kept, the checksum is compared while others search by them already; damaged ones are made anew."""
        kept = self._copies[1]
        if kept is None or kept.is_sound():
            return
        _log.warning("What searches %s quickly is damaged. It is made again.", self._gallery.name)
        kept.forget()
        with self._making:
            del self._made_copies
            self._remembered = Remembered()

    def promise(self, scoring: Scoring) -> Promise:
        """Every answer is exact."""
        return Promise("exact", 1.0)

    def settle(self) -> None:
        """Wait until nothing is computed ahead."""
        self._remembered.settle()

    @property
    def norms(self) -> GalleryTerms:
        """What norms need of each image; computed when it is first asked for."""
        return self._scan.norms if self._is_quantised else self._norms

    @cached_property
    def _norms(self) -> GalleryTerms:
        image, captions = cast("tuple[Floats, Floats]", self._features)  # sliced as arrays are
        return gallery_terms(image, captions, self.captioned)

    @cached_property
    def _shortest(self) -> float:
        return self.norms.shortest()

    @property
    def _scan(self) -> Quantised:
        return self._copies[0]

    @property
    def _copies(self) -> tuple[Quantised, KeptArrays | None]:
        with self._making:
            return self._made_copies

    @cached_property
    def _made_copies(self) -> tuple[Quantised, KeptArrays | None]:
        from cir.ranking.engines.copies import open_copies

        return open_copies(self._gallery)

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N images; (D,) of one."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Sides(*(rows[chosen] for rows in self._features))

    def dots(self, rows: Features) -> Sides:
        """(K, P) dot products of every image with P rows: a matrix product of each side."""
        return Sides(*(side @ rows.T for side in self._features))

    def terms(self, rows: Mapping[str, Floats]) -> QueryTerms:
        """The dot products of one query, taken once as long as they are remembered."""
        return self._remembered.terms(rows, len(self), lambda: self._take_terms(rows))

    def _take_terms(self, rows: Mapping[str, Floats]) -> QueryTerms:
        stacked = np.stack(list(rows.values())).astype(np.float32)
        # Contiguous by column, as a scoring reads them at every move of a slider.
        image, captions = map(np.asfortranarray, self.dots(stacked))
        return QueryTerms(tuple(rows), image, captions, stacked @ stacked.T)

    def terms_of(self, rows: Mapping[str, Floats], indices: ArrayLike) -> QueryTerms:
        """The dot products of one query with N images, in float64."""
        chosen = np.atleast_1d(np.asarray(indices, dtype=np.int64))
        queries = np.stack(list(rows.values())).astype(np.float64)
        parts: list[Floats] = [np.empty((2, 0, len(queries)))]
        for start in range(0, len(chosen), AT_ONCE):
            sides = self.features(chosen[start : start + AT_ONCE])
            parts.append(np.stack([self._exact_dots(side, queries) for side in sides]))
        image, captions = np.concatenate(parts, axis=1)
        return QueryTerms(tuple(rows), image, captions, queries @ queries.T)

    def _exact_dots(self, rows: Floats, queries: NDArray[np.float64]) -> Floats:
        if not self._is_quantised:
            return np.stack([row_dots(rows, query) for query in queries], axis=1)
        from cir.ranking.engines.kernels import exact_dots

        out = np.empty((len(rows), len(queries)))
        exact_dots(np.ascontiguousarray(rows, np.float32), queries, out)
        return out

    def top(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        count: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Sequence[int] = (),
    ) -> tuple[NDArray[np.int64], Floats]:
        """The `count` best images and their scores, in exactly the order of the scoring in float64.

        Raises:
            BadQuery: a row of the query is not of finite numbers.
        """
        if count < 1 or not len(self):
            return np.zeros(0, np.int64), np.zeros(0)
        left_out = np.unique(np.asarray(exclude, dtype=np.int64)) if len(exclude) else _NONE
        kept = self._remembered.query(rows, len(self) if self._is_quantised else 0)
        if self._is_quantised and isinstance(scoring, Linear):
            found = self._top_by_bounds(kept, scoring, count, among, left_out)
        else:
            near = self._near_by_terms(rows, scoring, count, among, left_out)
            exact = scoring.scores(kept.exact_terms(near, self.terms_of), self._exact_norms(near))
            best = top_indices(exact, count)
            found = near[best], exact[best]
        if self._is_quantised and kept.dots is None:  # for moves of sliders
            self._remembered.ahead(kept, lambda: self._look_ahead(kept, scoring, count, among, left_out))
        return found

    def _look_ahead(
        self,
        kept: Kept,
        scoring: Scoring,
        count: int,
        among: NDArray[np.bool_] | None,
        left_out: NDArray[np.int64],
    ) -> None:
        """Take what moves of sliders need: a query's dot products, and the rows of what is best where a slider is at its end.

        These are most of what is best elsewhere, so that hardly a move has to read rows.
        """
        kept.dots = self._scan.dots(kept.rows, captions=self._any_captioned)
        if isinstance(scoring, Linear):
            for name in kept.names:
                for captions in CAPTIONS_AHEAD:
                    alone = replace(scoring, weights={name: 1.0}, captions=captions)
                    self._top_by_bounds(kept, alone, count, among, left_out)

    def _top_by_bounds(
        self,
        kept: Kept,
        scoring: Linear,
        count: int,
        among: NDArray[np.bool_] | None,
        left_out: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], Floats]:
        """One pass over both sides for a new query; none where the dot products of its rows are there by now.

        Then what was scored exactly before says at once, under the new weights, what all other images have to reach.
        """
        scan, gamma = self._scan, scoring.captions if self._any_captioned else 0.0
        weights = np.array([scoring.weights.get(name, 0.0) for name in kept.names], np.float64)
        length = query_length(kept.gram, weights) if scoring.cosine else 0.0
        if scoring.cosine and not length:  # then all scores are 0
            allowed = np.ones(len(self), np.bool_) if among is None else among.copy()
            allowed[left_out] = False
            first = np.flatnonzero(allowed)[:count]
            return first, np.zeros(len(first))
        if kept.dots is None:
            wanted = count + len(left_out)
            near, reach = scan.nearest(weights @ kept.rows, gamma, wanted, cosine=scoring.cosine, among=among)
            if len(left_out):
                may = ~np.isin(near, left_out, assume_unique=True)
                near, reach = near[may], reach[may]
            first = np.sort(near[top_indices(reach, count)])
            if len(first) == count:  # what these score exactly, the others have to reach: fewer rows are read
                known = kept.learn(first, self.terms_of)
                least = scan.best_known(first, known, weights, length, gamma, count)[1][-1] * (length or 1.0)
                near = near[reach >= least - abs(least) * 1e-6 - 1e-9]
        else:
            near, best, scores = scan.best_again(
                kept.dots, kept.exact, weights, length, gamma, count, among=among, left_out=left_out
            )
            if len(best) or not len(near):
                return best, scores
        known = kept.learn(near, self.terms_of)  # the rows of some were not read yet
        return scan.best_known(near, known, weights, length, gamma, count)

    def _near_by_terms(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        count: int,
        among: NDArray[np.bool_] | None,
        left_out: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """float32 terms score everything; those within rounding of the last place are near."""
        approximate = scoring.scores(self.terms(rows), self.norms)
        approximate[left_out] = -np.inf
        if among is not None:
            approximate[~among] = -np.inf
        first = top_indices(approximate, min(count, int(np.count_nonzero(approximate > -np.inf))))
        least = approximate[first[-1]] if len(first) else np.inf
        off = scoring.rounding / max(self._shortest, 1e-12)  # dot products are divided by lengths
        return np.flatnonzero((approximate >= least - 2 * off) & (approximate > -np.inf))

    def scores(self, rows: Mapping[str, Floats], scoring: Scoring, indices: ArrayLike) -> Floats:
        """(N,) scores of some images in float64, from their rows."""
        chosen = np.asarray(indices, dtype=np.int64)
        return scoring.scores(self.terms_of(rows, chosen), self._exact_norms(chosen))

    def _exact_norms(self, indices: NDArray[np.int64]) -> GalleryTerms:
        if self._is_quantised:
            return self._scan.norms.among(indices)
        sides = self.features(indices)
        return gallery_terms(
            sides.image.astype(np.float64), sides.captions.astype(np.float64), self.captioned[indices]
        )

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N."""
        return find_neighbours(self.features(indices).image, top=top)


def _return_freed_memory() -> None:
    """Give back what making copies and compiling needed: 200 MB that lie between what stays. Only glibc can be told."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
