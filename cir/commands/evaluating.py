"""`python -m cir evaluate`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from cir import __version__
from cir.application import build_composers, build_models, decisive, gallery_cache, presets
from cir.commands.console import print_json
from cir.composers.cvsi import Cvsi, CvsiSettings
from cir.composers.described_target import DescribedTarget
from cir.errors import BadQuery, CirError, LanguageModelFailed
from cir.evaluation import hyperparameters, world
from cir.evaluation.answers import AnswerBook, MissingAnswers, answer_book_path
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.encoders import Encoders
from cir.gallery.gallery import Gallery
from cir.models.model_set import Models
from cir.models.protocols import LanguageModel
from cir.ranking.retriever import Retriever
from cir.text import counted
from cir.tuned_weights import keep_weights
from cir.types import CirQuery, Weights

TRIED_QUERIES = 16  # of the benchmark, to find out how many answers are not kept
PATIENCE_SECONDS = 120.0  # what is measured is the answer, not how busy the machine is


def evaluate_world(options: argparse.Namespace) -> int:
    """Print the report; with --tune find CVSI's weights first and write them down."""
    started = time.time()
    models = build_models(options.models, llm=options.llm)
    if models.captioner is None:
        raise CirError("The benchmark needs a captioner.", models.missing["captioner"])
    clip = models.clip
    encoders = Encoders(clip, clip, models.captioner, gallery_cache() / "benchmark")
    weights = _tuned(options, models, encoders) if options.tune else next(iter(presets(models).values()))
    benchmark = read_benchmark("world")
    gallery = world.benchmark_gallery(
        "world", benchmark, encoders, per_image=options.gallery_captions, say=_say
    )
    book = AnswerBook(
        answer_book_path("world", models.language_model), models.language_model, fresh=options.fresh
    )
    queries = benchmark.queries[: options.limit]
    missing = MissingAnswers(book, "a photo")
    would_ask = _would_ask(
        benchmark, queries, Retriever(gallery, _composers(options, models, missing)), missing
    )
    if would_ask and not options.kept_only and models.language_model is not None:
        asked = len(missing.keys) * len(queries) / len(_some(queries))
        _announce(would_ask, len(queries), asked, _seconds_of_an_answer(missing, book))
    if options.kept_only:
        methods = _kept_reports(benchmark, gallery, options, models, weights, MissingAnswers(book), would_ask)
    else:
        retriever = Retriever(gallery, _composers(options, models, book))
        methods = world.method_reports(benchmark, retriever, {"CVSI": weights}, _say, limit=options.limit)
    methods["Oracle caption"] = world.by_kind(
        queries, world.oracle_caption_ranks(benchmark, queries, gallery, clip)
    )
    models_alone: dict[str, Any] = {}
    if not options.methods:  # with chosen methods, only these are measured
        models_alone = {
            **world.noun_accuracy(encoders),
            "text_to_image": world.text_to_image(encoders),
            "captioner": world.captioner_quality(encoders, _say),
        }
    report = {
        **models_alone,
        "methods": methods,
        "manifest": {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "models": dict(models.fingerprints),
            "queries": len(queries),
            "gallery": len(benchmark.scenes),
            "reference": "left out of the ranking",
            "captions_of_the_reference": options.captions,
            "captions_of_gallery_images": options.gallery_captions,
            "seconds": round(time.time() - started, 1),
        },
    }
    if options.json:
        print_json(report)
    else:
        _print(report)
    models.close()
    return 0


def _say(sentence: str) -> None:
    sys.stderr.write(f"\r{sentence:<70}")
    sys.stderr.flush()


def _would_ask(
    benchmark: Benchmark, queries: Sequence[CirQuery], retriever: Retriever, missing: MissingAnswers
) -> dict[str, float]:
    """Method -> about how many answers it lacks for each query, by some queries from all parts of the benchmark."""
    tried = _some(queries)
    found = {}
    for name, composer in retriever.composers.items():
        before = missing.count
        for query in tried:
            with suppress(LanguageModelFailed):  # a method that is nothing without it
                world.compose_all(benchmark, [query], composer, _say)
        if missing.count > before:
            found[name] = (missing.count - before) / len(tried)
    return found


def _kept_reports(
    benchmark: Benchmark,
    gallery: Gallery,
    options: argparse.Namespace,
    models: Models,
    weights: Weights,
    missing: MissingAnswers,
    would_ask: Mapping[str, float],
) -> dict[str, Any]:
    """The reports of the methods all of whose answers are kept; which are left out is said."""
    found: dict[str, Any] = {}
    left_out = list(would_ask)
    for name, composer in _composers(options, models, missing).items():
        if name in would_ask:
            continue
        before, report = missing.count, {}
        with suppress(LanguageModelFailed):  # a method that is nothing without it
            alone = Retriever(gallery, {name: composer})
            report = world.method_reports(benchmark, alone, {"CVSI": weights}, _say, limit=options.limit)
        if missing.count == before:
            found |= report
        else:
            left_out.append(name)
    if left_out:
        sys.stderr.write(f"\nLeft out, for not all of their answers are kept: {', '.join(left_out)}.\n")
    return found


def _some(queries: Sequence[CirQuery]) -> Sequence[CirQuery]:
    return queries[:: max(1, len(queries) // TRIED_QUERIES)]


def _seconds_of_an_answer(missing: MissingAnswers, book: AnswerBook) -> float:
    """How long the language model takes, by the first answer that is missing. It is kept, as all are."""
    if missing.first is None:
        return 0.0
    started = time.monotonic()
    with suppress(LanguageModelFailed):
        book.complete(**missing.first)
    return time.monotonic() - started


def _announce(would_ask: Mapping[str, float], queries: int, asked: float, seconds: float) -> None:
    each = ", ".join(f"{name} {_asked_by(name, would_ask, queries)}" for name in would_ask)
    minutes = max(1, round(asked * seconds / 60))
    sys.stderr.write(
        f"\nNot all answers of the language model are kept. It is asked for those that are missing: {each}. "
        f"An answer takes {seconds:.1f} s here, so all take about {counted(minutes, 'minute')}. "
        "Each is kept, so that a run that is stopped goes on. To use only what is kept: --kept-only\n"
    )


def _asked_by(name: str, would_ask: Mapping[str, float], queries: int) -> str:
    return f"about {counted(max(1, round(would_ask[name] * queries)), 'answer')}"


def _composers(options: argparse.Namespace, models: Models, book: LanguageModel) -> dict[str, Any]:
    composers = build_composers(models, settings=CvsiSettings(captions=options.captions))
    if models.language_model is not None:
        models.language_model.deadline_seconds = PATIENCE_SECONDS
    for composer in composers.values():
        if isinstance(composer, Cvsi | DescribedTarget):
            composer.language_model = book
    wanted = {method.strip().lower() for method in (options.methods or "").split(",") if method.strip()}
    if unknown := wanted - {method.lower() for method in composers}:
        raise BadQuery(
            f"There is no method called {unknown.pop()!r} here.", f"Choose from: {', '.join(composers)}."
        )
    return {method: c for method, c in composers.items() if not wanted or method.lower() in wanted}


def _tuned(options: argparse.Namespace, models: Models, encoders: Encoders) -> Weights:
    validation = read_benchmark("world-validation")
    gallery = world.benchmark_gallery(
        "world-validation", validation, encoders, per_image=options.gallery_captions, say=_say
    )
    alone = argparse.Namespace(**{**vars(options), "methods": "CVSI"})  # whatever is measured afterwards
    path = answer_book_path("world-validation", models.language_model)
    book = AnswerBook(path, models.language_model, fresh=options.fresh)
    missing = MissingAnswers(book)
    cvsi = _composers(alone, models, missing if options.kept_only else book)["CVSI"]
    composed = world.compose_all(validation, validation.queries, cvsi, _say)
    if missing.count:
        raise BadQuery(
            f"{counted(missing.count, 'answer')} to validation queries are not kept, so no weights are found.",
            "Let the language model be asked: leave --kept-only out.",
        )
    by_query = {q.query_id: c for q, c in zip(validation.queries, composed, strict=True)}
    weights = hyperparameters.surface(gallery, validation.queries, by_query).settled
    queries = counted(len(validation.queries), "validation query", "validation queries")
    found_on = f"{queries}, R@1 + R@5 / 2 on a grid, the middle of the broadest top"
    keep_weights(models.name, decisive(models), weights, found_on)
    return weights


def _print(report: dict[str, Any]) -> None:
    out = sys.stdout.write
    out("\n")
    if "captioner" in report:
        out(f"nouns: {report['noun_top1']:.1f} % of crops, {report['noun_in_scene_top1']:.1f} % in a scene\n")
        for size, row in report["text_to_image"].items():
            out(f"text to image, {size}: " + ", ".join(f"{k} {v:.1f}" for k, v in row.items()) + "\n")
        out(
            "captioner: "
            + ", ".join(f"{k.replace('_', ' ')} {v:.1f}" for k, v in report["captioner"].items())
            + "\n\n"
        )
    for name, row in report["methods"].items():
        out(f"{name:<16} R@1 {row['R@1']:5.1f}   R@5 {row['R@5']:5.1f}   R@10 {row['R@10']:5.1f}\n")
