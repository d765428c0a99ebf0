"""What `evaluate world` measures: the models alone, and every method, on the world benchmark."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from cir import __version__
from cir.application import decisive, ingredients
from cir.composers.composer import Composer, gallery_encoder_of
from cir.composers.ingredients import CvsiSettings, Ingredients
from cir.composers.parameters import Values
from cir.composers.registry import build_methods
from cir.errors import BadQuery, CirError, LanguageModelFailed, MissingModel
from cir.evaluation import hyperparameters, world
from cir.evaluation.answers import AnswerBook, MissingAnswers, open_book
from cir.evaluation.benchmark import Benchmark, read_benchmark, scenes_digest
from cir.evaluation.encoders import Encoders, unit
from cir.gallery.gallery import Gallery
from cir.measuring.answering import (
    PATIENCE_SECONDS,
    Captioning,
    answering_notice,
    answers_lacking,
    captioning_notice,
)
from cir.measuring.bench import say
from cir.models.model_set import WITHOUT, Models
from cir.models.protocols import ImageEncoder, LanguageModel
from cir.places import gallery_cache
from cir.ranking.retriever import Retriever
from cir.text import counted
from cir.tuned_weights import keep_weights
from cir.types import CirQuery, Features

BENCHMARK, VALIDATION = "world", "world-validation"


class WorldReport:
    """The world benchmark under the options of the command.

    Args:
        options: of `evaluate world`.
        models: the set's.

    Raises:
        CirError: there is no captioner.
    """

    def __init__(self, options: argparse.Namespace, models: Models) -> None:
        if models.captioner is None:
            raise CirError("The benchmark needs a captioner.", models.missing["captioner"])
        self.options, self.models = options, models
        self.encoders = Encoders(
            models.clip, models.text_encoder, models.captioner, gallery_cache() / "benchmark"
        )
        if models.language_model is not None:
            models.language_model.deadline_seconds = PATIENCE_SECONDS
        self._given = self._ingredients(self._only)

    def measured(self) -> dict[str, Any]:
        """The report; with --tune CVSI's weights are found first, and written down."""
        started = time.time()
        self._refuse_unknown_methods()
        self._tell(captioning_notice(self.encoders, self._captionings(), say))
        weights = self._tuned() if self.options.tune else self._given.cvsi_weights or {}
        methods = self._methods(weights)
        ranks = world.oracle_caption_ranks(self.benchmark, self.queries, self.gallery, self.models.clip)
        methods["Oracle caption"] = world.by_kind(self.queries, ranks)
        alone = {} if self.options.methods else self._models_alone()
        return {**alone, "methods": methods, "manifest": self._manifest(time.time() - started)}

    @cached_property
    def benchmark(self) -> Benchmark:
        """Its scenes and queries."""
        return read_benchmark(BENCHMARK)

    @property
    def queries(self) -> Sequence[CirQuery]:
        """The queries, or the first of them."""
        return self.benchmark.queries[: self.options.limit]

    @cached_property
    def gallery(self) -> Gallery:
        """Its scenes, encoded and captioned."""
        return self._gallery(BENCHMARK, self.benchmark)

    @property
    def _captions_of_each(self) -> int:
        """Captions of each scene of a gallery: none where no method that is measured looks at them."""
        chosen = self._composers(None).values()
        looks = any(parameter.name == "gamma" for one in chosen for parameter in one.parameters)
        return self.options.gallery_captions if looks or self.options.tune else 0

    def _gallery(self, name: str, benchmark: Benchmark) -> Gallery:
        return world.benchmark_gallery(
            name, benchmark, self.encoders, per_image=self._captions_of_each, say=say
        )

    def _rows_by(self, encoder: ImageEncoder) -> Features:
        """The scenes as another encoder than the set's sees them."""
        pictures = map(self.benchmark.picture, self.benchmark.scenes)
        encoders = replace(self.encoders, image_encoder=encoder)
        return unit(encoders.images(BENCHMARK, self.benchmark.drawn, lambda: pictures))

    def _captionings(self) -> list[Captioning]:
        benchmarks = {BENCHMARK: self.benchmark}
        if self.options.tune:
            benchmarks[VALIDATION] = read_benchmark(VALIDATION)
        found = [
            Captioning(name, one.drawn, world.pictures_of(one), self._captions_of_each)
            for name, one in benchmarks.items()
        ]
        if not self.options.methods:
            scenes = world.captioned_scenes()
            found.append(Captioning(world.HELD_OUT, scenes_digest(scenes), world.drawings(scenes), 1))
        return [one for one in found if one.per_image]

    def _composers(self, model: LanguageModel | None) -> dict[str, Composer]:
        """The methods that were asked for, thinking through this language model."""
        return build_methods(replace(self._given, language_model=model), self._wanted)

    def _ingredients(self, only: Collection[str] = ()) -> Ingredients:
        settings = CvsiSettings(captions=self.options.captions)
        return ingredients(self.models, settings=settings, only=only)

    @property
    def _only(self) -> set[str]:
        """The methods that are made: those that were asked for, and CVSI where its weights are looked for; none for all."""
        return self._wanted | {"cvsi"} if self._wanted and self.options.tune else self._wanted

    @cached_property
    def _wanted(self) -> set[str]:
        return {part.strip().lower() for part in (self.options.methods or "").split(",") if part.strip()}

    def _refuse_unknown_methods(self) -> None:
        made = build_methods(self._given, self._wanted)
        if unknown := self._wanted - {name.lower() for name in made}:
            names = ", ".join(build_methods(self._ingredients()))
            raise BadQuery(f"There is no method called {unknown.pop()!r} here.", f"Choose from: {names}.")

    def _book(self, name: str) -> AnswerBook:
        return open_book(name, self.models.language_model, self.models.llm, fresh=self.options.fresh)

    def _methods(self, weights: Values) -> dict[str, Any]:
        """The report of each method. Where no model may be asked, those that lack answers are left out, and named."""
        if self.models.llm == WITHOUT:
            return self._possible_reports(None, {}, weights)
        book = self._book(BENCHMARK)
        trial = MissingAnswers(book, "a photo")
        tried = Retriever(self.gallery, self._composers(trial)).composers  # some look at the gallery
        lacking = answers_lacking(self.benchmark, self.queries, tried, trial, say)
        if self.options.kept_only or self.models.language_model is None:
            return self._possible_reports(MissingAnswers(book), lacking, weights)
        if lacking:
            self._tell(answering_notice(lacking, trial, book, self.queries))
        return self._reports(self._composers(book), weights)

    def _possible_reports(
        self, missing: MissingAnswers | None, lacking: Mapping[str, float], weights: Values
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        left_out = list(lacking)
        for name, composer in self._composers(missing).items():
            if name in lacking:
                continue
            before = missing.count if missing else 0
            try:
                report = self._reports({name: composer}, weights)
            except (LanguageModelFailed, MissingModel):  # it is nothing without it
                report = {}
            if report and (missing is None or missing.count == before):
                found |= report
            else:
                left_out.append(name)
        if left_out:
            why = (
                "for they need a language model"
                if missing is None
                else "for not all of their answers are kept"
            )
            self._tell(f"Left out, {why}: {', '.join(left_out)}.")
        return found

    def _reports(self, composers: dict[str, Composer], weights: Values) -> dict[str, Any]:
        encoders = [own for one in composers.values() if (own := gallery_encoder_of(one)) is not None]
        spaces = {one.fingerprint: self._rows_by(one) for one in encoders}
        retriever = Retriever(replace(self.gallery, spaces=spaces), composers)
        return world.method_reports(
            self.benchmark, retriever, {"CVSI": weights}, say, limit=self.options.limit
        )

    def _tuned(self) -> Values:
        """CVSI's weights, found on validation queries and written down.

        Raises:
            BadQuery: an answer is not kept, and none may be asked for.
        """
        validation = read_benchmark(VALIDATION)
        gallery = self._gallery(VALIDATION, validation)
        book = self._book(VALIDATION)
        missing = MissingAnswers(book)
        model = missing if self.options.kept_only or self.models.language_model is None else book
        cvsi = build_methods(replace(self._given, language_model=model), ["CVSI"])["CVSI"]
        composed = world.compose_all(validation, validation.queries, cvsi, say)
        if missing.count:
            raise BadQuery(
                f"{counted(missing.count, 'answer')} to validation queries are not kept, so no weights are found.",
                "Let the language model be asked: leave --kept-only out.",
            )
        by_query = {q.query_id: c for q, c in zip(validation.queries, composed, strict=True)}
        weights = hyperparameters.surface(gallery, validation.queries, by_query).settled
        queries = counted(len(validation.queries), "validation query", "validation queries")
        found_on = f"{queries}, R@1 + R@5 / 2 on a grid, the middle of the broadest top"
        keep_weights(self.models.name, decisive(self.models), weights, found_on)
        return weights

    def _models_alone(self) -> dict[str, Any]:
        return {
            **world.noun_accuracy(self.encoders),
            "text_to_image": world.text_to_image(self.encoders),
            "captioner": world.captioner_quality(self.encoders, say),
        }

    def _manifest(self, seconds: float) -> dict[str, Any]:
        return {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "models": self.models.opened,
            "queries": len(self.queries),
            "gallery": len(self.benchmark.scenes),
            "reference": "left out of the ranking",
            "captions_of_the_reference": self.options.captions,
            "captions_of_gallery_images": self._captions_of_each,
            "seconds": round(seconds, 1),
        }

    @staticmethod
    def _tell(sentence: str) -> None:
        if sentence:
            sys.stderr.write(f"\n{sentence}\n")
