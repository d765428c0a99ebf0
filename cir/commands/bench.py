"""What the tables are made of: the benchmark, its gallery, and the queries of every method, composed once and kept."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cir import __version__
from cir.application import build_composers, build_models, gallery_cache
from cir.composers.composer import Composer
from cir.composers.cvsi import CvsiSettings
from cir.errors import CirError
from cir.evaluation import hyperparameters, tables
from cir.evaluation.answers import AnswerBook, answer_book_path
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.composed import Kept, Witness, compose_kept, kept_path, read_kept
from cir.evaluation.encoders import Encoders
from cir.gallery.gallery import Gallery
from cir.models.catalog import Models
from cir.models.protocols import Captioner, LanguageModel
from cir.retriever import Retriever
from cir.types import CirQuery, ComposedQuery

BENCHMARK = "world"
PATIENCE_SECONDS = 120.0


class WatchedModels:
    """The same models, thinking through a captioner and a language model that are watched."""

    def __init__(self, models: Models, captioner: Captioner, language_model: LanguageModel | None) -> None:
        self._models, self.captioner, self.language_model = models, captioner, language_model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)


@dataclass
class Bench:
    """The benchmark, its gallery and everything kept of it, as the options want them."""

    options: argparse.Namespace

    @cached_property
    def models(self) -> Models:
        """The models of the set."""
        models = build_models(self.options.models, llm=self.options.llm)
        if models.captioner is None:
            raise CirError("The benchmark needs a captioner.", models.missing["captioner"])
        if models.language_model is not None:
            models.language_model.deadline_seconds = PATIENCE_SECONDS
        return models

    @cached_property
    def benchmark(self) -> Benchmark:
        """The world benchmark."""
        return read_benchmark(BENCHMARK)

    @property
    def queries(self) -> tuple[CirQuery, ...]:
        """Its queries, or the first of them."""
        return self.benchmark.queries[: self.options.limit]

    @cached_property
    def encoders(self) -> Encoders:
        """The models under test, with their work kept."""
        captioner = cast(Captioner, self.models.captioner)
        return Encoders(self.models.clip, self.models.clip, captioner, gallery_cache() / "benchmark")

    @cached_property
    def caption_rows(self) -> list[NDArray[np.float32]]:
        """For each gallery image, (n, D) features of its captions."""
        count, ids = self.options.gallery_captions, tuple(self.benchmark.scenes)
        draw = [lambda i=i: self.benchmark.picture(i) for i in ids]
        captions = self.encoders.captions(BENCHMARK, draw, count, say)
        key = f"{BENCHMARK}-{count}-{self.encoders.captioner.fingerprint}"
        flat = self.encoders.texts(key, [caption for row in captions for caption in row])
        ends = np.cumsum([len(row) for row in captions])
        return np.split(flat, ends[:-1])

    @cached_property
    def bare_gallery(self) -> Gallery:
        """The gallery without captions."""
        ids = tuple(self.benchmark.scenes)
        raw = self.encoders.images(BENCHMARK, lambda: (self.benchmark.picture(i) for i in ids))
        return Gallery.from_features(BENCHMARK, ids, raw)

    @cached_property
    def gallery(self) -> Gallery:
        """The gallery with all its captions."""
        return hyperparameters.with_captions(
            self.bare_gallery, self.caption_rows, self.options.gallery_captions
        )

    def composers(
        self, model: LanguageModel | None, captioner: Captioner | None = None
    ) -> dict[str, Composer]:
        """All methods anew, thinking through this language model."""
        own = captioner or cast(Captioner, self.models.captioner)
        watched = cast(Models, WatchedModels(self.models, own, model))
        made = build_composers(watched, settings=CvsiSettings(captions=self.options.captions))
        return Retriever(self.gallery, made).composers  # some look at the gallery while they compose

    @cached_property
    def book(self) -> AnswerBook:
        """The answers of the set's language model; who answers what is missing only with --ask."""
        model = self.models.language_model
        return AnswerBook(answer_book_path(BENCHMARK, model), model if self.options.ask else None)

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
        answers = book.answers if isinstance(book, AnswerBook) else {}
        path = kept_path(
            gallery_cache() / "benchmark",
            BENCHMARK,
            name,
            {
                "clip": self.models.clip.fingerprint,
                "phi": getattr(getattr(composer, "phi", None), "fingerprint", ""),
                "captioner": self.encoders.captioner.fingerprint,
                "answers": book.path.stem if isinstance(book, AnswerBook) else "",
                "captions": self.options.captions,
            },
        )
        if not compose or self.options.kept_only or not self.is_wanted(name):
            return read_kept(path)
        return compose_kept(
            path,
            self.queries,
            self.benchmark.picture,
            composer,
            say,
            witness=witness,
            answers=len(answers),
            fresh=self.options.fresh,
        )

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

    def ranked(self, *, compose: bool = True) -> dict[str, dict[str, int]]:
        """Method -> query id -> rank of the target, under the method's own weights."""
        found = {}
        for name, composer in self.methods.items():
            composed = self.composed(name, composer, self.witness, compose=compose)
            found[name] = tables.method_ranks(self.gallery, self.queries, composed, composer.default_weights)
        return found

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
                "Let the language model answer: python -m cir tables methods --methods CVSI --ask",
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
            "gallery": len(self.benchmark.scenes),
            "captions_of_the_reference": self.options.captions,
            "captions_of_gallery_images": self.options.gallery_captions,
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            **more,
        }


def say(sentence: str) -> None:
    """Progress, on one line of standard error."""
    sys.stderr.write(f"\r{sentence:<70}")
    sys.stderr.flush()
