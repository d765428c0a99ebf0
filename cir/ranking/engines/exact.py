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
    exact_scores,
    exact_top,
    gallery_terms,
    query_terms,
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
        """The `count` best images and their scores, in exactly the order of the scoring in float64."""
        excluded = np.asarray(exclude, dtype=np.int64)
        if among is not None:
            excluded = np.concatenate([excluded, np.flatnonzero(~among)])
        return exact_top(
            rows, self.terms(rows), self.norms, self._features, scoring, count, excluded=excluded
        )

    def scores(self, rows: Mapping[str, Floats], scoring: Scoring, indices: Sequence[int]) -> Floats:
        """(N,) scores of some images in float64."""
        return exact_scores(rows, self._features, self.captioned, scoring, list(indices))

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` images most alike to each of N images among these N."""
        return find_neighbours(self.features(indices).image, top=top)


def _digest(rows: Mapping[str, Floats]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, row in rows.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(row).tobytes())
    return digest.digest()
