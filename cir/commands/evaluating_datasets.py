"""`python -m cir evaluate circo | cirr | fashioniq | jsonl`: score predictions, or run a method."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cir import __version__
from cir.application import build_composers, build_models, gallery_cache, open_for
from cir.commands.evaluating import PATIENCE_SECONDS
from cir.composers.composer import Composer
from cir.composers.cvsi import PAPER_PRESETS, CvsiSettings
from cir.errors import BadQuery
from cir.evaluation import scoring
from cir.evaluation.answers import AnswerBook
from cir.evaluation.datasets import circo, cirr, fashioniq, queries_file
from cir.evaluation.datasets.dataset import Dataset
from cir.evaluation.kept import CaptionBook, read_lines
from cir.evaluation.predictions import read_predictions
from cir.evaluation.run import Run, index_dataset
from cir.gallery import Gallery
from cir.models.catalog import Models
from cir.retriever import Retriever
from cir.types import Weights

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
        sys.stdout.write(json.dumps(found) + "\n")
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
        if options.dataset == "jsonl":
            gallery = open_for(models, options.gallery)
            dataset = queries_file.open_dataset(
                options.queries, gallery, keep_reference=options.keep_reference
            )
            return _one(options, models, dataset, gallery)
        reports = {}
        for dataset in _datasets(options):
            reports[dataset.name] = _one(options, models, dataset, _indexed(options, models, dataset))
        if len(reports) == 1:
            return next(iter(reports.values()))
        return scoring.mean_over_categories(
            reports, fashioniq.protocol(options.order, options.searched_images)
        )
    finally:
        models.close()


def _datasets(options: argparse.Namespace) -> list[Dataset]:
    if options.dataset == "circo":
        return [circo.open_dataset(options.root, options.split)]
    if options.dataset == "cirr":
        return [cirr.open_dataset(options.root, options.split)]
    categories = fashioniq.CATEGORIES if options.category == "all" else (options.category,)
    return [
        fashioniq.open_dataset(
            options.root, category, options.split, order=options.order, gallery=options.searched_images
        )
        for category in categories
    ]


def _indexed(options: argparse.Namespace, models: Models, dataset: Dataset) -> Gallery:
    found = index_dataset(
        dataset,
        image_encoder=models.clip,
        text_encoder=models.clip,
        captioner=models.captioner,
        captions_per_image=options.gallery_captions,
        cache_root=gallery_cache(),
        batch_size=options.batch_size,
        say=_say,
    )
    sys.stderr.write("\n")
    return found


def _one(options: argparse.Namespace, models: Models, dataset: Dataset, gallery: Gallery) -> Report:
    """One dataset, or one category of it."""
    # Captions and answers do not depend on the method, so all runs of a benchmark share them.
    base = (options.out or gallery_cache() / "evaluations") / _file_name(f"{dataset.name}-{dataset.split}")
    base.mkdir(parents=True, exist_ok=True)
    composers = build_composers(_with_books(models, base), settings=CvsiSettings(captions=options.captions))
    method = _method(options.method, composers)
    weights = _weights(options, composers[method], dataset.name)
    run = Run(
        dataset,
        Retriever(gallery, {method: composers[method]}),
        method,
        weights,
        base / _file_name(_run_name(options, method)),
        _manifest(options, models, dataset, gallery, method, weights),
        options.k,
    )
    found = run.answer(limit=options.limit, resume=options.resume, say=_say)
    sys.stderr.write("\n")
    return found | {"folder": str(run.folder)}


def _with_books(models: Models, folder: Path) -> Models:
    """The same models, whose captions of references and answers are written down in `folder`."""
    kept = copy.copy(models)
    books: dict[str, object] = {}
    if models.captioner is not None:
        name = _file_name(f"captions-{models.captioner.fingerprint}.jsonl")
        books["captioner"] = CaptionBook(folder / name, models.captioner)
    if models.language_model is not None:
        models.language_model.deadline_seconds = PATIENCE_SECONDS
        path = folder / _file_name(f"answers-{models.language_model.fingerprint}.jsonl")
        read_lines(path)  # takes off a line that a stop has cut short
        books["language_model"] = AnswerBook(path, models.language_model)
    vars(kept).update(books)  # both are cached properties: these are what they found
    return kept


def _method(asked: str, composers: Mapping[str, Composer]) -> str:
    for name in composers:
        if name.lower() == asked.lower():
            return name
    raise BadQuery(f"There is no method called {asked!r} here.", f"Choose one of: {', '.join(composers)}.")


def _weights(options: argparse.Namespace, composer: Composer, dataset: str) -> Weights:
    """CVSI's are the paper's for this benchmark; of a file of queries, and of other methods, the method's own."""
    start = composer.default_weights
    if composer.name == "CVSI" and options.dataset != "jsonl":
        start = PAPER_PRESETS["FashionIQ" if dataset.startswith("FashionIQ") else "CIRCO / CIRR"]
    given = {name: getattr(options, name) for name in ("alpha", "beta", "gamma")}
    if all(value is None for value in given.values()):
        return start
    chosen = {name: getattr(start, name) if value is None else value for name, value in given.items()}
    return Weights(**chosen)


def _manifest(
    options: argparse.Namespace,
    models: Models,
    dataset: Dataset,
    gallery: Gallery,
    method: str,
    weights: Weights,
) -> dict[str, Any]:
    return {
        "version": __version__,
        "dataset": dataset.name,
        "split": dataset.split,
        "queries": len(dataset.queries),
        "protocol": dataset.protocol,
        "searched": len(gallery),
        "method": method,
        "weights": asdict(weights),
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


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text.lower())


def _say(sentence: str) -> None:
    sys.stderr.write(f"\r{sentence:<79}")
    sys.stderr.flush()


def _print(found: Report) -> None:
    out = sys.stdout.write
    out(f"{found['dataset']}, {found['queries']} queries. {found['protocol']}\n")
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
        out(f"note on {count} queries: {note}\n")
    if "folder" in found:
        out(f"Results, report and submission files: {found['folder']}\n")
