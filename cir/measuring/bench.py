"""What the tables are made of: queries, a gallery, and the queries of every method, composed once and kept.

Here is what all courses share: `cir.measuring.world_bench` is the world benchmark, `cir.measuring.dataset_bench` any dataset.
"""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir import __version__
from cir.application import build_models, ingredients
from cir.composers.caption_memory import CaptionMemory
from cir.composers.composer import Composer, gallery_encoder_of
from cir.composers.ingredients import CvsiSettings
from cir.composers.parameters import Values, defaults
from cir.composers.registry import build_methods
from cir.errors import CirError
from cir.evaluation import hyperparameters, tables
from cir.evaluation.answers import AnswerBook
from cir.evaluation.composed import Kept, Witness, compose_kept, kept_path, one_text, read_kept
from cir.evaluation.encoders import Encoders, unit
from cir.evaluation.method_code import method_code
from cir.evaluation.rank_measures import RECALLS, Measure, Ranked
from cir.gallery.gallery import Gallery
from cir.measuring.answering import PATIENCE_SECONDS
from cir.models.model_set import Models
from cir.models.protocols import Captioner, ImageEncoder, LanguageModel
from cir.models.server.address import Asking
from cir.processors import processors
from cir.ranking.retriever import Retriever, scoring_of
from cir.text import counted
from cir.types import CirQuery, ComposedQuery


def models_for(options: argparse.Namespace) -> Models:
    """The models of the set.

    Raises:
        CirError: there is no captioner.
    """
    models = build_models(
        options.models,
        llm=options.llm,
        clip=options.clip,
        device=options.device,
        asking=Asking.of(options),
        networks=options.networks,
    )
    if models.captioner is None:
        raise CirError("The tables need a captioner.", models.missing["captioner"])
    if models.language_model is not None:
        models.language_model.deadline_seconds = PATIENCE_SECONDS
    return models


def section_name(text: str) -> str:
    """Small letters, digits and hyphens, for sections and their figures."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Bench(ABC):
    """Queries, their gallery and everything kept of them, as the options want them.

    Args:
        options: of the command, settled.
        models: the set's.

    Attributes:
        measure: what is measured.
        captioner: who captions references.
        book: the answers of the set's language model, and who answers what is missing, if anyone.
        folder: where composed queries are kept.
        key: what their files are called after, beside the method.
        suffix: of the names of sections and figures, such as "-cirr-val".
        heading: of headings, such as " on CIRR val".
        protocol: how it is measured, in sentences.
        weights_are: where the weights in use come from, in a sentence.
        kinds_are: what queries are told apart by.
        near_misses_are: what a near miss is, in a sentence; "" for a benchmark that knows none.
        answers_from: how missing answers are got, in a sentence.
    """

    measure: Measure = RECALLS
    captioner: Captioner
    book: AnswerBook
    folder: Path
    key: str
    suffix: str = ""
    heading: str = ""
    protocol: str = ""
    weights_are: str = "found on validation queries"
    kinds_are: str = "kind of edit"
    near_misses_are: str = ""
    answers_from: str = "Let the language model answer: python -m cir tables methods --methods CVSI --ask"

    def __init__(self, options: argparse.Namespace, models: Models) -> None:
        self.options, self.models = options, models
        self._spaces: dict[str, Gallery] = {}
        if options.clip is not None:
            self.suffix, self.heading = (
                f"-{section_name(options.clip.name)}",
                f" with the CLIP {options.clip.name}",
            )

    @cached_property
    def all_queries(self) -> Sequence[CirQuery]:
        """The queries, whatever the limit."""
        raise NotImplementedError

    @property
    def queries(self) -> Sequence[CirQuery]:
        """The queries, or the first of them."""
        return self.all_queries[: self.options.limit]

    @cached_property
    def gallery(self) -> Gallery:
        """What is searched, with all its captions."""
        raise NotImplementedError

    @cached_property
    def caption_rows(self) -> list[NDArray[np.float32]]:
        """For each gallery image, (n, D) features of its captions."""
        raise NotImplementedError

    @abstractmethod
    def picture(self, image_id: str) -> Image.Image:
        """The picture of an id."""

    @abstractmethod
    def books(self) -> dict[str, AnswerBook]:
        """Language model -> its answers, of all that have answered; that of the set is `book` itself."""

    def weights(self, composer: Composer) -> Values:
        """What a method is ranked with."""
        return defaults(composer.parameters)

    def texts(self, query: CirQuery, method: str) -> Sequence[str]:
        """What a method is asked of a query; the features of several texts are averaged."""
        return one_text(query)

    @property
    def kinds(self) -> Mapping[str, Sequence[str]]:
        """Kind of edit -> ids of its queries."""
        return tables.kinds_of(self.queries)

    def asked(self) -> dict[str, object]:
        """What else composed queries depend on."""
        return {}

    def true_captions(self) -> Ranked | None:
        """Ranks by the target's true caption as a text query, where it is known."""
        return None

    @cached_property
    def bare_gallery(self) -> Gallery:
        """The gallery's images, with or without captions: for all that does not count them."""
        return self.gallery

    def with_captions(self, count: int) -> Gallery:
        """The gallery, each image with its first `count` captions only."""
        return hyperparameters.with_captions(self.bare_gallery, self.caption_rows, count)

    @property
    def most_captions(self) -> int:
        """How many captions an image of the gallery has at most."""
        return max(map(len, self.caption_rows))

    def composers(
        self, model: LanguageModel | None, captioner: Captioner | None = None
    ) -> dict[str, Composer]:
        """All methods anew, thinking through this language model."""
        given = ingredients(self.models, settings=CvsiSettings(captions=self.options.captions))
        memory = CaptionMemory(captioner or self.captioner)
        made = build_methods(replace(given, captioner=memory, language_model=model))
        return Retriever(self.bare_gallery, made).composers  # some look at its images while they compose

    @cached_property
    def witness(self) -> Witness:
        """The book, watched."""
        return Witness(self.book)

    @cached_property
    def methods(self) -> dict[str, Composer]:
        """All methods, thinking from the book."""
        return self.composers(self.witness)

    def kept(self, name: str, composer: Composer, witness: Witness | None, *, compose: bool = True) -> Kept:
        """What is kept of one method; what is missing is composed first, where that was asked for."""
        book = witness.model if witness else None
        answers = book.answers if isinstance(book, AnswerBook) else None
        path = kept_path(
            self.folder,
            self.key,
            name,
            {
                "clip": self.models.clip.fingerprint,
                "phi": getattr(getattr(composer, "phi", None), "fingerprint", ""),
                "captioner": self.captioner.fingerprint,
                "answers": book.path.stem if isinstance(book, AnswerBook) else "",
                "captions": self.options.captions,
                "fusion": getattr(getattr(composer, "fusion", None), "fingerprint", ""),
                "refiner": getattr(getattr(composer, "refiner", None), "fingerprint", ""),
                "encoder": getattr(gallery_encoder_of(composer), "fingerprint", ""),
                "gallery": self.gallery_content if hasattr(composer, "for_gallery") else "",
                "program": method_code(name),
                **self.asked(),
            },
        )
        if not compose or self.options.kept_only or not self.is_wanted(name):
            return read_kept(path, composer)
        return compose_kept(
            path,
            self.queries,
            self.picture,
            composer,
            say,
            texts=partial(self.texts, method=name),
            witness=witness,
            answers=answers,
            live=isinstance(book, AnswerBook) and book.model is not None,
            fresh=self.options.fresh,
        )

    @cached_property
    def gallery_content(self) -> str:
        """What some methods look at while they compose."""
        return self.bare_gallery.image_content

    def is_wanted(self, method: str) -> bool:
        """Whether --methods names it, or nothing."""
        wanted = {name.strip().lower() for name in (self.options.methods or "").split(",") if name.strip()}
        return not wanted or method.lower() in wanted

    def composed(
        self, name: str, composer: Composer, witness: Witness | None, *, compose: bool = True
    ) -> dict[str, ComposedQuery]:
        """The queries of a method whose answers are all there, of those that were asked for."""
        whole = self.kept(name, composer, witness, compose=compose).whole
        return {q.query_id: whole[q.query_id] for q in self.queries if q.query_id in whole}

    def ranks(
        self, composed: Mapping[str, ComposedQuery], values: Values, gallery: Gallery | None = None
    ) -> Ranked:
        """Query id -> ranks of its targets, in the gallery or in another one of its images.

        Captions take long to make: a method that does not count them is ranked without.
        """
        searched = gallery or self.gallery_for(composed, values)
        return tables.method_ranks(searched, self.queries, composed, values, self.measure)

    def gallery_for(self, composed: Mapping[str, ComposedQuery], values: Values) -> Gallery:
        """The gallery with captions, where these queries count them."""
        space = next((query.space for query in composed.values()), "")
        if space:
            return self.in_space(space)
        look = any(scoring_of(query, values).captions for query in composed.values())
        return self.gallery if look else self.bare_gallery

    def in_space(self, space: str) -> Gallery:
        """The gallery's images by the encoder with this fingerprint, which is some method's own."""
        encoders = filter(None, map(gallery_encoder_of, self.methods.values()))
        encoder = next(one for one in encoders if one.fingerprint == space)
        if space not in self._spaces:
            self._spaces[space] = Gallery.from_features(
                self.bare_gallery.name, self.bare_gallery.image_ids, self.encoded(encoder)
            )
        return self._spaces[space]

    def encoded(self, encoder: ImageEncoder) -> NDArray[np.float32]:
        """(K, D) raw features of the gallery's images by an encoder, kept with the benchmark."""
        encoders = Encoders(encoder, self.models.text_encoder, self.captioner, self.folder)
        ids = self.bare_gallery.image_ids
        return encoders.images(self.key, self.gallery_content, lambda: map(self.picture, ids))

    def gallery_of(self, composer: Composer) -> Gallery:
        """The gallery with all its captions, and with the features that a method compares with."""
        encoder = gallery_encoder_of(composer)
        if encoder is None:
            return self.gallery
        return replace(self.gallery, spaces={encoder.fingerprint: unit(self.encoded(encoder))})

    def ranked(self, *, compose: bool = True) -> dict[str, Ranked]:
        """Method -> query id -> ranks of its targets, under the method's weights."""
        return {
            name: self.ranks(
                self.composed(name, composer, self.witness, compose=compose), self.weights(composer)
            )
            for name, composer in self.methods.items()
        }

    def near_misses(self, method: str, composed: Mapping[str, ComposedQuery]) -> dict[str, str]:
        """Query id -> what is wrong with the image that a method puts first; "" where it is the target, or far from it."""
        values = self.weights(self.methods[method])
        first = tables.first_places(
            self.gallery_for(composed, values), self.queries, composed, values, self.measure
        )
        by_id = {q.query_id: q for q in self.queries}
        return {query_id: self.near_miss(by_id[query_id], image_id) for query_id, image_id in first.items()}

    def near_miss(self, query: CirQuery, image_id: str) -> str:
        """What is wrong with an image that is nearly the target of a query; "" where it is not."""
        return ""

    def table(self, rows: Mapping[str, Ranked], first: str) -> str:
        """Rows as markdown, under the heading `first`."""
        return tables.measure_table(rows, first=first, measure=self.measure, seed=self.options.seed)

    @cached_property
    def cvsi(self) -> dict[str, ComposedQuery]:
        """CVSI's whole queries.

        Raises:
            CirError: there are none yet.
        """
        composed = self.composed("CVSI", self.cvsi_composer, self.witness)
        if not composed:
            raise CirError(
                "No query of CVSI is composed with all its answers yet.",
                self.answers_from,
            )
        return composed

    @property
    def cvsi_composer(self) -> Composer:
        """CVSI itself.

        Raises:
            CirError: these models cannot run it.
        """
        if "CVSI" not in self.methods:
            raise CirError("These models cannot run CVSI.", "; ".join(self.models.missing.values()))
        return self.methods["CVSI"]

    def manifest(self, **more: object) -> dict[str, object]:
        """How a table was measured."""
        return {
            "command": "python -m cir " + shlex.join(sys.argv[1:] or ["tables"]),
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "seed": self.options.seed,
            "models": dict(self.models.fingerprints),
            "gallery": len(self.bare_gallery),
            "captions_of_the_reference": self.options.captions,
            "captions_of_gallery_images": self.options.gallery_captions,
            "machine": f"{counted(processors(), 'core')}, {platform.machine()}",
            **more,
        }


def say(sentence: str) -> None:
    """Progress, on one line of standard error."""
    sys.stderr.write(f"\r{sentence:<70}")
    sys.stderr.flush()
