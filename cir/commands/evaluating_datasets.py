"""`python -m cir evaluate BENCHMARK`: score predictions, or run a method. What a benchmark is, its card says."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cir import __version__
from cir.application import build_models, build_translator, ingredients
from cir.cache_keys import code_digest, digest_of, gallery_digest
from cir.commands.console import IndexProgress, announce, print_json
from cir.commands.values import given_values, method_values
from cir.composers.composer import Composer
from cir.composers.ingredients import CvsiSettings
from cir.composers.parameters import Values, of_photographs
from cir.composers.registry import build_methods
from cir.errors import BadQuery
from cir.evaluation.datasets.dataset import Dataset, DatasetCard, Report
from cir.evaluation.datasets.registry import DATASETS
from cir.evaluation.method_code import method_code
from cir.evaluation.run import Run
from cir.evaluation.submission import how_to_send
from cir.files import file_name
from cir.gallery.gallery import Gallery
from cir.measuring.datasets import Books, book_folder, books_of, opened, say, starting_values
from cir.models.model_set import Models
from cir.models.server.address import Asking
from cir.ranking.engines import DEFAULT
from cir.ranking.retriever import Retriever
from cir.text import counted

_SCORE_OR_RUN = "Score predictions: --annotations FILE --predictions FILE. Or run a method: --root FOLDER."


def evaluate_dataset(options: argparse.Namespace) -> int:
    """Print a report: of predictions, or of a run."""
    card = DATASETS[options.dataset]
    if card.score_files and options.annotations is not None:
        found = card.score_files(options)
    elif card.searches_gallery or options.root is not None:
        found = _run(options)
    else:
        raise BadQuery("There is nothing to score and nothing to run.", _SCORE_OR_RUN)
    if options.json:
        print_json(found)
    else:
        _print(found, card)
    return 0


def _run(options: argparse.Namespace) -> Report:
    models = build_models(options.models, llm=options.llm, device=options.device, asking=Asking.of(options))
    announce(models)
    try:
        reports = {
            dataset.name: _one(options, models, dataset, gallery)
            for dataset, gallery in opened(options, models)
        }
        if len(reports) == 1:
            return next(iter(reports.values()))
        overall = DATASETS[options.dataset].overall
        assert overall is not None, "a benchmark of several datasets says what they are together"
        return overall(reports, options)
    finally:
        models.close()


def _one(options: argparse.Namespace, models: Models, dataset: Dataset, gallery: Gallery) -> Report:
    """One dataset, or one category of it."""
    base = book_folder(dataset, options.out)
    books = books_of(models, base)
    method, composer = _method(options, models, books)
    values = method_values(options, composer, starting_values(composer, dataset.card))
    follows = not dataset.card.preset and not given_values(options)
    retriever = Retriever(gallery, {method: composer}, build_translator(models), engine=options.engine)
    if options.engine != DEFAULT:
        retriever.engine.prepare(IndexProgress())
    run = Run(
        dataset,
        retriever,
        method,
        values,
        base / file_name(_run_name(options, method).lower()),
        _manifest(options, models, dataset, gallery, method, values)
        | ({"weights_for_photographs": of_photographs(composer.parameters)} if follows else {}),
        options.k,
        follows,
    )
    found = run.answer(limit=options.limit, resume=options.resume, say=say)
    sys.stderr.write("\n")
    return found | {"folder": str(run.folder)}


def _method(options: argparse.Namespace, models: Models, books: Books) -> tuple[str, Composer]:
    """The method that was asked for, captioning and thinking through these books; what only others need is not opened."""
    settings = CvsiSettings(captions=options.captions)

    def made(*only: str) -> dict[str, Composer]:
        given = ingredients(models, settings=settings, only=only)
        return build_methods(replace(given, captioner=books.captioner, language_model=books.answers), only)

    if found := made(options.method):
        return next(iter(found.items()))
    raise BadQuery(
        f"There is no method called {options.method!r} here.", f"Choose one of: {', '.join(made())}."
    )


def _manifest(
    options: argparse.Namespace,
    models: Models,
    dataset: Dataset,
    gallery: Gallery,
    method: str,
    values: Values,
) -> dict[str, Any]:
    return {
        "version": __version__,
        "dataset": dataset.name,
        "split": dataset.split,
        "queries": len(dataset.queries),
        "asked": digest_of(dataset.asked),
        "images": gallery_digest(gallery.image_ids, gallery.contents, gallery.texts),
        "program": digest_of(method_code(method), code_digest("ranking", "evaluation")),
        "protocol": dataset.protocol,
        "searched": len(gallery),
        "method": method,
        "weights": dict(values),
        "models": models.opened,
        "captions_of_the_reference": options.captions,
        "captions_of_gallery_images": options.gallery_captions
        if not dataset.card.searches_gallery
        else "as indexed",
        "places": options.k,
        "engine": options.engine,
    }


def _run_name(options: argparse.Namespace, method: str) -> str:
    other_engine = [options.engine] if options.engine != DEFAULT else []
    return "-".join([method, options.models, *other_engine, *DATASETS[options.dataset].variant(options)])


def _print(found: Report, card: DatasetCard) -> None:
    out = sys.stdout.write
    out(f"{found['dataset']}, {counted(found['queries'], 'query', 'queries')}. {found['protocol']}\n")
    intervals = found.get("intervals", {})
    for name, value in found.items():
        if isinstance(value, float):
            low_high = "  ({:.2f} to {:.2f})".format(*intervals[name]) if name in intervals else ""
            out(f"{name:<14} {value:6.2f}{low_high}\n")
    for measure, kinds in found.items():
        if "@" in measure and isinstance(kinds, dict):
            out(
                "".join(
                    f"{measure}, {kind}: {value:.2f}\n".replace("_", " ") for kind, value in kinds.items()
                )
            )
    for name, row in found.get("categories", {}).items():
        out(f"{name}: {', '.join(f'{measure} {row[measure]:.2f}' for measure in card.brief)}\n")
    for note, count in found.get("notes", {}).items():
        out(f"note on {counted(count, 'query', 'queries')}: {note}\n")
    if found.get("hidden_targets"):
        out(_for_the_server(found, card))
    if "folder" in found:
        out(f"Results, report and submission files: {found['folder']}\n")


def _for_the_server(found: Report, card: DatasetCard) -> str:
    """What to do with a run of a split whose targets only its server knows."""
    split = f"Only the server of {found['dataset']} knows the targets of {found['split']}, so there is no number here. "
    if "submissions" not in found:
        return (
            split + "It wants an answer to every query: finish the run with --resume and without --limit.\n"
        )
    return split + how_to_send(card, Path(found["folder"]), found["submissions"])
