"""A gallery on Qdrant servers: Eq. 10 is computed there, and a slider moves on what came with the first answer.

The server holds [t_v; t_c] of each picture and is asked for [(1 - g) q; g q]; a formula divides by lengths. It looks for
the M largest dot products, so pictures with smaller ones and shorter rows might be missed: an answer is given only once
that is ruled out (`_Kept.outside`), and M grows until it is. The best of them stay here with their dot products. When a
slider moves, no score can change by more than a bound: as long as the best of those that are here are above what any
other could have come to, the server is not asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import ArrayLike, NDArray

from cir.errors import BadQuery
from cir.gallery.served.filters import captioned_only, filter_of
from cir.gallery.served.gallery import ServedGallery
from cir.gallery.served.points import VECTOR, path_of
from cir.ranking.engines.neighbours import Neighbours, find_neighbours
from cir.ranking.engines.protocol import Among, Promise, Sides, Told
from cir.ranking.scoring import (
    Floats,
    GalleryTerms,
    Linear,
    QueryTerms,
    Scoring,
    fused_lengths,
    gallery_terms,
    query_length,
    row_dots,
)

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable

KEPT = 2048  # pictures of a query that stay here with their dot products
FIRST = 4096  # M, to begin with
QUERIES = 32  # that are remembered
OFF = 2e-6  # what the server's float32 scores may be off by, generously
FEW = 12  # scorings whose ranks are asked of the server where they are not known here
SAMPLE = 1024  # pictures whose rows are fetched to know what a gallery is like
_FIELDS = ["image_id", "path", "raw_path", "tv_tv", "tc_tc", "tv_tc", "captioned"]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The best pictures of a query under the weights that were asked for, and a bound for all others.

    Attributes:
        places: (M,) of pictures.
        terms, norms: what scores are made of.
        paths: M, by which equal scores are ordered.
        row: (D,) the weighted sum of the query's rows that was asked for; of length 1 for a cosine.
        gamma: what captions counted for.
        outside: no other picture that may be found scored more than that; -inf where there is no other.
    """

    places: NDArray[np.int64]
    terms: QueryTerms
    norms: GalleryTerms
    paths: tuple[bytes, ...]
    row: NDArray[np.float64]
    gamma: float
    outside: float


class QdrantEngine:
    """An engine over a gallery on a server. A picture's place is the number of its point.

    Args:
        gallery: whose pictures.

    Raises:
        BadQuery: the gallery is on no server.
    """

    recall = 1.0
    far: int | None = KEPT + 1

    def __init__(self, gallery: Searchable) -> None:
        if not isinstance(gallery, ServedGallery):
            raise BadQuery(
                f"{gallery.name} is not on a server.",
                f"Push it there first: python -m cir galleries push {gallery.name} --qdrant-url URL",
            )
        self._gallery, self._facts = gallery, gallery.facts
        self._queries: LRUCache[bytes, _Kept] = LRUCache(QUERIES)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._gallery)

    def prepare(self, told: Told | None = None, *, behind: bool = False) -> None:
        """Nothing has to be made: the server has all."""

    def promise(self, scoring: Scoring) -> Promise:
        """Every answer is exact, to within the server's float32."""
        return Promise("qdrant", 1.0)

    # --- some pictures ---------------------------------------------------------------------------------------

    def sample(self, count: int, *, captioned: bool = False) -> NDArray[np.int64]:
        """Places of some pictures, always the same: at most SAMPLE. Numbers of points mix the gallery."""
        points = self._gallery.scrolled(
            min(count, SAMPLE), captioned_only() if captioned else None, with_payload=False
        )
        return np.array([point.id for point in points], np.int64)

    def features(self, indices: ArrayLike) -> Sides:
        """(N, D) t_v and t_c of N pictures; (D,) of one."""
        places = np.asarray(indices, np.int64)
        image, captions = np.split(self._gallery.vectors(places), 2, axis=1)
        captioned = np.array([one["captioned"] for one in self._gallery.payloads(places)], bool)
        captions = np.where(captioned[:, None], captions, np.float32(0.0))
        return Sides(image, captions) if places.ndim else Sides(image[0], captions[0])

    def norms_of(self, indices: ArrayLike) -> GalleryTerms:
        """What norms need of some pictures."""
        return _norms(self._gallery.payloads(indices))

    def terms_of(self, rows: Mapping[str, Floats], indices: ArrayLike) -> QueryTerms:
        """The dot products of one query with N pictures, in float64."""
        sides = self.features(np.atleast_1d(np.asarray(indices, np.int64)))
        queries = np.stack(list(rows.values())).astype(np.float64)
        image, captions = (np.stack([row_dots(side, query) for query in queries], axis=1) for side in sides)
        return QueryTerms(tuple(rows), image, captions, queries @ queries.T)

    def scores(self, rows: Mapping[str, Floats], scoring: Scoring, indices: ArrayLike) -> Floats:
        """(N,) scores of some pictures in float64, from their rows, which are fetched where they are not here."""
        places = np.atleast_1d(np.asarray(indices, np.int64))
        sides = self.features(places)
        norms = gallery_terms(
            sides.image.astype(np.float64), sides.captions.astype(np.float64), self.norms_of(places).captioned
        )
        return scoring.scores(self.terms_of(rows, places), norms)

    def neighbours(self, indices: ArrayLike, *, top: int) -> Neighbours:
        """The `top` pictures most alike to each of N among these N."""
        return find_neighbours(self.features(indices).image, top=top)

    # --- the best ----------------------------------------------------------------------------------------------

    def top(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        count: int,
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> tuple[NDArray[np.int64], Floats]:
        """The best pictures, and their scores in float64, from their rows; equal scores in the order of their paths.

        Raises:
            BadQuery: a row of the query is not of finite numbers; the scoring is no weighted sum.
            GalleryError: the server does not answer; see `Server.ask`.
        """
        linear = _linear(rows, scoring)
        if count < 1 or not len(self):
            return np.zeros(0, np.int64), np.zeros(0)
        if not _direction(rows, linear).any():
            return self._first(count, among, exclude)
        kept = self._kept(rows, linear, count, among, exclude)
        scores = linear.scores(kept.terms, kept.norms)
        edge = np.sort(scores)[::-1][min(count, len(scores)) - 1] if len(scores) else 0.0
        near = np.flatnonzero(scores >= edge - 2 * OFF)
        exact = self.scores(rows, linear, kept.places[near])
        order = sorted(range(len(near)), key=lambda i: (-exact[i], kept.paths[near[i]]))[:count]
        return kept.places[near[order]], exact[order]

    def ranks(
        self,
        rows: Mapping[str, Floats],
        indices: Sequence[int],
        scorings: Sequence[Scoring],
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> NDArray[np.int64]:
        """(T, S) ranks of T pictures, from 1, under each of S scorings.

        KEPT + 1 stands for that rank and any behind it. Of more than FEW scorings those alone are told that follow from
        what is here; the others are 0.

        Raises:
            BadQuery: see `top`.
        """
        out = np.zeros((len(indices), len(scorings)), np.int64)
        if not scorings or not len(indices):
            return out
        kept = self._kept(rows, _linear(rows, scorings[0]), 0, among, exclude)
        for s, scoring in enumerate(scorings):
            linear = _linear(rows, scoring)
            out[:, s] = self._ranks_within(kept, rows, linear, indices, self._outside(kept, rows, linear))
            if not out[:, s].all() and len(scorings) <= FEW:
                own = self._asked(rows, linear, 1, filter_of(among, without=exclude))
                out[:, s] = self._ranks_within(own, rows, linear, indices, own.outside + OFF)
                out[out[:, s] == 0, s] = KEPT + 1
        return out

    def _ranks_within(
        self, kept: _Kept, rows: Mapping[str, Floats], scoring: Linear, indices: Sequence[int], outside: float
    ) -> list[int]:
        """Ranks of pictures among those that are here; 0 for one that others, which score up to `outside`, may precede."""
        scores, own = scoring.scores(kept.terms, kept.norms), self.scores(rows, scoring, indices)
        found = []
        for place, score, payload in zip(indices, own, self._gallery.payloads(indices), strict=True):
            if score <= outside:
                found.append(0)
                continue
            even = np.flatnonzero((np.abs(scores - score) <= OFF) & (kept.places != place))
            exact = self.scores(rows, scoring, kept.places[even])
            path = path_of(payload)
            before = sum(
                other > score or (other == score and kept.paths[i] < path)
                for i, other in zip(even, exact, strict=True)
            )
            found.append(1 + before + int((scores > score + OFF).sum()))
        return found

    def count_reaching(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        least: float,
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> int:
        """How many pictures have a score from `least` on, as far as that is known here: at most KEPT."""
        linear = _linear(rows, scoring)
        kept = self._kept(rows, linear, 1, among, exclude)
        if kept.outside > -np.inf and self._outside(kept, rows, linear) >= least:
            kept = self._asked(rows, linear, 1, filter_of(among, without=exclude))
        return int((linear.scores(kept.terms, kept.norms) >= least).sum())

    def count(self, among: Among, exclude: Sequence[int] = ()) -> int:
        """How many pictures may be found."""
        return self._gallery.count(among, exclude)

    def _first(self, count: int, among: Any, exclude: Sequence[int]) -> tuple[NDArray[np.int64], Floats]:
        """Some pictures, all with score 0: the rows of the query cancel."""
        points = self._gallery.scrolled(count, filter_of(among, without=exclude))
        points.sort(key=lambda point: path_of(point.payload))
        return np.array([point.id for point in points], np.int64), np.zeros(len(points))

    def _kept(
        self, rows: Mapping[str, Floats], scoring: Linear, count: int, among: Any, exclude: Sequence[int]
    ) -> _Kept:
        """Pictures among which the `count` best under a scoring are: those that are here, or else the server's."""
        key = _key(rows, scoring.cosine, among, exclude)
        with self._lock:
            kept = self._queries.get(key)
        if kept is not None and (not count or self._holds(kept, rows, scoring, count)):
            return kept
        kept = self._asked(rows, scoring, max(count, 1), filter_of(among, without=exclude))
        with self._lock:
            self._queries[key] = kept
        return kept

    def _holds(self, kept: _Kept, rows: Mapping[str, Floats], scoring: Linear, count: int) -> bool:
        if kept.outside == -np.inf:
            return True
        if len(kept.places) < count:
            return False
        scores = np.sort(scoring.scores(kept.terms, kept.norms))[::-1]
        return bool(scores[count - 1] > self._outside(kept, rows, scoring))

    def _outside(self, kept: _Kept, rows: Mapping[str, Floats], scoring: Linear) -> float:
        """What no picture that is not here can score more than, under a scoring.

        Two rows a and b of other lengths: |a/|a| - b/|b|| <= 2 |a - b| / (|a| + |b|).
        """
        row = _direction(rows, scoring)
        gamma, moved = scoring.captions, abs(scoring.captions - kept.gamma) * self._facts.most_apart
        if not scoring.cosine:
            return (
                kept.outside + float(np.linalg.norm(row - kept.row) + np.linalg.norm(kept.row) * moved) + OFF
            )
        turned = float(np.linalg.norm(row - kept.row))
        lengths = self._shortest(gamma) + self._shortest(kept.gamma)
        swung = 2.0 * moved / lengths if moved else 0.0
        return kept.outside + turned + swung + OFF

    def _shortest(self, gamma: float) -> float:
        """What no (1 - g) t_v + g t_c is shorter than."""
        facts = self._facts
        return max(float(fused_lengths(gamma, 1.0, facts.least_tv_tc, facts.least_tc_tc)) - OFF, 1e-6)

    # --- what is asked of the server ----------------------------------------------------------------------------

    def _asked(self, rows: Mapping[str, Floats], scoring: Linear, count: int, chosen: Any) -> _Kept:
        """The best pictures by the server, with proof that no other belongs to the `count` best."""
        row, kept = _direction(rows, scoring), max(KEPT, count)
        limit = max(FIRST, 2 * kept)
        while True:
            points, last = self._searched(row, scoring, kept, limit, chosen)
            unseen = -np.inf if last is None else self._most(last, scoring)
            if last is None or len(points) < count or points[count - 1].score > unseen + OFF:
                break
            if limit >= len(self):
                break
            limit *= 2
        outside = max(unseen, points[-1].score if len(points) == kept else -np.inf)
        return self._with_terms(rows, row, scoring, points, outside)

    def _most(self, dot: float, scoring: Linear) -> float:
        """The most that a picture can score whose dot product is no more than that."""
        if not scoring.cosine:
            return dot
        return dot / self._shortest(scoring.captions) if dot >= 0 else dot / 1.001

    def _searched(
        self, row: NDArray[np.float64], scoring: Linear, kept: int, limit: int, chosen: Any
    ) -> tuple[list[Any], float | None]:
        """The best by score among those with the `limit` largest dot products; and the last of these dot products.

        None in its place where there are not so many. It is asked for by itself: each shard has its own last one.
        """
        from qdrant_client import models

        gamma = scoring.captions
        vector = np.concatenate([(1.0 - gamma) * row, gamma * row]).tolist()
        near: dict[str, Any] = {"query": vector, "using": VECTOR, "params": models.SearchParams(exact=True)}
        if scoring.cosine:
            first = models.QueryRequest(
                prefetch=models.Prefetch(**near, limit=limit, filter=chosen),
                query=models.FormulaQuery(formula=_formula(gamma)),
                limit=kept,
                with_payload=_FIELDS,
            )
        else:
            first = models.QueryRequest(**near, filter=chosen, limit=kept, with_payload=_FIELDS)
        second = models.QueryRequest(**near, filter=chosen, limit=1, offset=limit - 1)
        found, last = self._gallery.server.ask(
            "query_batch_points", self._gallery.name, requests=[first, second]
        )
        return found.points, last.points[0].score if last.points else None

    def _with_terms(
        self,
        rows: Mapping[str, Floats],
        row: NDArray[np.float64],
        scoring: Linear,
        points: Sequence[Any],
        outside: float,
    ) -> _Kept:
        """The points with the dot products of every row of the query, which the server takes for these alone."""
        from qdrant_client import models

        places = np.array([point.id for point in points], np.int64)
        payloads = [point.payload for point in points]
        queries = np.stack(list(rows.values())).astype(np.float64)
        dots = np.zeros((2, len(places), len(queries)))
        if len(places):
            nothing, own = np.zeros_like(queries[0]), filter_of(None, only=places.tolist())
            requests = [
                models.QueryRequest(
                    query=np.concatenate([query, nothing] if side == 0 else [nothing, query]).tolist(),
                    using=VECTOR,
                    filter=own,
                    limit=len(places),
                    params=models.SearchParams(exact=True),
                )
                for side in (0, 1)
                for query in queries
            ]
            answers = self._gallery.server.ask("query_batch_points", self._gallery.name, requests=requests)
            order = np.argsort(places)
            for number, answer in enumerate(answers):
                found = np.array([point.id for point in answer.points], np.int64)
                at = order[np.searchsorted(places, found, sorter=order)]
                dots[number // len(queries), at, number % len(queries)] = [p.score for p in answer.points]
        norms = _norms(payloads)
        dots[1, ~norms.captioned] = 0.0
        terms = QueryTerms(tuple(rows), dots[0], dots[1], queries @ queries.T)
        return _Kept(places, terms, norms, tuple(map(path_of, payloads)), row, scoring.captions, outside)


def _linear(rows: Mapping[str, Floats], scoring: Scoring) -> Linear:
    """The scoring, where the server can compute it.

    Raises:
        BadQuery: it is no weighted sum, or a row is not of finite numbers.
    """
    if not all(np.isfinite(row).all() for row in rows.values()):
        raise BadQuery("The query has features that are no numbers.", "Try another picture or other words.")
    if not isinstance(scoring, Linear):
        raise BadQuery(
            "This method multiplies likenesses, which a gallery on servers cannot be ranked by.",
            "Choose another method, or pull the gallery: python -m cir galleries pull NAME",
        )
    return scoring


def _direction(rows: Mapping[str, Floats], scoring: Linear) -> NDArray[np.float64]:
    """(D,) the weighted sum of the query's rows, of length 1 for a cosine; zeros where it cancels."""
    stacked = np.stack(list(rows.values())).astype(np.float64)
    weights = np.array([scoring.weights.get(name, 0.0) for name in rows])
    length = query_length(stacked @ stacked.T, weights)
    total = weights @ stacked
    if not length:
        return np.zeros_like(total)
    return total / length if scoring.cosine else total


def _formula(gamma: float) -> Any:
    """Eq. 10 of a dot product with a row of length 1: it over |(1 - g) t_v + g t_c|; 0 where that cancels."""
    from qdrant_client import models

    factors = {"tv_tv": (1.0 - gamma) ** 2, "tv_tc": 2.0 * gamma * (1.0 - gamma), "tc_tc": gamma**2}
    squares: list[Any] = [
        models.MultExpression(mult=[factor, name]) for name, factor in factors.items() if factor
    ]
    squared = models.MaxExpression(max=[0.0, models.SumExpression(sum=squares)])
    length = models.SqrtExpression(sqrt=squared)
    return models.DivExpression(div=models.DivParams(left="$score", right=length, by_zero_default=0.0))


def _norms(payloads: Sequence[Mapping[str, Any]]) -> GalleryTerms:
    captioned = np.array([one["captioned"] for one in payloads], bool)
    tv_tv, tc_tc, tv_tc = (
        np.array([one[name] for one in payloads], np.float64) for name in ("tv_tv", "tc_tc", "tv_tc")
    )
    return GalleryTerms(tv_tv, np.where(captioned, tc_tc, 0.0), np.where(captioned, tv_tc, 0.0), captioned)


def _key(rows: Mapping[str, Floats], cosine: bool, among: Any, exclude: Sequence[int]) -> bytes:
    digest = hashlib.blake2b(repr((cosine, among, sorted(exclude))).encode(), digest_size=16)
    for name, row in rows.items():
        digest.update(name.encode() + np.ascontiguousarray(row).tobytes())
    return digest.digest()
