"""`python -m cir evaluate circo | cirr | fashioniq | jsonl`: score predictions, or run a method."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cir import __version__
from cir.application import build_models, ingredients
from cir.cache_keys import code_digest, digest_of, gallery_digest
from cir.commands.console import print_json
from cir.commands.values import method_values
from cir.composers.composer import Composer
from cir.composers.cvsi import CvsiSettings
from cir.composers.parameters import Values
from cir.composers.registry import build_methods
from cir.errors import BadQuery
from cir.evaluation import scoring
from cir.evaluation.composed import METHODS_CODE
from cir.evaluation.datasets import circo, cirr, fashioniq
from cir.evaluation.datasets.dataset import Dataset
from cir.evaluation.predictions import read_predictions
from cir.evaluation.run import Run
from cir.evaluation.submission import how_to_send
from cir.gallery.gallery import Gallery
from cir.measuring.datasets import book_folder, books_of, file_name, opened, say, starting_weights
from cir.models.model_set import Models
from cir.ranking.retriever import Retriever
from cir.text import counted

Report = dict[str, Any]
_SCORE_OR_RUN = "Score predictions: --annotations FILE --predictions FILE. Or run a method: --root FOLDER."


def evaluate_dataset(options: argparse.Namespace) -> int:
    """Print a report: of predictions, or of a run."""
    if options.dataset == "jsonl":
        found = _run(options)
    elif options.annotations is not None:
        found = {"circo": _score_circo, "cirr": _score_cirr, "fashioniq": _score_fashioniq}[options.dataset](
            options
        )
    elif options.root is not None:
        found = _run(options)
    else:
        raise BadQuery("There is nothing to score and nothing to run.", _SCORE_OR_RUN)
    if options.json:
        print_json(found)
    else:
        _print(found)
    return 0


# --- predictions that someone made ---


def _score_circo(options: argparse.Namespace) -> Report:
    queries = circo.read_queries(options.annotations)
    known = circo.KnownImages(options.annotations)
    return scoring.score_circo(queries, read_predictions(_predictions(options), queries, known, kind=int))


def _score_cirr(options: argparse.Namespace) -> Report:
    queries = cirr.read_queries(options.annotations)
    known = cirr.KnownImages(options.annotations, queries)
    lists: dict[str, dict[str, list[str]] | None] = {"recall": None, "recall_subset": None}
    if options.predictions is None and options.subset_predictions is None:
        raise BadQuery(
            "There are no predictions to score.", "Give --predictions or --subset-predictions or both."
        )
    given = {"recall": options.predictions, "recall_subset": options.subset_predictions}
    for metric, path in given.items():
        if path is not None:
            within = {q.query_id: q.members for q in queries} if metric == "recall_subset" else None
            header = {"version": cirr.VERSION, "metric": metric}
            lists[metric] = read_predictions(path, queries, known, header=header, within=within)
    soft = options.labels == "target_soft"
    return scoring.score_cirr(queries, lists["recall"], lists["recall_subset"], soft=soft)


def _score_fashioniq(options: argparse.Namespace) -> Report:
    queries = fashioniq.read_queries(options.annotations)
    known = fashioniq.KnownImages(options.annotations, queries)
    rankings = read_predictions(_predictions(options), queries, known)
    found = scoring.score_fashioniq(queries, rankings, fashioniq.SCORING_PROTOCOL)
    return found | {"category": options.category}


def _predictions(options: argparse.Namespace) -> Path:
    if options.predictions is None:
        raise BadQuery("There are no predictions to score.", "Give them: --predictions FILE")
    return options.predictions


# --- a method over a benchmark ---


def _run(options: argparse.Namespace) -> Report:
    models = build_models(options.models, llm=options.llm)
    try:
        reports = {
            dataset.name: _one(options, models, dataset, gallery)
            for dataset, gallery in opened(options, models)
        }
        if len(reports) == 1:
            return next(iter(reports.values()))
        return scoring.mean_over_categories(
            reports, fashioniq.protocol(options.order, options.searched_images)
        )
    finally:
        models.close()


def _one(options: argparse.Namespace, models: Models, dataset: Dataset, gallery: Gallery) -> Report:
    """One dataset, or one category of it."""
    base = book_folder(dataset, options.out)
    books = books_of(models, base)
    given = ingredients(models, settings=CvsiSettings(captions=options.captions))
    composers = build_methods(replace(given, captioner=books.captioner, language_model=books.answers))
    method = _method(options.method, composers)
    values = _values(options, composers[method])
    run = Run(
        dataset,
        Retriever(gallery, {method: composers[method]}),
        method,
        values,
        base / file_name(_run_name(options, method)),
        _manifest(options, models, dataset, gallery, method, values),
        options.k,
    )
    found = run.answer(limit=options.limit, resume=options.resume, say=say)
    sys.stderr.write("\n")
    return found | {"folder": str(run.folder)}


def _method(asked: str, composers: Mapping[str, Composer]) -> str:
    for name in composers:
        if name.lower() == asked.lower():
            return name
    raise BadQuery(f"There is no method called {asked!r} here.", f"Choose one of: {', '.join(composers)}.")


def _values(options: argparse.Namespace, composer: Composer) -> Values:
    return method_values(options, composer, starting_weights(composer, options.dataset))


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
        "program": code_digest(*METHODS_CODE, "ranking", "evaluation"),
        "protocol": dataset.protocol,
        "searched": len(gallery),
        "method": method,
        "weights": dict(values),
        "models": dict(models.fingerprints),
        "captions_of_the_reference": options.captions,
        "captions_of_gallery_images": options.gallery_captions
        if options.dataset != "jsonl"
        else "as indexed",
        "places": options.k,
    }


def _run_name(options: argparse.Namespace, method: str) -> str:
    variant = f"-{options.order}-{options.searched_images}" if options.dataset == "fashioniq" else ""
    return f"{method}-{options.models}{variant}"


def _print(found: Report) -> None:
    out = sys.stdout.write
    out(f"{found['dataset']}, {counted(found['queries'], 'query', 'queries')}. {found['protocol']}\n")
    intervals = found.get("intervals", {})
    for name, value in found.items():
        if isinstance(value, float):
            low_high = "  ({:.2f} to {:.2f})".format(*intervals[name]) if name in intervals else ""
            out(f"{name:<14} {value:6.2f}{low_high}\n")
    for aspect, value in found.get("semantic_mAP@10", {}).items():
        out(f"semantic mAP@10, {aspect.replace('_', ' ')}: {value:.2f}\n")
    for name, row in found.get("categories", {}).items():
        out(f"{name}: R@10 {row['R@10']:.2f}, R@50 {row['R@50']:.2f}\n")
    for note, count in found.get("notes", {}).items():
        out(f"note on {counted(count, 'query', 'queries')}: {note}\n")
    if found.get("hidden_targets"):
        out(_for_the_server(found))
    if "folder" in found:
        out(f"Results, report and submission files: {found['folder']}\n")


def _for_the_server(found: Report) -> str:
    """What to do with a run of a split whose targets only its server knows."""
    split = f"Only the server of {found['dataset']} knows the targets of {found['split']}, so there is no number here. "
    if "submissions" not in found:
        return (
            split + "It wants an answer to every query: finish the run with --resume and without --limit.\n"
        )
    return split + how_to_send(found["dataset"], Path(found["folder"]), found["submissions"])
