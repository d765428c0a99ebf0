"""What of an engine that has all images follows from its dot products with all of them: ranks, counts, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.ranking.scoring import Floats, GalleryTerms, Linear, QueryTerms, Scoring, query_length, rank_of

if TYPE_CHECKING:
    from cir.ranking.engines.protocol import Among, WholeEngine

Ranks = NDArray[np.int64]
MANY = 20_000  # images, from which on a compiled pass is worth its compiling


class Counting:
    """The part of an engine that counts: to be inherited by a `WholeEngine`."""

    far: int | None = None

    def sample(self: WholeEngine, count: int, *, captioned: bool = False) -> NDArray[np.int64]:
        """Places of `count` images at even distances, or of all; with `captioned` of those that have captions."""
        known = np.flatnonzero(self.captioned) if captioned else np.arange(len(self))
        return known[np.unique(np.linspace(0, len(known) - 1, min(count, len(known))).astype(np.int64))]

    def norms_of(self: WholeEngine, indices: ArrayLike) -> GalleryTerms:
        """What norms need of some images."""
        return self.norms.among(np.atleast_1d(np.asarray(indices, dtype=np.int64)))

    def ranks(
        self: WholeEngine,
        rows: Mapping[str, Floats],
        indices: Sequence[int],
        scorings: Sequence[Scoring],
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> Ranks:
        """(T, S) ranks of T images, from 1, under each of S scorings, among those that may be found."""
        left_out = np.flatnonzero(hidden(len(self), among, exclude))
        return ranks(self.terms(rows), self.norms, indices, scorings, excluded=left_out)

    def count_reaching(
        self: WholeEngine,
        rows: Mapping[str, Floats],
        scoring: Scoring,
        least: float,
        *,
        among: Among = None,
        exclude: Sequence[int] = (),
    ) -> int:
        """How many images that may be found have a score from `least` on."""
        reaches = scoring.scores(self.terms(rows), self.norms) >= least
        return int((reaches & ~hidden(len(self), among, exclude)).sum())

    def count(self: WholeEngine, among: Among, exclude: Sequence[int] = ()) -> int:
        """How many images may be found."""
        return int((~hidden(len(self), among, exclude)).sum())


def hidden(images: int, among: NDArray[np.bool_] | None, exclude: Sequence[int]) -> NDArray[np.bool_]:
    """(K,) which images may not be found."""
    rows = np.zeros(images, dtype=bool) if among is None else ~among
    rows[np.asarray(exclude, dtype=np.int64)] = True
    return rows


def ranks(
    terms: QueryTerms,
    gallery: GalleryTerms,
    targets: Sequence[int],
    scorings: Sequence[Scoring],
    *,
    excluded: Sequence[int] | NDArray[np.int64] = (),
) -> Ranks:
    """Ranks of some images, from 1, under each of many scorings of one query.

    Args:
        terms, gallery: dot products and norms.
        targets: rows of the T images.
        scorings: S of them.
        excluded: rows that are left out.

    Returns:
        (T, S)
    """
    hidden = np.zeros(len(terms.image), dtype=bool)
    hidden[np.asarray(excluded, dtype=np.int64)] = True
    if len(hidden) >= MANY and find_spec("numba") is not None:
        linear = [one for one in scorings if isinstance(one, Linear) and one.cosine]
        if len(linear) == len(scorings):
            return _ranks_among_many(terms, gallery, targets, linear, hidden)
    out = np.empty((len(targets), len(scorings)), dtype=np.int64)
    for s, scoring in enumerate(scorings):
        scores = scoring.scores(terms, gallery)
        out[:, s] = [rank_of(scores, target, hidden) for target in targets]
    return out


def _ranks_among_many(
    terms: QueryTerms,
    gallery: GalleryTerms,
    targets: Sequence[int],
    scorings: Sequence[Linear],
    hidden: NDArray[np.bool_],
) -> Ranks:
    """The same in one pass for all scorings with the same weight of captions: these share the lengths of the images."""
    from cir.ranking.engines.kernels import count_better

    image, captions = (np.ascontiguousarray(dots.T) for dots in (terms.image, terms.captions))
    norms = np.stack([gallery.tv_tv, gallery.tv_tc, gallery.tc_tc]).astype(np.float64)
    out = np.empty((len(targets), len(scorings)), np.int64)
    for gamma in {one.captions for one in scorings}:
        chosen = [s for s, one in enumerate(scorings) if one.captions == gamma]
        weights = np.array([[scorings[s].weights.get(name, 0.0) for name in terms.names] for s in chosen])
        for row in weights:
            row *= query_length(terms.gram, row) > 0.0  # rows that cancel: then all scores are 0
        gammas = np.full(hidden.shape, gallery.captions_count(gamma))
        found = np.empty((len(targets), len(chosen)), np.int64)
        count_better(
            image,
            captions,
            norms,
            gammas,
            weights,
            np.asarray(targets, np.int64),
            hidden,
            found,
        )
        out[:, chosen] = found + 1
    return out
