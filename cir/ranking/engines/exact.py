"""The features in memory, and all of them looked at: every answer is exact."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import ArrayLike, NDArray

from cir.gallery.gallery import Gallery
from cir.ranking.engines.neighbours import Neighbours, find_neighbours
from cir.ranking.engines.protocol import Sides
from cir.ranking.scoring import (
    Floats,
    GalleryTerms,
    QueryTerms,
    Scoring,
    gallery_terms,
    query_terms,
    top_indices,
)
from cir.types import Features

REMEMBERED_QUERIES = 64


class ExactEngine:
    """An engine over an open gallery. It remembers the dot products of the last queries: a slider reads no row again."""

    recall = 1.0

    def __init__(self, gallery: Gallery) -> None:
        self._features = Sides(gallery.image_features, gallery.caption_features)
        self.captioned = gallery.captioned
        self._remembered: LRUCache[bytes, QueryTerms] = LRUCache(REMEMBERED_QUERIES)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.captioned)

    @property
    def norms(self) -> GalleryTerms:
        """What norms need of each image; computed when it is first asked for."""
        return self._norms

    @cached_property
    def _norms(self) -> GalleryTerms:
        return gallery_terms(*self._features, self.captioned)

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N images; (D,) of one."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Sides(*(rows[chosen] for rows in self._features))

    def dots(self, rows: Features) -> Sides:
        """(K, P) dot products of every image with P rows: two matrix products."""
        return Sides(*(one @ rows.T for one in self._features))

    def terms(self, rows: Mapping[str, Floats]) -> QueryTerms:
        """The dot products of one query, taken once as long as they are remembered."""
        key = _digest(rows)
        with self._lock:
            if key in self._remembered:
                return self._remembered[key]
        terms = query_terms(rows, *self._features)
        # Contiguous by column, as a scoring reads them at every move of a slider.
        terms = replace(
            terms, image=np.asfortranarray(terms.image), captions=np.asfortranarray(terms.captions)
        )
        with self._lock:
            self._remembered[key] = terms
        return terms

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

        float32 terms score everything; those within rounding of the last place are scored again from their rows.
        """
        approximate = scoring.scores(self.terms(rows), self.norms)
        approximate[np.asarray(exclude, dtype=np.int64)] = -np.inf
        if among is not None:
            approximate[~among] = -np.inf
        first = top_indices(approximate, min(count, int(np.count_nonzero(approximate > -np.inf))))
        if not len(first):
            return first, np.zeros(0)
        near = np.flatnonzero(approximate >= approximate[first[-1]] - 2 * scoring.rounding)
        exact = self.scores(rows, scoring, near)
        best = top_indices(exact, count)
        return near[best], exact[best]

    def scores(self, rows: Mapping[str, Floats], scoring: Scoring, indices: ArrayLike) -> Floats:
        """(N,) scores of some images in float64, from their rows."""
        chosen = np.asarray(indices, dtype=np.int64)
        image, captions = (one[chosen].astype(np.float64) for one in self._features)
        exact_rows = {name: np.asarray(row, dtype=np.float64) for name, row in rows.items()}
        return scoring.scores(
            query_terms(exact_rows, image, captions),
            gallery_terms(image, captions, self.captioned[chosen]),
        )

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N."""
        return find_neighbours(self.features(indices).image, top=top)


def _digest(rows: Mapping[str, Floats]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, row in rows.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(row).tobytes())
    return digest.digest()
