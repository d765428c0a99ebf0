"""FashionIQ in its official layout.

That is `captions/cap.CATEGORY.SPLIT.json`, `image_splits/split.CATEGORY.SPLIT.json`, images in `images/`, called by
their ids.

Source: Wu et al., "Fashion IQ: A New Dataset Towards Retrieving Images by Natural Language Feedback", CVPR
2021. Every query has two captions, joined by "and". Papers differ in the order and in the gallery, and so
in their numbers: CVSI and CIReVL take one order, SEARLE and LinCIR the mean of both, Pic2Word the reversed
one; the VAL gallery (references and targets only) gives several points more than the original split.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import (
    Dataset,
    DatasetCard,
    DatasetQuery,
    Option,
    Rankings,
    Report,
    checked_queries,
    require_known,
)
from cir.evaluation.datasets.reading import Record, first_file, read_json, split_beside
from cir.evaluation.measures import hit
from cir.evaluation.predictions import given_predictions, read_predictions
from cir.evaluation.scoring import Values, columns_at, means, percent, report_of, require_targets
from cir.text import clean_text, counted
from cir.types import CirQuery

CATEGORIES = ("dress", "shirt", "toptee")
KS = (10, 50)
SPLITS = ("train", "val")
ORDERS = ("forward", "reversed", "both")
GALLERIES = ("original", "VAL")
_SAID_ORDER = {
    "forward": 'the captions as "first and second"',
    "reversed": 'the captions as "second and first"',
    "both": "the mean of the features of both orders of the captions",
}
_SAID_GALLERY = {
    "original": "the images of the original split",
    "VAL": "the references and targets alone (the VAL split)",
}
_ASIN = re.compile(r"[A-Z0-9]{10}")
_SUFFIXES = (".png", ".jpg", ".jpeg")


def protocol(order: str, gallery: str) -> str:
    """How it is measured, in a sentence."""
    return (
        f"Query: {_SAID_ORDER[order]}. Searched: {_SAID_GALLERY[gallery]}. The reference is not left out. "
        "R@k: the target is among the first k; over categories, their mean."
    )


SCORING_PROTOCOL = "R@k: the target is among the first k of the predicted images, as they are; the reference is not left out."


def read_queries(annotations: Path, order: str = "forward") -> tuple[DatasetQuery, ...]:
    """The queries of `cap.CATEGORY.SPLIT.json`, by their place in the file, from 0.

    Args:
        annotations: the file.
        order: of the two captions; "both" gives two texts whose features are averaged.

    Raises:
        DatasetError: a file or a record that is not as published, by its name.
    """
    if order not in ORDERS:
        raise DatasetError(f"There is no caption order {order!r}.", f"Choose one of: {', '.join(ORDERS)}.")
    rows = read_json(annotations, list, "FashionIQ's captions")
    queries = [_query(row, i, annotations.name, order) for i, row in enumerate(rows)]
    return checked_queries(queries, annotations.name)


def _query(row: object, index: int, source: str, order: str) -> DatasetQuery:
    record = Record(row, f"query {index} of {source}")
    captions = record.items("captions", str)
    if len(captions) != 2:
        raise DatasetError(
            f"Query {index} of {source} has {counted(len(captions), 'caption')}, not 2.",
            "Take the file as published.",
        )
    first, second = (clean_text(caption)[0].strip(".?, ") for caption in captions)
    forward, reverse = f"{first} and {second}", f"{second} and {first}"
    texts = {"forward": (forward,), "reversed": (reverse,), "both": (forward, reverse)}[order]
    target = (record.text("target"),) if record.has("target") else ()
    return DatasetQuery(CirQuery(str(index), record.text("candidate"), texts[0], target), texts)


def read_split(path: Path) -> list[str]:
    """The image ids of `split.CATEGORY.SPLIT.json`.

    Raises:
        DatasetError: it cannot be read, or holds something that is no id.
    """
    found = read_json(path, list, "FashionIQ's image split")
    for name in found:
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise DatasetError(
                f"{path.name} has the image id {str(name)[:60]!r}.", "Take the file as published."
            )
    return found


def open_dataset(
    root: Path, category: str, split: str = "val", *, order: str = "forward", gallery: str = "original"
) -> Dataset:
    """One category of a split of FashionIQ below `root`.

    Args:
        root: holds `captions`, `image_splits` and `images`.
        category: "dress", "shirt" or "toptee".
        split: "train" or "val".
        order: of the captions, see `read_queries`.
        gallery: "original" or "VAL".

    Raises:
        DatasetError: no such category, split or gallery, or a file that is missing or not as published.
    """
    for value, choices in ((category, CATEGORIES), (split, SPLITS), (gallery, GALLERIES)):
        if value not in choices:
            raise DatasetError(f"FashionIQ has no {value!r}.", f"Choose one of: {', '.join(choices)}.")
    caption, listed = f"cap.{category}.{split}.json", f"split.{category}.{split}.json"
    annotations = first_file((root / "captions" / caption, root / caption), "captions of FashionIQ")
    images = first_file((root / "image_splits" / listed, root / listed), "image splits of FashionIQ")
    queries, names = read_queries(annotations, order), read_split(images)
    paths = _image_paths(root, names)
    require_known(queries, paths, images.name)
    used = {name for q in queries for name in (q.query.reference_id, *q.query.target_ids)}
    searched = list(paths) if gallery == "original" else [name for name in paths if name in used]
    said = protocol(order, gallery)
    return Dataset(f"FashionIQ {category}", split, queries, paths, searched, root, False, said, CARD)


def _image_paths(root: Path, names: list[str]) -> dict[str, str]:
    folder = root / "images"
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    endings = {name: next((s for s in _SUFFIXES if name + s in there), _SUFFIXES[0]) for name in names}
    return {name: f"images/{name}{ending}" for name, ending in endings.items()}


class KnownImages:
    """The images that a prediction may name: those of the split, where its list lies beside the annotations.

    Without the list, references and targets, and whatever is called as FashionIQ's images are.
    """

    def __init__(self, annotations: Path, queries: tuple[DatasetQuery, ...]) -> None:
        beside = split_beside(annotations)
        self._names = {name for q in queries for name in (q.query.reference_id, *q.query.target_ids)}
        self._names |= set(read_split(beside)) if beside else set()
        self._whole = beside is not None

    def __contains__(self, image_id: object) -> bool:
        if image_id in self._names:
            return True
        return not self._whole and isinstance(image_id, str) and bool(_ASIN.fullmatch(image_id))


def values_of(queries: Sequence[DatasetQuery], rankings: Rankings) -> Values:
    """R@10 and R@50 of each query of a category of FashionIQ."""
    return {
        f"R@{k}": percent(hit(rankings[q.query_id], q.query.target_ids[0], k) for q in queries) for k in KS
    }


def score(queries: Sequence[DatasetQuery], rankings: Rankings, protocol: str) -> Report:
    """A category's report."""
    require_targets(queries, "FashionIQ")
    values = values_of(queries, rankings)
    return report_of("FashionIQ", protocol, values, {"Avg": float(np.mean(list(means(values).values())))})


def mean_over_categories(reports: Mapping[str, Report], protocol: str) -> Report:
    """FashionIQ's headline: the mean of the categories' measures, each category counting once."""
    keys = [*(f"R@{k}" for k in KS), "Avg"]
    return {
        "dataset": "FashionIQ",
        "protocol": protocol,
        "queries": sum(report["queries"] for report in reports.values()),
        **{key: float(np.mean([report[key] for report in reports.values()])) for key in keys},
        "categories": dict(reports),
    }


def score_files(options: Namespace) -> Report:
    """A category's report of predictions that someone made."""
    queries = read_queries(options.annotations)
    known = KnownImages(options.annotations, queries)
    rankings = read_predictions(given_predictions(options), queries, known)
    return score(queries, rankings, SCORING_PROTOCOL) | {"category": options.category}


def _open(options: Namespace, _: object) -> list[Dataset]:
    categories = CATEGORIES if options.category == "all" else (options.category,)
    return [
        open_dataset(
            options.root, category, options.split, order=options.order, gallery=options.searched_images
        )
        for category in categories
    ]


def _variant(options: Namespace) -> list[str]:
    order = [options.order] if options.order != "forward" else []
    return order + (["val-gallery"] if options.searched_images == "VAL" else [])


CARD = DatasetCard(
    "fashioniq",
    "FashionIQ",
    "Score predictions for FashionIQ (--annotations, --predictions), or run a method over it (--root).",
    (
        Option("--category", {"choices": (*CATEGORIES, "all"), "default": "all"}),
        Option(
            "--order",
            {
                "choices": ORDERS,
                "default": "forward",
                "help": "of the two captions (default: forward, as CVSI; SEARLE and LinCIR: both; Pic2Word: reversed)",
            },
            only="runs",
        ),
        Option(
            "--gallery",
            {
                "choices": GALLERIES,
                "default": "original",
                "help": "FashionIQ: search the original split, or its references and targets alone (VAL)",
            },
            "searched_images",
            "runs",
        ),
    ),
    _open,
    lambda dataset, queries, rankings, _: score(queries, rankings, dataset.protocol),
    (*columns_at("R", KS), "mean"),
    ("R@10", "R@50"),
    "R@10",
    splits=SPLITS,
    score_files=score_files,
    preset="FashionIQ",
    variant=_variant,
    overall=lambda reports, options: mean_over_categories(
        reports, protocol(options.order, options.searched_images)
    ),
)
