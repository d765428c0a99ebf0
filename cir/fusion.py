"""Named features -> scores, for any weights, exactly and without touching a model.

Per query the dot products of every gallery image with every part are taken once (`QueryTerms`); after that a
move of a slider is arithmetic on a few numbers per image:

    score = [(1-g) A k + g B k] / ( sqrt(k' G k) * sqrt((1-g)^2 |tv|^2 + 2 g (1-g) tv.tc + g^2 |tc|^2) )

with A = Tv Q', B = Tc Q', G = Q Q', k the weights of the parts, g gamma. Source: CVSI, section III-D, Eq. 8-10,
expanded. Knows nothing of models, texts or images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
# What float32 dot products of unit rows may be off by, generously: candidates this near are scored again in float64.
ROUNDING = 2e-5


@dataclass(frozen=True, slots=True, eq=False)
class GalleryTerms:
    """What the denominator needs of each of K gallery images.

    Attributes:
        tv_tv, tc_tc, tv_tc: (K,) |t_v|^2, |t_c|^2, t_v . t_c.
        captioned: (K,) bool; where False, gamma counts as 0.
    """

    tv_tv: Floats
    tc_tc: Floats
    tv_tc: Floats
    captioned: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class QueryTerms:
    """The dot products of one query.

    Attributes:
        names: the P parts, in order.
        image: (K, P) A = Tv Q'.
        captions: (K, P) B = Tc Q'.
        gram: (P, P) G = Q Q'.
    """

    names: tuple[str, ...]
    image: Floats
    captions: Floats
    gram: Floats


def gallery_terms(
    image_features: Floats, caption_features: Floats, captioned: NDArray[np.bool_]
) -> GalleryTerms:
    """Norms and cross terms of a gallery: (K, D) t_v, (K, D) t_c, (K,) which have captions."""
    return GalleryTerms(
        np.einsum("kd,kd->k", image_features, image_features),
        np.einsum("kd,kd->k", caption_features, caption_features),
        np.einsum("kd,kd->k", image_features, caption_features),
        captioned,
    )


def query_terms(parts: Mapping[str, Floats], image_features: Floats, caption_features: Floats) -> QueryTerms:
    """Dot products of each part (D,) with every row of the gallery: two matrix products."""
    names = tuple(parts)
    rows = np.stack([parts[name] for name in names]).astype(image_features.dtype)
    return QueryTerms(names, image_features @ rows.T, caption_features @ rows.T, rows @ rows.T)


def fuse_scores(
    terms: QueryTerms, gallery: GalleryTerms, weights: Floats, gamma: float, *, cosine: bool = True
) -> Floats:
    """Scores of all K images.

    Args:
        terms: of the query.
        gallery: of the gallery.
        weights: (P,) in the order of `terms.names`; not all zero.
        gamma: in [0, 1]; counts where an image has captions.
        cosine: Eq. 10. False leaves out both norms, as the released code does for CIRR and CIRCO.

    Returns:
        (K,) float64, higher is better.
    """
    k = np.asarray(weights, dtype=np.float64)
    g = np.where(gallery.captioned, gamma, 0.0)
    dots = (1.0 - g) * (terms.image @ k) + g * (terms.captions @ k)
    if not cosine:
        return dots
    squared = (1.0 - g) ** 2 * gallery.tv_tv + 2.0 * g * (1.0 - g) * gallery.tv_tc + g**2 * gallery.tc_tc
    query_norm = float(np.sqrt(k @ terms.gram.astype(np.float64) @ k))
    # Two opposite rows can cancel to a zero vector: such an image, or query, is like nothing.
    norms = np.sqrt(np.maximum(squared, 0.0)) * query_norm
    return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 1e-12)


def arc_shares(cosine: float, t: float) -> tuple[float, float]:
    """What two unit rows count for at `t` of the way along the great arc from the first to the second; sums to 1.

    slerp(u, v, t) = [sin((1 - t) a) u + sin(t a) v] / sin a, with a the angle between them; a cosine score asks for
    its direction alone. Rows that are equal or opposite have no arc of their own: there it is the straight line.
    Source: Slerp (ECCV 2024), section 3.1.
    """
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    if np.sin(angle) < 1e-6:
        return 1.0 - t, t
    first, second = float(np.sin((1.0 - t) * angle)), float(np.sin(t * angle))
    return first / (first + second), second / (first + second)


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


def exact_top(
    parts: Mapping[str, Floats],
    terms: QueryTerms,
    gallery: GalleryTerms,
    features: tuple[Floats, Floats],
    weights: Floats,
    gamma: float,
    count: int,
    *,
    excluded: NDArray[np.int64] | None = None,
    cosine: bool = True,
) -> tuple[NDArray[np.int64], Floats]:
    """The `count` best images in exactly the order of Eq. 10 in float64.

    float32 terms score everything; those within rounding of the last place are scored again from their rows.

    Args:
        parts: the query's rows.
        terms, gallery: their dot products.
        features: (K, D) t_v and t_c.
        weights, gamma, cosine: as for `fuse_scores`.
        count: how many.
        excluded: indices to leave out.

    Returns:
        Indices and scores, best first.
    """
    approximate = fuse_scores(terms, gallery, weights, gamma, cosine=cosine)
    if excluded is not None and len(excluded):
        approximate[excluded] = -np.inf
        count = min(count, len(approximate) - len(np.unique(excluded)))
    first = top_indices(approximate, count)
    if not len(first):
        return first, np.zeros(0)
    near = np.flatnonzero(approximate >= approximate[first[-1]] - 2 * ROUNDING)
    image, captions = (rows[near].astype(np.float64) for rows in features)
    exact_parts = {name: np.asarray(row, dtype=np.float64) for name, row in parts.items()}
    exact = fuse_scores(
        query_terms(exact_parts, image, captions),
        gallery_terms(image, captions, gallery.captioned[near]),
        weights,
        gamma,
        cosine=cosine,
    )
    best = top_indices(exact, count)
    return near[best], exact[best]
