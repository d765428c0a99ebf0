"""The dot products of the last queries, so that a slider reads no row of the gallery again. Bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from cir.errors import BadQuery
from cir.ranking.scoring import Floats, QueryTerms

if TYPE_CHECKING:
    from cir.ranking.engines.quantised import Dots

BYTES = 72 * 2**20  # of all queries together: six over a million images, which are asked anew in some 15 ms
WAITING = 4  # queries whose dot products may be waited for
EXACT = 8192  # images of a query whose exact dot products are kept

Read = Callable[[Mapping[str, Floats], NDArray[np.int64]], QueryTerms]
Exact = tuple[NDArray[np.int64], NDArray[np.float64]]  # (M,) places and (2, M, P) dot products
Key = tuple[str | bytes, ...]
Made = TypeVar("Made")


class Kept:
    """What is known of one query.

    Attributes:
        rows: (P, D) float64.
        gram: (P, P) their dot products with one another.
        dots: nearly its dot products with all images; None until they were taken.
        exact: (M,) places of some images, ascending, and their dot products (2, M, P) in float64.

    Raises:
        BadQuery: a row is not of finite numbers.
    """

    def __init__(self, rows: Mapping[str, Floats]) -> None:
        self.names = tuple(rows)
        self.rows = np.stack(list(rows.values())).astype(np.float64)
        if not np.isfinite(self.rows).all():
            raise BadQuery(
                "The query has features that are no numbers.", "Try another picture or other words."
            )
        self.gram = self.rows @ self.rows.T
        self.dots: Dots | None = None
        self.exact: Exact = np.zeros(0, np.int64), np.zeros((2, 0, len(rows)))

    def learn(self, indices: NDArray[np.int64], read: Read) -> Exact:
        """`exact` with some images (N,) among them; those that are not known yet are read."""
        places, dots = self.exact
        missing = indices[np.append(places, -1)[np.searchsorted(places, indices)] != indices]
        if not len(missing):
            return self.exact
        terms = read(dict(zip(self.names, self.rows, strict=True)), missing)
        places = np.concatenate([places, missing])
        order = np.argsort(places)
        both = np.concatenate([dots, np.stack([terms.image, terms.captions])], axis=1)
        found = places[order], np.ascontiguousarray(both[:, order], np.float64)
        if len(places) <= EXACT:
            self.exact = found
        return found

    def exact_terms(self, indices: NDArray[np.int64], read: Read) -> QueryTerms:
        """The dot products with some images in float64; those that are not known yet are read."""
        places, dots = self.learn(indices, read)
        image, captions = dots[:, np.searchsorted(places, indices)]
        return QueryTerms(self.names, image, captions, self.gram)


class Remembered:
    """The queries that were asked last. Safe for threads."""

    def __init__(self) -> None:
        self._kept: LRUCache[Key, tuple[int, Any]] = LRUCache(BYTES, getsizeof=lambda e: e[0])
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="dots")
        self._awaited: set[int] = set()
        self._lock = Lock()

    def query(self, rows: Mapping[str, Floats], images: int) -> Kept:
        """What is known of a query; its dot products with `images` images will be kept there."""
        taken = 4 * len(rows) * (images + 4 * EXACT)
        return self._remember(_key("query", rows), taken, lambda: Kept(rows))

    def terms(self, rows: Mapping[str, Floats], images: int, take: Callable[[], QueryTerms]) -> QueryTerms:
        """The dot products of a query with `images` images, taken where they are not known."""
        return self._remember(_key("terms", rows), 8 * len(rows) * images, take)

    def ahead(self, kept: Kept, take: Callable[[], None]) -> None:
        """Take a query's dot products in a thread, where not too many others wait for theirs."""

        def fill() -> None:
            try:
                take()
            finally:
                with self._lock:
                    self._awaited.discard(id(kept))

        with self._lock:
            if id(kept) not in self._awaited and len(self._awaited) < WAITING:
                self._awaited.add(id(kept))
                self._ahead.submit(fill)

    def settle(self) -> None:
        """Wait until nothing is computed ahead."""
        self._ahead.submit(lambda: None).result()

    def _remember(self, key: Key, taken: int, make: Callable[[], Made]) -> Made:
        with self._lock:
            if key in self._kept:
                return self._kept[key][1]
        made = make()
        with self._lock:
            if taken <= self._kept.maxsize:
                self._kept[key] = taken, made
        return made


def _key(kind: str, rows: Mapping[str, Floats]) -> Key:
    """All that the numbers of a query follow from: compared whole, as that is quicker than a digest of it."""
    return kind, *rows, b"".join([row.tobytes() for row in rows.values()])
