"""One FAISS index over the rows [t_v; t_c] of a gallery, for every weight of its captions.

With the query [(1 - g) q; g q] an inner product is the numerator of Eq. 10 (CVSI, section III-D) for any g, so that no
index is built again when a slider moves; the length below it is a number of each image. An image without captions
stands there as [t_v; t_v], whose product is t_v . q under every g, as its score has to be. This module alone knows FAISS;
it finds candidates, which an engine scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import faiss as swig
import numpy as np
from numpy.typing import NDArray

from cir.ranking.engines.protocol import Told
from cir.ranking.scoring import Floats, GalleryTerms, fused_lengths

faiss: Any = swig  # made by SWIG: what it says of its own arguments is not so

IVF, HNSW = "ivf", "hnsw"
WANTED_RECALL = 0.98  # as many lists are looked at as this takes
BEST = 10  # of each held query
FETCHED, MOST_FETCHED = (
    512,
    4096,
)  # products that are fetched at first, and when the best are not proven by fewer
QUERIES = 200  # that are held to measure the recall
GAMMAS = (0.0, 0.1, 0.2, 0.3, 0.5)  # under which these are asked, in turn
_LINKS = 32  # of each image in HNSW
_PER_LIST = 40  # images that each list is trained by
_ROUNDS = 4  # of k-means
_LEAST_LISTED = 10_000  # images; fewer are one list, and all looked at
_SAMPLE = 4096  # images by which the quantiser's error is measured
_BLOCK = 8192  # images that are read at once
_FLOAT = 2e-6  # what float32 may be off by in a product, generously

Read = Callable[[NDArray[np.int64]], tuple[Floats, Floats]]  # places -> (N, D) t_v and t_c


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is made. Others make another one.

    Attributes:
        kind: IVF or HNSW.
        images, dim: K rows of 2 D numbers.
        lists: into which IVF divides them.
    """

    kind: str
    images: int
    dim: int
    lists: int
    version: int = 1

    @classmethod
    def of(cls, kind: str, images: int, dim: int) -> IndexSettings:
        """What is best for so many images."""
        lists = 1 if images < _LEAST_LISTED else 2 ** round(np.log2(2 * np.sqrt(images)))
        return cls(kind, images, 2 * dim, lists if kind == IVF else 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured when an index was built.

    Attributes:
        error: by how much a product is off at most, for a query of length 1.
        probes: how many lists (IVF) or images on the way (HNSW) are looked at.
        recall: the share of the true 10 best that is found so, over the held queries.
        queries: how many these were.
    """

    error: float
    probes: int
    recall: float
    queries: int


class FusedIndex:
    """Finds candidates in the index of K images.

    Args:
        index: of FAISS.
        settings: it was made by.
        norms: (K, 3) float32 |t_v|^2, t_v . t_c, |t_c|^2; of an image without captions three times |t_v|^2.
        measured: on it.
    """

    def __init__(
        self, index: Any, settings: IndexSettings, norms: NDArray[np.float32], measured: Measured
    ) -> None:
        self.index, self.settings, self.norms, self.measured = index, settings, norms, measured
        self._least = norms.min(axis=0).astype(np.float64)

    def gallery_terms(self, captioned: NDArray[np.bool_]) -> GalleryTerms:
        """What norms need of each image."""
        tv_tv, tv_tc, tc_tc = self.norms.T.astype(np.float64)
        return GalleryTerms(
            tv_tv, np.where(captioned, tc_tc, 0.0), np.where(captioned, tv_tc, 0.0), captioned
        )

    def candidates(
        self,
        direction: NDArray[np.float64],
        gamma: float,
        count: int,
        *,
        cosine: bool = True,
        among: NDArray[np.bool_] | None = None,
        left_out: Sequence[int] | NDArray[np.int64] = (),
    ) -> NDArray[np.int64]:
        """The images that may be among the `count` best, of those that were looked at.

        Products are fetched until no image with a smaller one can be among the best: the least of the best scores is
        above the last product over the least of all lengths. It is tried with ever more of them, up to MOST_FETCHED.

        Args:
            direction: (D,) the weighted sum of the query's rows, not zero.
            gamma: what captions count for.
            count: from 1; fewer are found where there are not so many.
            cosine: whether scores are divided by the images' lengths.
            among: (K,) which may be found. The fewer these are, the more lists are looked at.
            left_out: places of other images that may not; each once.
        """
        query = direction / np.linalg.norm(direction)
        fused = fused_query(query, gamma)
        error = (self.measured.error + _FLOAT) * float(np.linalg.norm(fused))
        allowed = self.settings.images if among is None else int(np.count_nonzero(among))
        if not allowed:
            return np.zeros(0, np.int64)
        selector = None if among is None else faiss.IDSelectorBitmap(np.packbits(among, bitorder="little"))
        probes = -(-self.measured.probes * self.settings.images // allowed)
        least = self._shortest(gamma) if cosine else 1.0
        enough = min(count, allowed) + len(left_out)
        fetched = min(max(FETCHED, 4 * enough), allowed)
        while True:
            places, products = self._search(fused, fetched, probes, selector)
            if len(places) < min(enough, allowed) and probes < self.settings.images:
                probes = self.settings.images  # the lists that were looked at hold too few
                continue
            last = float(products[-1]) if len(products) else 0.0
            kept = ~np.isin(places, left_out)
            near, lowest = self._near(places[kept], products[kept], gamma, count, error, cosine)
            found_all = len(places) < fetched or fetched == allowed
            if found_all or lowest >= max(last + error, 0.0) / least or fetched >= MOST_FETCHED:
                return near
            fetched = min(4 * fetched, allowed, MOST_FETCHED)

    def _near(
        self,
        places: NDArray[np.int64],
        products: NDArray[np.float32],
        gamma: float,
        count: int,
        error: float,
        cosine: bool,
    ) -> tuple[NDArray[np.int64], float]:
        """Those that the quantiser's error leaves among the best, and what the last of the best scores at least."""
        if not len(places):
            return places, -np.inf
        lengths = np.maximum(self._lengths(places, gamma), 1e-6) if cosine else 1.0
        scores, off = products / lengths, error / lengths * np.ones(len(places))
        count = min(count, len(places))
        lowest = float(np.partition(scores - off, -count)[-count])
        return places[scores + off >= lowest], lowest

    def _search(
        self, fused: NDArray[np.float32], count: int, probes: int, selector: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        faiss.omp_set_num_threads(1)  # of this thread: more cost more than they bring
        index, parameters = self.index, None
        if self.settings.kind == IVF:
            probes = min(probes, self.settings.lists)
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        elif probes <= max(self.measured.probes, MOST_FETCHED):
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(probes, count))
        else:  # so few may be found that no way leads to them: all are looked at
            index, parameters = _storage(self.index), faiss.SearchParameters(sel=selector)
        products, places = index.search(fused[None], count, params=parameters)
        found = places[0] >= 0
        return places[0][found], products[0][found]

    def _lengths(self, places: NDArray[np.int64], gamma: float) -> Floats:
        tv_tv, tv_tc, tc_tc = self.norms[places].astype(np.float64).T
        return fused_lengths(gamma, tv_tv, tv_tc, tc_tc)

    def _shortest(self, gamma: float) -> float:
        """What no image is shorter than."""
        return max(float(fused_lengths(gamma, *self._least)), 1e-6)


def build_index(
    read: Read, captioned: NDArray[np.bool_], settings: IndexSettings, told: Told = lambda *_: None
) -> FusedIndex:
    """Build an index, and measure it on queries that it was not trained by.

    Held queries are pictures, captions, and sums of a picture with another one's captions; neither of the two is to be
    found. As many lists are looked at as WANTED_RECALL takes, all of them if need be.

    Args:
        read: the rows of some images.
        captioned: (K,) which have captions; K from 1.
        settings: for K images.
        told: how far it is.
    """
    faiss.omp_set_num_threads(1)
    images = settings.images
    drawn = np.random.default_rng(0).permutation(images)
    held = _held_queries(read, captioned, drawn[: min(QUERIES, images)])
    told("training", 0, 1)
    index = _empty_index(settings)
    some = drawn[QUERIES:] if images > 2 * QUERIES else drawn
    some = np.sort(some[: max(_PER_LIST * settings.lists, _SAMPLE)])
    rows = fused_rows(*read(some), captioned[some])
    index.train(rows)
    error = _error(index, rows[:: -(-len(rows) // _SAMPLE)], held.fused)
    del rows
    truth, norms = Truth(held), np.empty((images, 3), np.float32)
    for places in _blocks(images):
        told("adding", int(places[0]), images)
        rows = fused_rows(*read(places), captioned[places])
        index.add(rows)
        image, captions = np.split(rows, 2, axis=1)
        pairs = ((image, image), (image, captions), (captions, captions))
        norms[places] = np.stack([np.einsum("kd,kd->k", a, b) for a, b in pairs], axis=1)
        truth.look_at(places, rows, norms[places])
    return _tuned(index, settings, norms, error, truth, told)


def _tuned(
    index: Any, settings: IndexSettings, norms: NDArray[np.float32], error: float, truth: Truth, told: Told
) -> FusedIndex:
    """With the fewest probes, in powers of two, by which the wanted recall is reached."""
    most = settings.lists if settings.kind == IVF else MOST_FETCHED
    probes = min(16, most)
    while True:
        told("measuring", probes, most)
        found = FusedIndex(index, settings, norms, Measured(error, probes, 1.0, len(truth.held.rows)))
        recall = truth.recall(found)
        if recall >= WANTED_RECALL or probes >= most:
            return FusedIndex(index, settings, norms, Measured(error, probes, recall, len(truth.held.rows)))
        probes *= 2


class Held(NamedTuple):
    """Queries that an index is measured by.

    Attributes:
        rows: (N, D) unit rows.
        gammas: (N,) what captions count for.
        fused: (N, 2 D) what is multiplied with the index's rows.
        left_out: (N, 2) places of the images that each was made of.
    """

    rows: NDArray[np.float64]
    gammas: NDArray[np.float64]
    fused: NDArray[np.float32]
    left_out: NDArray[np.int64]


class Truth:
    """The true best images of held queries, of all that were looked at so far."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self._best = np.zeros((len(held.rows), 0), np.int64)
        self._scores = np.zeros((len(held.rows), 0))

    def look_at(
        self, places: NDArray[np.int64], rows: NDArray[np.float32], norms: NDArray[np.float32]
    ) -> None:
        """Take the best of some more images."""
        scores = (self.held.fused @ rows.T).astype(np.float64)
        tv_tv, tv_tc, tc_tc = norms.astype(np.float64).T
        scores /= np.maximum(fused_lengths(self.held.gammas[:, None], tv_tv, tv_tc, tc_tc), 1e-6)
        for column in self.held.left_out.T:
            mine, at = np.nonzero(column[:, None] == places)
            scores[mine, at] = -np.inf
        where = np.broadcast_to(places, scores.shape)
        scores, where = np.hstack([self._scores, scores]), np.hstack([self._best, where])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :BEST]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._best = np.take_along_axis(where, best, axis=1)

    def recall(self, index: FusedIndex) -> float:
        """The share of them that an index finds; 1 where there are none.

        What is among its candidates is found: these are scored exactly, and nothing worse comes before it.
        """
        true, hits = np.isfinite(self._scores), 0
        for row, gamma, left_out, best, is_true in zip(
            self.held.rows, self.held.gammas, self.held.left_out, self._best, true, strict=True
        ):
            found = index.candidates(row, float(gamma), BEST, left_out=np.unique(left_out))
            hits += int(np.isin(best[is_true], found).sum())
        return hits / int(true.sum()) if true.any() else 1.0


def _held_queries(read: Read, captioned: NDArray[np.bool_], places: NDArray[np.int64]) -> Held:
    others = np.roll(places, 1)
    image = read(places)[0].astype(np.float64)
    said = fused_rows(*read(others), captioned[others])[:, image.shape[1] :].astype(np.float64)
    said /= np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-12)
    kinds = np.arange(len(places))[:, None] % 3
    rows = np.where(kinds == 0, image + said, np.where(kinds == 1, said, image))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.where(lengths > 1e-6, rows, image)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    gammas = np.resize(GAMMAS, len(rows))
    fused = np.stack([fused_query(row, gamma) for row, gamma in zip(rows, gammas, strict=True)])
    return Held(rows, gammas, fused, np.stack([places, others], axis=1))


def fused_rows(image: Floats, captions: Floats, captioned: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, 2 D) [t_v; t_c], or [t_v; t_v] where there are no captions."""
    return np.hstack([image, np.where(captioned[:, None], captions, image)]).astype(np.float32)


def fused_query(query: Floats, gamma: float) -> NDArray[np.float32]:
    """(2 D,) [(1 - g) q; g q]."""
    return np.concatenate([(1.0 - gamma) * query, gamma * query]).astype(np.float32)


def _empty_index(settings: IndexSettings) -> Any:
    product, eight_bits = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
    if settings.kind == HNSW:
        return faiss.IndexHNSWSQ(settings.dim, eight_bits, _LINKS, product)
    lists = faiss.IndexFlatIP(settings.dim)
    index = faiss.IndexIVFScalarQuantizer(lists, settings.dim, settings.lists, eight_bits, product)
    index.cp.niter, index.cp.min_points_per_centroid = _ROUNDS, 1
    index.cp.max_points_per_centroid = max(_PER_LIST, _SAMPLE // settings.lists + 1)
    return index


def _storage(index: Any) -> Any:
    return faiss.downcast_index(index.storage) if hasattr(index, "storage") else index


def _error(index: Any, rows: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """The largest error of a product with what the quantiser keeps of a row, for a query of length 1; half as much again."""
    kept = _storage(index)
    lost = rows - kept.sa_decode(kept.sa_encode(rows))
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return 1.5 * float(np.abs(lost @ unit.T).max(initial=0.0))


def _blocks(images: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, images, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, images))
