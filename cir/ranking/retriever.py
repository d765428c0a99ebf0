"""Compose once (seconds), rank often (milliseconds)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from threading import Lock
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cir.composers.composer import Composer, InOwnSpace, bind_to_gallery, gallery_encoder_of
from cir.composers.parameters import Parameter, Values, defaults, shares
from cir.composers.registry import asks_language_model
from cir.errors import BadQuery, MissingFeatures
from cir.gallery.gallery import Gallery
from cir.gallery.searchable import Among, Searchable
from cir.gallery.spaces import open_space
from cir.images import size_note
from cir.models.protocols import ImageEncoder
from cir.ranking.engines import DEFAULT, open_engine
from cir.ranking.engines.protocol import Engine, Promise, WholeEngine
from cir.ranking.scoring import Linear, Scoring
from cir.translating import Translator
from cir.types import ComposedQuery, Query, RetrievedImage

MAX_RESULTS = 600
COMPOSING = "composing"  # the stage of a method that tells no times of its own


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that one score is made of, so that anyone can compute it again.

    Attributes:
        terms: row of the query -> {"image": t_v . q, "captions": t_c . q}, the dot products.
        shares: row -> {"image": ..., "captions": ...}, what it adds to the score; all sum to the score.
        weights: row -> the weight that counted.
        gamma: what the captions of this image counted for (0 where it has none).
        tv_tv, tc_tc, tv_tc: the image's norms and cross term.
    """

    terms: Mapping[str, Mapping[str, float]]
    shares: Mapping[str, Mapping[str, float]]
    weights: Mapping[str, float]
    gamma: float
    tv_tv: float
    tc_tc: float
    tv_tc: float


class Retriever:
    """A gallery, and the methods that search it."""

    def __init__(
        self,
        gallery: Searchable,
        composers: Mapping[str, Composer],
        translator: Translator | None = None,
        *,
        engine: str = DEFAULT,
    ) -> None:
        self.gallery = gallery
        self.translator = translator or Translator()
        self.engine_name = engine
        self.engine = open_engine(gallery, engine)
        self._engines: dict[str, Engine] = {}  # by space
        self._opening = Lock()
        self.composers: dict[str, Composer] = {
            name: bind_to_gallery(c, self.engine) for name, c in composers.items()
        }

    def offer(self, name: str, composer: Composer) -> None:
        """Search with another method as well, or with a newer one of that name."""
        self.composers[name] = bind_to_gallery(composer, self.engine)

    def prepare(self) -> None:
        """Make now what the first search, the list of folders and the first span of days would wait for."""
        self.engine.prepare()
        self.gallery.prepare()

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, as in their papers."""
        return tuple(self.composers)

    def defaults(self, method: str) -> dict[str, float]:
        """The numbers of a method by name, where they start; {} for a method without any.

        Raises:
            BadQuery: no such method.
        """
        return defaults(self._composer(method).parameters)

    def compose(self, query: Query, method: str) -> Iterator[ComposedQuery]:
        """Turn a query into named features: first what needs no language model, then more, finally the whole.

        Of a tiny reference image, each says that little is to be expected. An edit in another language is translated.
        Each says how long it took: by the method's own steps, or as one where the method tells none.

        Raises:
            BadQuery: no such method.
        """
        composer = self._composer(method)
        composed = timed(
            self.translator.compose(query, composer.compose, twice=not asks_language_model(method))
        )
        if (encoder := gallery_encoder_of(composer)) is not None:
            composed = self._in_space(encoder, composed)
        note = size_note(query.reference_image) if query.reference_image is not None else ""
        return (replace(one, notes=(*one.notes, note)) for one in composed) if note else composed

    def rank(
        self,
        composed: ComposedQuery,
        values: Values,
        *,
        top_k: int = 10,
        exclude: Iterable[str] = (),
        among: Among = None,
        cosine: bool = True,
    ) -> list[RetrievedImage]:
        """The `top_k` best images, best first; equal scores in the gallery's order. No model is called.

        Args:
            composed: from `compose`.
            values: the numbers of the method that composed it.
            top_k: 1 to MAX_RESULTS.
            exclude: image ids to leave out, such as the reference itself.
            among: which images may be found, as `select` of the gallery says it; None for all.
            cosine: False leaves out the lengths, as CVSI's released code does; of no meaning for another scoring.

        Raises:
            BadQuery: `top_k` out of its range, an unknown id, or an empty gallery.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MAX_RESULTS:
            raise BadQuery(
                f"The number of results is {top_k!r}.", f"Give a whole number from 1 to {MAX_RESULTS}."
            )
        if not len(self.gallery):
            raise BadQuery(
                f"The gallery {self.gallery.name} has no pictures.",
                "Index a folder: python -m cir index PHOTOS",
            )
        scoring = scoring_of(composed, values)
        indices, scores = self.engine_of(composed).top(
            self.rows_of(composed),
            scoring if cosine or not isinstance(scoring, Linear) else replace(scoring, cosine=False),
            top_k,
            exclude=[self.gallery.find(image_id) for image_id in exclude],
            among=among,
        )
        ids = self.gallery.ids_at(indices)
        return list(map(RetrievedImage, range(1, len(ids) + 1), ids, scores.tolist()))

    def promise(self, composed: ComposedQuery, values: Values) -> Promise:
        """What a ranking of this query is worth: who makes it, and how many of the true best it has."""
        return self.engine_of(composed).promise(scoring_of(composed, values))

    def scores(self, composed: ComposedQuery, values: Values) -> NDArray[np.floating]:
        """(K,) scores of all images, in the gallery's order. No model is called."""
        return self.score(composed, scoring_of(composed, values))

    def score(self, composed: ComposedQuery, scoring: Scoring) -> NDArray[np.floating]:
        """(K,) scores of all images by a scoring of one's own, such as one row of the query alone."""
        engine = self._whole(self.engine_of(composed))
        return scoring.scores(engine.terms(self.rows_of(composed)), engine.norms)

    @property
    def whole(self) -> WholeEngine:
        """The engine, where it has all images in this process.

        Raises:
            BadQuery: they are on servers.
        """
        return self._whole(self.engine)

    def _whole(self, engine: Engine) -> WholeEngine:
        if not hasattr(engine, "terms"):
            name = self.gallery.name
            raise BadQuery(
                f"{name} is on a server, which is not asked for all of it at once.",
                f"Fetch it: python -m cir galleries pull {name}",
            )
        return cast(WholeEngine, engine)

    def engine_of(self, composed: ComposedQuery) -> Engine:
        """The engine over the features that a query is compared with: the gallery's own, or those of its method's encoder.

        Raises:
            MissingFeatures: the gallery has none of that encoder.
        """
        if not composed.space:
            return self.engine
        return self._engine_in(composed.space, len(next(iter(composed.parts.values()))))

    def rows_of(self, composed: ComposedQuery) -> dict[str, NDArray[np.float32]]:
        """All rows of a query by name, each of which `engine_of` it can compare with.

        Raises:
            BadQuery: it asks for less of a text, which its method's encoder cannot compare with.
        """
        if not composed.space or not composed.signed:
            return rows_of(composed)
        engine = self.engine_of(composed)
        words_fit = any(
            cast(InOwnSpace, one).words_fit
            for one in self.composers.values()
            if getattr(gallery_encoder_of(one), "fingerprint", "") == composed.space
        )
        signed = []
        for term in composed.signed:
            if term.image_id:
                term = replace(term, row=engine.features(self.gallery.find(term.image_id)).image)
            elif not words_fit:
                raise BadQuery(
                    f"This method cannot leave out what {term.words!r} says: it compares with features of its own.",
                    "Take that wish away, or choose another method.",
                )
            signed.append(term)
        return rows_of(replace(composed, signed=signed))

    def _in_space(self, encoder: ImageEncoder, stages: Iterator[ComposedQuery]) -> Iterator[ComposedQuery]:
        """The stages of a query; nothing is composed for a gallery that cannot be compared with."""
        self._engine_in(encoder.fingerprint, encoder.dim)
        yield from stages

    def _engine_in(self, space: str, dim: int) -> Engine:
        if space == self.gallery.fingerprints.get("image_encoder"):
            return self.engine
        with self._opening:
            if space not in self._engines:
                self._engines[space] = open_engine(self._opened(space, dim), self.engine_name)
            return self._engines[space]

    def _opened(self, space: str, dim: int) -> Gallery:
        name = self.gallery.name
        encoders = {method: gallery_encoder_of(composer) for method, composer in self.composers.items()}
        method = next((m for m, e in encoders.items() if e is not None and e.fingerprint == space), "METHOD")
        said = f"What {method} compares are features of its own."
        if not isinstance(self.gallery, Gallery):
            raise MissingFeatures(
                f"{said} {name} is on a server, which has none of them.",
                f"Fetch it: python -m cir galleries pull {name}",
            )
        try:
            return open_space(self.gallery, space, dim)
        except MissingFeatures as error:
            command = f"python -m cir galleries features {quote(name)} --method {quote(method)}"
            raise MissingFeatures(f"{said} {error.message}", f"Make them: {command}") from error

    def rank_of(
        self,
        composed: ComposedQuery,
        values: Values,
        image_id: str,
        *,
        exclude: Iterable[str] = (),
        among: Among = None,
    ) -> int:
        """Rank of one image, from 1, among all that may be found and are not left out; up to `Engine.far`."""
        find, scoring = self.gallery.find, scoring_of(composed, values)
        places = [find(other) for other in exclude]
        rows = self.rows_of(composed)
        return int(
            self.engine_of(composed).ranks(rows, [find(image_id)], [scoring], among=among, exclude=places)[
                0, 0
            ]
        )

    def explain(self, composed: ComposedQuery, values: Values, image_id: str) -> Explanation:
        """The dot products and norms behind one image's score."""
        index = self.gallery.find(image_id)
        engine = self.engine_of(composed)
        terms = engine.terms_of(self.rows_of(composed), [index])
        norms = engine.norms_of([index])
        scoring = scoring_of(composed, values)
        return Explanation(
            {
                name: {"image": float(terms.image[0, i]), "captions": float(terms.captions[0, i])}
                for i, name in enumerate(terms.names)
            },
            scoring.shares(terms, norms),
            scoring.weights,
            scoring.captions if norms.captioned[0] else 0.0,
            float(norms.tv_tv[0]),
            float(norms.tc_tc[0]),
            float(norms.tv_tc[0]),
        )

    def gram(self, composed: ComposedQuery, names: Iterable[str]) -> list[list[float]]:
        """(N, N) dot products among the rows of the query that have these names; those of a missing row are zeros."""
        there = self.rows_of(composed)
        nothing = np.zeros(len(next(iter(there.values()))))
        rows = np.stack([there.get(name, nothing) for name in names])
        return (rows @ rows.T).tolist()

    def _composer(self, method: str) -> Composer:
        if method not in self.composers:
            raise BadQuery(
                f"There is no method called {method!r}.", f"Choose one of: {', '.join(self.methods)}."
            )
        return self.composers[method]


def timed(stages: Iterator[ComposedQuery]) -> Iterator[ComposedQuery]:
    """The stages of a query; those that tell no times of their own have the time that composing took until then."""
    took, since = 0.0, time.perf_counter()
    for composed in stages:
        took += 1000.0 * (time.perf_counter() - since)
        yield composed if composed.timings_ms else replace(composed, timings_ms={COMPOSING: took})
        since = time.perf_counter()


def rows_of(composed: ComposedQuery) -> dict[str, NDArray[np.float32]]:
    """All rows of a query by name: its parts, then its signed terms ("more 1", "without 2", ...)."""
    return {
        **composed.parts,
        **dict(zip(signed_names(composed), (t.row for t in composed.signed), strict=True)),
    }


def signed_names(composed: ComposedQuery) -> list[str]:
    """How the signed terms are called among the rows, in their order."""
    return [f"{term.kind} {number}" for number, term in enumerate(composed.signed, start=1)]


def scoring_of(composed: ComposedQuery, values: Values) -> Scoring:
    """How the scores of a query follow from its dot products. Signed terms count on top of the method's own rows."""
    scoring = composed.scoring(composed, values) if composed.scoring else Linear.even(composed.parts)
    if not composed.signed:
        return scoring
    names = signed_names(composed)
    return scoring.plus(dict(zip(names, (float(term.weight) for term in composed.signed), strict=True)))


def weight_note(composed: ComposedQuery, parameters: Sequence[Parameter], values: Values) -> str:
    """A sentence when the shares that were chosen cannot count as they are; "" otherwise."""
    wanted = shares(parameters, values)
    if wanted and sum(wanted.get(name, 0.0) for name in composed.parts) <= 1e-9:
        names = " and ".join(name.replace("_", " ") for name in composed.parts)
        return f"All weight lies on parts that this query does not have, so it is ranked by its {names}."
    return ""
