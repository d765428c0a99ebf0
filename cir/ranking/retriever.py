"""Compose once (seconds), rank often (milliseconds)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from cir.composers.composer import Composer, bind_to_gallery
from cir.composers.slerp import arc_shares
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.images import size_note
from cir.ranking.engines import open_engine
from cir.ranking.scoring import (
    GalleryTerms,
    Linear,
    QueryTerms,
    exact_top,
    fused_lengths,
    gallery_terms,
    query_length,
    query_terms,
    rank_of,
)
from cir.translating import Translator
from cir.types import (
    FINE_GRAINED,
    PARTS,
    REFERENCE_IMAGE,
    ComposedQuery,
    Query,
    RetrievedImage,
    Weights,
)

MAX_RESULTS = 600
REMEMBERED_QUERIES = 64


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that one score is made of, so that anyone can compute it again.

    Attributes:
        terms: part -> {"image": t_v . q, "captions": t_c . q}, the dot products.
        weights: part -> the weight that counted.
        gamma: the gamma that counted for this image (0 where it has no captions).
        tv_tv, tc_tc, tv_tc: the image's norms and cross term.
        query_norm: length of the weighted sum of the query's rows, sqrt(k' G k).
    """

    terms: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    gamma: float
    tv_tv: float
    tc_tc: float
    tv_tc: float
    query_norm: float

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """What each term adds to the score: part -> {"image": ..., "captions": ...}; all sum to the score (Eq. 10)."""
        g = self.gamma
        norm = self.query_norm * float(fused_lengths(g, self.tv_tv, self.tv_tc, self.tc_tc))
        scale = 1.0 / norm if norm > 1e-12 else 0.0
        return {
            name: {
                "image": scale * (1 - g) * self.weights[name] * dots["image"],
                "captions": scale * g * self.weights[name] * dots["captions"],
            }
            for name, dots in self.terms.items()
        }


class Retriever:
    """A gallery, and the methods that search it."""

    def __init__(
        self, gallery: Gallery, composers: Mapping[str, Composer], translator: Translator | None = None
    ) -> None:
        self.gallery = gallery
        self.translator = translator or Translator()
        self.engine = open_engine(gallery)
        self.composers: dict[str, Composer] = {
            name: bind_to_gallery(c, self.engine) for name, c in composers.items()
        }
        self._gallery_terms: GalleryTerms = gallery_terms(
            gallery.image_features, gallery.caption_features, gallery.captioned
        )
        self._terms: LRUCache[bytes, QueryTerms] = LRUCache(REMEMBERED_QUERIES)
        self._lock = Lock()

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, as in their papers."""
        return tuple(self.composers)

    def compose(self, query: Query, method: str) -> Iterator[ComposedQuery]:
        """Turn a query into named features: first what needs no language model, then more, finally the whole.

        Of a tiny reference image, each says that little is to be expected. An edit in another language is translated.

        Raises:
            BadQuery: no such method.
        """
        if method not in self.composers:
            raise BadQuery(
                f"There is no method called {method!r}.", f"Choose one of: {', '.join(self.methods)}."
            )
        composed = self.translator.compose(query, self.composers[method].compose)
        note = size_note(query.reference_image) if query.reference_image is not None else ""
        return (replace(one, notes=(*one.notes, note)) for one in composed) if note else composed

    def rank(
        self,
        composed: ComposedQuery,
        weights: Weights,
        *,
        top_k: int = 10,
        exclude: Iterable[str] = (),
        among: NDArray[np.bool_] | None = None,
        cosine: bool = True,
    ) -> list[RetrievedImage]:
        """The `top_k` best images, best first; equal scores in the gallery's order. No model is called.

        Args:
            composed: from `compose`.
            weights: CVSI's; a part that is missing counts as 0 and the others keep their ratio.
            top_k: 1 to MAX_RESULTS.
            exclude: image ids to leave out, such as the reference itself.
            among: (K,) bool, which images may be found (`Gallery.select`); None for all.
            cosine: Eq. 10; False scores by the dot product, as the released code does.

        Raises:
            BadQuery: `top_k` out of its range, an unknown id, or an empty gallery.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MAX_RESULTS:
            raise BadQuery(
                f"The number of results is {top_k!r}.", f"Give a whole number from 1 to {MAX_RESULTS}."
            )
        if not self.gallery.image_ids:
            raise BadQuery(
                f"The gallery {self.gallery.name} has no pictures.",
                "Index a folder: python -m cir index PHOTOS",
            )
        excluded = np.array([self.gallery.find(image_id) for image_id in exclude], dtype=np.int64)
        if among is not None:
            excluded = np.concatenate([excluded, np.flatnonzero(~among)])
        indices, scores = exact_top(
            rows_of(composed),
            self._query_terms(composed),
            self._gallery_terms,
            (self.gallery.image_features, self.gallery.caption_features),
            replace(scoring_of(composed, weights), cosine=cosine),
            top_k,
            excluded=excluded,
        )
        ids = self.gallery.image_ids
        return [
            RetrievedImage(rank, ids[i], float(score))
            for rank, (i, score) in enumerate(zip(indices, scores, strict=True), start=1)
        ]

    def scores(self, composed: ComposedQuery, weights: Weights) -> NDArray[np.floating]:
        """(K,) scores of all images (Eq. 10), in the gallery's order. No model is called."""
        return scoring_of(composed, weights).scores(self._query_terms(composed), self._gallery_terms)

    def rank_of(
        self, composed: ComposedQuery, weights: Weights, image_id: str, *, exclude: Iterable[str] = ()
    ) -> int:
        """Rank of one image, from 1, among all that are not left out. For measuring."""
        hidden = np.zeros(len(self.gallery), dtype=bool)
        hidden[[self.gallery.find(other) for other in exclude]] = True
        return rank_of(self.scores(composed, weights), self.gallery.find(image_id), hidden)

    def explain(self, composed: ComposedQuery, weights: Weights, image_id: str) -> Explanation:
        """The dot products and norms behind one image's score."""
        index = self.gallery.find(image_id)
        terms, gallery = self._query_terms(composed), self._gallery_terms
        numbers, gamma = row_weights(composed, weights)
        k = np.array(list(numbers.values()))
        return Explanation(
            {
                name: {"image": float(terms.image[index, i]), "captions": float(terms.captions[index, i])}
                for i, name in enumerate(terms.names)
            },
            numbers,
            gamma if gallery.captioned[index] else 0.0,
            float(gallery.tv_tv[index]),
            float(gallery.tc_tc[index]),
            float(gallery.tv_tc[index]),
            query_length(terms, k),
        )

    def gram(self, composed: ComposedQuery) -> list[list[float]]:
        """(N, N) dot products among the query's rows: PARTS in their order, then the signed terms.

        Rows of a missing part are zeros.
        """
        there = rows_of(composed)
        nothing = np.zeros(len(next(iter(there.values()))))
        rows = np.stack([there.get(name, nothing) for name in (*PARTS, *signed_names(composed))])
        return (rows @ rows.T).tolist()

    def _query_terms(self, composed: ComposedQuery) -> QueryTerms:
        digest = hashlib.blake2b(digest_size=16)
        rows = rows_of(composed)
        for name, row in rows.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(row).tobytes())
        key = digest.digest()
        with self._lock:
            if key in self._terms:
                return self._terms[key]
        terms = query_terms(rows, self.gallery.image_features, self.gallery.caption_features)
        with self._lock:
            self._terms[key] = terms
        return terms


def rows_of(composed: ComposedQuery) -> dict[str, NDArray[np.float32]]:
    """All rows of a query by name: its parts, then its signed terms ("more 1", "without 2", ...)."""
    return {
        **composed.parts,
        **dict(zip(signed_names(composed), (t.row for t in composed.signed), strict=True)),
    }


def signed_names(composed: ComposedQuery) -> list[str]:
    """How the signed terms are called among the rows, in their order."""
    return [f"{term.kind} {number}" for number, term in enumerate(composed.signed, start=1)]


def scoring_of(composed: ComposedQuery, weights: Weights) -> Linear:
    """How the scores of a query follow from its dot products."""
    numbers, gamma = row_weights(composed, weights)
    return Linear(numbers, gamma)


def row_weights(composed: ComposedQuery, weights: Weights) -> tuple[dict[str, float], float]:
    """The weight of every row of `rows_of`, in its order, and gamma. Signed terms count on top of the parts."""
    numbers, gamma = part_weights(composed, weights)
    signed = dict(zip(signed_names(composed), (float(t.weight) for t in composed.signed), strict=True))
    return {**{name: numbers[name] for name in composed.parts}, **signed}, gamma


def part_weights(composed: ComposedQuery, weights: Weights) -> tuple[dict[str, float], float]:
    """The weight of every part that is there, and gamma.

    When all weight lies on parts that are missing, the others count equally: an order that follows from nothing
    would be worse. `weight_note` says so.
    """
    if not composed.weighted:
        return {name: 1.0 / len(composed.parts) for name in composed.parts}, 0.0
    if composed.spherical:
        image, text = composed.parts[REFERENCE_IMAGE], composed.parts[FINE_GRAINED]
        shares = dict(
            zip((REFERENCE_IMAGE, FINE_GRAINED), arc_shares(float(image @ text), weights.beta), strict=True)
        )
        return {name: shares[name] for name in composed.parts}, 0.0
    wanted: dict[str, float] = dict(zip(PARTS, weights.parts, strict=True))
    there = {name: wanted.get(name, 0.0) for name in composed.parts}
    total = sum(there.values())
    if total <= 1e-9:
        return {name: 1.0 / len(there) for name in there}, weights.gamma
    return {name: value / total for name, value in there.items()}, weights.gamma


def weight_note(composed: ComposedQuery, weights: Weights) -> str:
    """A sentence when the weights that were chosen cannot count as they are; "" otherwise."""
    if not composed.weighted or composed.spherical:
        return ""
    wanted: dict[str, float] = dict(zip(PARTS, weights.parts, strict=True))
    if sum(wanted.get(name, 0.0) for name in composed.parts) <= 1e-9:
        names = " and ".join(name.replace("_", " ") for name in composed.parts)
        return f"All weight lies on parts that this query does not have, so it is ranked by its {names}."
    return ""
