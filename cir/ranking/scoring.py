"""Named features -> scores, for any weights, exactly and without touching a model.

Per query the dot products of every gallery image with every row of the query are taken once (`QueryTerms`); after that
a move of a slider is arithmetic on a few numbers per image. A scoring is that arithmetic. Knows nothing of models,
texts, images or methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Rows = NDArray[np.int64] | list[int]  # places of images in the gallery
Shares = dict[str, dict[str, float]]  # row of the query -> {"image": ..., "captions": ...}
# What float32 dot products of unit rows may be off by, generously: candidates this near are scored again in float64.
ROUNDING = 2e-5
_EPS = {np.dtype(kind).char: float(np.finfo(kind).eps) for kind in (np.float32, np.float64)}
_AT_ONCE = 4096  # rows that are made float64 at once


@dataclass(frozen=True, slots=True, eq=False)
class GalleryTerms:
    """What the denominator needs of each of K gallery images.

    Attributes:
        tv_tv, tc_tc, tv_tc: (K,) |t_v|^2, |t_c|^2, t_v . t_c.
        captioned: (K,) bool; where False, captions count as 0.
    """

    tv_tv: Floats
    tc_tc: Floats
    tv_tc: Floats
    captioned: NDArray[np.bool_]

    def captions_count(self, captions: float) -> Floats | np.float64:
        """(K,) gamma: what captions count for, 0 where an image has none; one number where all have some."""
        return np.float64(captions) if self.captioned.all() else np.where(self.captioned, captions, 0.0)

    def lengths(self, g: Floats | np.float64) -> Floats:
        """(K,) |(1 - g) t_v + g t_c|, g from `captions_count`. Source: CVSI, section III-D, Eq. 9 and the norm in Eq. 10."""
        return fused_lengths(g, self.tv_tv, self.tv_tc, self.tc_tc)

    def shortest(self) -> float:
        """The least that any length can be, whatever captions count for: how near 0 passes between t_v and t_c."""
        apart = np.maximum(self.tv_tv - 2.0 * self.tv_tc + self.tc_tc, 1e-300)
        nearest = np.clip((self.tv_tv - self.tv_tc) / apart, 0.0, 1.0) * self.captioned
        return float(fused_lengths(nearest, self.tv_tv, self.tv_tc, self.tc_tc).min(initial=1.0))

    def among(self, rows: Rows) -> GalleryTerms:
        """The same, of some images alone."""
        return GalleryTerms(self.tv_tv[rows], self.tc_tc[rows], self.tv_tc[rows], self.captioned[rows])


@dataclass(frozen=True, slots=True, eq=False)
class QueryTerms:
    """The dot products of one query.

    Attributes:
        names: of the P rows, in order.
        image: (K, P) A = Tv Q'.
        captions: (K, P) B = Tc Q'.
        gram: (P, P) G = Q Q'.
    """

    names: tuple[str, ...]
    image: Floats
    captions: Floats
    gram: Floats

    def among(self, rows: Rows) -> QueryTerms:
        """The same, of some images alone."""
        return QueryTerms(self.names, self.image[rows], self.captions[rows], self.gram)


class Scoring(Protocol):
    """How dot products become scores. A frozen value: the same terms give the same scores."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Row of the query -> what it counts for."""
        ...

    @property
    def captions(self) -> float:
        """What the captions of gallery images count for beside their pixels, in [0, 1]."""
        ...

    @property
    def rounding(self) -> float:
        """What float32 terms may shift a score by."""
        ...

    def scores(self, terms: QueryTerms, gallery: GalleryTerms) -> Floats:
        """(K,) float64, higher is better."""
        ...

    def shares(self, terms: QueryTerms, gallery: GalleryTerms) -> Shares:
        """What each row adds to the score of one image, whose terms these are (K = 1); all sum to the score."""
        ...

    def plus(self, weights: Mapping[str, float]) -> Scoring:
        """The same with further rows of the query, by name: each counts with its weight, negative for less of it."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """The cosine of a weighted sum of the query's rows with a weighted sum of an image's two.

        score = [(1-g) A k + g B k] / ( sqrt(k' G k) * sqrt((1-g)^2 |tv|^2 + 2 g (1-g) tv.tc + g^2 |tc|^2) )

    with A = Tv Q', B = Tc Q', G = Q Q', k the weights and g what captions count for. Source: CVSI, section III-D,
    Eq. 8-10, expanded.

    Attributes:
        weights: row of the query -> k; not all zero. A row that is not named counts as 0.
        captions: g in [0, 1]; counts where an image has captions.
        cosine: Eq. 10. False leaves out both norms, as CVSI's released code does for CIRR and CIRCO.
    """

    weights: Mapping[str, float]
    captions: float = 0.0
    cosine: bool = True

    @property
    def rounding(self) -> float:
        """What float32 terms may shift a score by."""
        return ROUNDING

    @classmethod
    def even(cls, names: Iterable[str], captions: float = 0.0) -> Linear:
        """All rows count alike."""
        rows = tuple(names)
        return cls(dict.fromkeys(rows, 1.0 / len(rows)), captions)

    def scores(self, terms: QueryTerms, gallery: GalleryTerms) -> Floats:
        """(K,) float64, higher is better."""
        k = np.array([self.weights.get(name, 0.0) for name in terms.names], dtype=np.float64)
        g = gallery.captions_count(self.captions)
        dots = (1.0 - g) * weighted_sum(terms.image, k) + g * weighted_sum(terms.captions, k)
        if not self.cosine:
            return dots
        return over_lengths(dots, gallery.lengths(g) * query_length(terms.gram, k))

    def shares(self, terms: QueryTerms, gallery: GalleryTerms) -> Shares:
        """What each row adds to the score of one image, whose terms these are (K = 1); all sum to the score."""
        k = np.array([self.weights.get(name, 0.0) for name in terms.names], dtype=np.float64)
        g = gallery.captions_count(self.captions)
        lengths = gallery.lengths(g) * query_length(terms.gram, k) if self.cosine else np.ones(1)
        return {
            name: {
                "image": float(over_lengths((1.0 - g) * k[i] * terms.image[:, i], lengths)[0]),
                "captions": float(over_lengths(g * k[i] * terms.captions[:, i], lengths)[0]),
            }
            for i, name in enumerate(terms.names)
        }

    def plus(self, weights: Mapping[str, float]) -> Linear:
        """The same with further rows in the sum: Rocchio's feedback, one term each."""
        return replace(self, weights={**self.weights, **weights})


@dataclass(frozen=True, slots=True)
class Factor:
    """A likeness: max(0, scale * (t_v . q) + offset), where q is a row of the query.

    Attributes:
        scale, offset: what makes the dot product with a unit row the likeness.
    """

    scale: float
    offset: float

    @property
    def most(self) -> float:
        """The largest that it can be, at a dot product of 1."""
        return max(0.0, self.scale + self.offset)

    def of(self, dots: Floats) -> Floats:
        """(K,) dot products -> (K,) float64."""
        return np.maximum(0.0, self.scale * dots.astype(np.float64) + self.offset)


@dataclass(frozen=True, slots=True)
class Product:
    """The product of two likenesses a and b to an image's pixels, less a penalty for what is like one of them alone.

        score = a b - penalty (a + b)^2

    Source: BASIC (arXiv 2510.25387), after the Harris corner detector.

    Attributes:
        factors: row of the query -> its likeness; two of them.
        penalty: lambda, from 0.
        more: further rows -> weight: what they add is the weight times their dot product with the image.
    """

    factors: Mapping[str, Factor]
    penalty: float
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """Row of the query -> what its dot product is multiplied by."""
        return {**{name: factor.scale for name, factor in self.factors.items()}, **self.more}

    @property
    def captions(self) -> float:
        """Captions of gallery images do not count."""
        return 0.0

    @property
    def rounding(self) -> float:
        """What float32 terms may shift a score by: the derivative by each dot product, at its largest."""
        a, b = self.factors.values()
        product = a.scale * b.most + b.scale * a.most
        penalty = 2.0 * self.penalty * (a.most + b.most) * (a.scale + b.scale)
        return ROUNDING * (product + penalty + sum(map(abs, self.more.values())))

    def scores(self, terms: QueryTerms, gallery: GalleryTerms) -> Floats:
        """(K,) float64, higher is better."""
        a, b = (one.of(terms.image[:, terms.names.index(name)]) for name, one in self.factors.items())
        more = np.array([self.more.get(name, 0.0) for name in terms.names])
        return a * b - self.penalty * (a + b) ** 2 + weighted_sum(terms.image, more)

    def shares(self, terms: QueryTerms, gallery: GalleryTerms) -> Shares:
        """What each row adds to the score of one image, whose terms these are (K = 1); all sum to the score.

        Of the two likenesses each has its own penalty, and half of what they do together: their Shapley values.
        """
        dots = {name: float(terms.image[0, i]) for i, name in enumerate(terms.names)}
        values = {name: float(one.of(np.array(dots[name]))) for name, one in self.factors.items()}
        together = (0.5 - self.penalty) * float(np.prod(list(values.values())))
        adds = {name: together - self.penalty * value**2 for name, value in values.items()}
        adds |= {name: weight * dots[name] for name, weight in self.more.items()}
        return {name: {"image": adds.get(name, 0.0), "captions": 0.0} for name in terms.names}

    def plus(self, weights: Mapping[str, float]) -> Product:
        """The same with further rows, each of which adds its weighted dot product."""
        return replace(self, more={**self.more, **weights})


def weighted_sum(dots: Floats, weights: Floats) -> Floats:
    """(K, P) and (P,) -> (K,) float64. Column by column, so that equal rows have equal sums to the last bit."""
    found = np.zeros(len(dots))
    for column, weight in zip(dots.T, weights, strict=True):
        if weight:
            found += column * weight
    return found


def fused_lengths(
    g: Floats | float, tv_tv: Floats | float, tv_tc: Floats | float, tc_tc: Floats | float
) -> Floats:
    """|(1 - g) t_v + g t_c| from the dot products of the two rows."""
    squared = (1.0 - g) ** 2 * tv_tv + 2.0 * g * (1.0 - g) * tv_tc + g**2 * tc_tc
    return np.sqrt(np.maximum(squared, 0.0))


def query_length(gram: Floats, weights: Floats) -> float:
    """sqrt(k' G k), the length of the weighted sum of a query's rows; 0 where these cancel to within rounding."""
    k = np.asarray(weights, dtype=np.float64)
    exact = gram.astype(np.float64, copy=False)
    squared = float(k @ exact @ k)
    most = float(np.abs(k) @ np.sqrt(exact.diagonal())) ** 2
    return sqrt(squared) if squared > 16 * _EPS[gram.dtype.char] * most else 0.0


def over_lengths(dots: Floats, lengths: Floats) -> Floats:
    """Dot products over lengths. Two opposite rows can cancel to a zero vector: that is like nothing, and scores 0."""
    return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 1e-12)


def gallery_terms(
    image_features: Floats, caption_features: Floats, captioned: NDArray[np.bool_]
) -> GalleryTerms:
    """Norms and cross terms of a gallery in float64: (K, D) t_v, (K, D) t_c, (K,) which have captions."""
    terms = np.empty((3, len(captioned)))
    for start in range(0, len(captioned), _AT_ONCE):
        at = slice(start, start + _AT_ONCE)
        image, captions = (rows[at].astype(np.float64) for rows in (image_features, caption_features))
        for term, a, b in zip(terms, (image, captions, image), (image, captions, captions), strict=True):
            term[at] = row_dots(a, b)
    return GalleryTerms(terms[0], terms[1], terms[2], captioned)


def row_dots(rows: Floats, others: Floats) -> Floats:
    """(N,) dot products of N rows with as many others, or with one. Equal rows have equal ones to the last bit."""
    return np.sum(rows * others, axis=-1)


def query_terms(rows: Mapping[str, Floats], image_features: Floats, caption_features: Floats) -> QueryTerms:
    """Dot products of each row (D,) of a query with every row of the gallery: two matrix products."""
    names = tuple(rows)
    stacked = np.stack([rows[name] for name in names]).astype(image_features.dtype)
    return QueryTerms(names, image_features @ stacked.T, caption_features @ stacked.T, stacked @ stacked.T)


def rank_of(scores: Floats, index: int, hidden: NDArray[np.bool_] | None = None) -> int:
    """Rank from 1 of one of K images among those that are not hidden; equal scores in the order of the gallery."""
    better = scores > scores[index]
    better[:index] |= scores[:index] == scores[index]
    if hidden is not None:
        better &= ~hidden
    return 1 + int(better.sum())


def top_indices(scores: Floats, count: int) -> NDArray[np.int64]:
    """Indices of the `count` highest scores, best first; equal scores in the order of the gallery."""
    count = min(count, len(scores))
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    if count < len(scores):
        edge = np.partition(scores, -count)[-count]
        candidates = np.flatnonzero(scores >= edge)
    else:
        candidates = np.arange(len(scores))
    order = np.lexsort((candidates, -scores[candidates]))
    return candidates[order[:count]]
