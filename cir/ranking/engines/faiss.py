"""A gallery of a million images and more: an index finds candidates, and these are scored exactly by Eq. 10.

What it may miss is measured when the index is built, and said with every answer. What the index cannot answer is asked
of all images, as the exact engine does, and that is said, too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from threading import Lock, Thread
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cir.errors import CirError, GalleryError, UnsafeFile
from cir.gallery.cache import is_being_written
from cir.gallery.gallery import Gallery
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.engines.protocol import Promise, Told
from cir.ranking.scoring import Floats, GalleryTerms, Linear, Scoring, query_length, top_indices
from cir.text import counted

if TYPE_CHECKING:
    from cir.ranking.engines.fused_index import FusedIndex

WRITER_SECONDS = 2.0  # between two looks whether a gallery is still being written
_log = logging.getLogger(__name__)


class FaissEngine(ExactEngine):
    """An engine over an open gallery, with an index that lies beside its shards.

    Args:
        gallery: whose images.
        kind: of index, "ivf" or "hnsw".
    """

    def __init__(self, gallery: Gallery, kind: str = "ivf") -> None:
        super().__init__(gallery, quantised=False)
        self._gallery, self._kind = gallery, kind
        self._index: FusedIndex | None = None
        self._kept_norms: GalleryTerms | None = None
        self._stage, self._trouble = "", ""
        self._preparing = Lock()
        self._thread: Thread | None = None
        self._is_behind = False  # while the thread works

    @property
    def recall(self) -> float:
        """The share of the true 10 best that was found when the index was built; 1 while all images are looked at."""
        index = self._index
        return 1.0 if index is None else index.measured.recall

    @property
    def norms(self) -> GalleryTerms:
        """What norms need of each image; kept with the index."""
        if self._kept_norms is None and self._index is not None:
            self._kept_norms = self._index.gallery_terms(self.captioned)
        return self._kept_norms or self._norms

    def prepare(self, told: Told | None = None, *, behind: bool = False) -> None:
        """Read the index, or build it where there is none, or it is damaged, or the gallery has changed since.

        Args:
            told: what is done, how far it is, and of how much.
            behind: in a thread of its own. Until it has ended, searches look at all images.
        """
        if behind and self._thread is None:
            self._is_behind = True
            self._thread = Thread(target=self._prepare_behind, args=(told,), daemon=True, name="index")
            self._thread.start()
        if behind:
            return
        if self._thread is not None:
            self._thread.join()
        self._prepare(told)

    def _prepare_behind(self, told: Told | None) -> None:
        """Wait until nobody writes the gallery: its index would be old by then."""
        folder = self._gallery.folder
        while folder is not None and is_being_written(folder):
            self._stage = "when the indexing of the gallery has ended"
            time.sleep(WRITER_SECONDS)
        try:
            self._prepare(told)
        finally:
            self._is_behind = False

    def _prepare(self, told: Told | None) -> None:
        with self._preparing:
            if self._index is not None or self._trouble or not len(self):
                return
            try:
                self._index = self._read_or_build(told)
            except (CirError, MemoryError, RuntimeError, OSError) as error:  # told with every answer
                _log.exception("The index of %s could not be built.", self._gallery.name)
                self._trouble = f"The index of {self._gallery.name} could not be built ({str(error)[:120]}): "
                self._trouble += "every picture is looked at."

    def _read_or_build(self, told: Told | None) -> FusedIndex:
        from cir.ranking.engines.fused_index import IndexSettings, build_index
        from cir.ranking.engines.index_files import index_folder_of, keep_index, read_index, rows_fingerprint

        settings = IndexSettings.of(self._kind, len(self), self._features[0].shape[1])
        folder = index_folder_of(self._gallery)
        rows = rows_fingerprint(self._gallery) if folder else ""
        if folder is not None:
            try:
                kept = read_index(folder, settings, rows)
            except UnsafeFile as error:
                _log.warning("%s: %s It is built again.", self._gallery.name, error.message)
                kept = None
            if kept is not None:
                return kept

        def tell(stage: str, done: int, total: int) -> None:
            self._stage = f"{stage}, {100 * done // max(total, 1)} %"
            if told is not None:
                told(stage, done, total)

        built = build_index(self.features, self.captioned, settings, tell)
        if folder is not None:
            try:
                keep_index(folder, built, rows, self._gallery.name)
            except GalleryError as error:
                _log.warning("The index of %s is not kept: %s", self._gallery.name, error)
        return built

    def promise(self, scoring: Scoring) -> Promise:
        """Who answers a query that is scored so, how many of the true best are found, and what there is to say."""
        index = self._index
        if not isinstance(scoring, Linear):
            return Promise(
                "exact",
                1.0,
                "This method's scores are no sum that an index could look up: every picture was looked at.",
            )
        if index is None:
            waits = f"The index of {self._gallery.name} is being made ready ({self._stage or 'reading'}): until then every picture is looked at."
            return Promise("exact", 1.0, self._trouble or (waits if self._is_behind else ""))
        measured = index.measured
        return Promise(
            "faiss" if self._kind == "ivf" else f"faiss-{self._kind}",
            measured.recall,
            f"Found by an index, which finds {100 * measured.recall:.1f} % of the true 10 best "
            f"(measured on {counted(measured.queries, 'query', 'queries')} when it was built). Scores are exact.",
        )

    def top(
        self,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        count: int,
        *,
        among: NDArray[np.bool_] | None = None,
        exclude: Sequence[int] = (),
    ) -> tuple[NDArray[np.int64], Floats]:
        """The best images that the index finds, and their scores, in float64; see `promise`.

        Raises:
            BadQuery: a row of the query is not of finite numbers.
        """
        if self._index is None and not self._is_behind:
            self._prepare(None)
        index = self._index
        direction = _direction(rows, scoring)
        if index is None or direction is None or count < 1:
            return super().top(rows, scoring, count, among=among, exclude=exclude)
        assert isinstance(scoring, Linear)
        left_out = np.unique(np.asarray(exclude, dtype=np.int64))
        near = np.sort(
            index.candidates(
                direction, scoring.captions, count, cosine=scoring.cosine, among=among, left_out=left_out
            )
        )
        scores = self.scores(rows, scoring, near)
        best = top_indices(scores, count)
        return near[best], scores[best]


def _direction(rows: Mapping[str, Floats], scoring: Scoring) -> NDArray[np.float64] | None:
    """(D,) the weighted sum of a query's rows; None where no index can be asked for it: it is no sum, zero, or no number."""
    if not isinstance(scoring, Linear):
        return None
    stacked = np.stack(list(rows.values())).astype(np.float64)
    weights = np.array([scoring.weights.get(name, 0.0) for name in rows])
    total = weights @ stacked
    return total if np.isfinite(stacked).all() and query_length(stacked @ stacked.T, weights) else None


def hnsw_engine(gallery: Gallery) -> FaissEngine:
    """With a graph instead of lists: more memory and a longer building, for the same recall."""
    return FaissEngine(gallery, "hnsw")
