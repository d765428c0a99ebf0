"""CIRCO in its official layout: `annotations/SPLIT.json`, images of COCO 2017 unlabeled with their list.

Source: Baldrati et al., "Zero-Shot Composed Image Retrieval with Textual Inversion", ICCV 2023. A query has
one or more targets, the first written here is the one that the text was written for. `test` has none. The
reference is not left out of a ranking: so does the benchmark's own code.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import (
    Dataset,
    DatasetCard,
    DatasetQuery,
    Rankings,
    Report,
    Submission,
    checked_queries,
    require_known,
)
from cir.evaluation.datasets.reading import Record, first_file, read_json
from cir.evaluation.measures import average_precision, hit
from cir.evaluation.predictions import given_predictions, read_predictions
from cir.evaluation.scoring import Values, columns_at, percent, report_of, require_targets
from cir.evaluation.submission import PLACES, submitted
from cir.text import clean_text
from cir.types import CirQuery

KS = (5, 10, 25, 50)
SPLITS = ("val", "test")
IMAGE_FOLDER = "COCO2017_unlabeled"
COCO_IDS_END = 600_000  # every image id of COCO, labelled or not, is below
PROTOCOL = (
    "The reference is not left out. mAP@k: mean over queries of AP@k over all targets; Recall@k: the target that the "
    "text was written for is among the first k; semantic mAP@10: mAP@10 of the queries with an aspect."
)
ASPECTS = (
    "cardinality",
    "addition",
    "negation",
    "direct_addressing",
    "compare_change",
    "comparative_statement",
    "statement_with_conjunction",
    "spatial_relations_background",
    "viewpoint",
)


def read_queries(annotations: Path) -> tuple[DatasetQuery, ...]:
    """The queries of `SPLIT.json`, by id.

    Raises:
        DatasetError: a file or a record that is not as published, by its name.
    """
    rows = read_json(annotations, list, "CIRCO's annotations")
    queries = [_query(row, i, annotations.name) for i, row in enumerate(rows)]
    return checked_queries(queries, annotations.name)


def _query(row: object, index: int, source: str) -> DatasetQuery:
    query_id = Record(row, f"record {index} of {source}").number("id")
    record = Record(row, f"query {query_id} of {source}")
    targets: tuple[str, ...] = ()
    if record.has("gt_img_ids"):
        intended, found = record.number("target_img_id"), record.items("gt_img_ids", int)
        if intended not in found:
            raise DatasetError(
                f"Query {query_id} of {source}: its target is not among its ground truth.",
                "Take the file as it was published, or correct it there.",
            )
        targets = tuple(dict.fromkeys(str(one) for one in (intended, *found)))
    text = clean_text(record.text("relative_caption"))[0]
    aspects = tuple(record.items("semantic_aspects", str)) if record.has("semantic_aspects") else ()
    reference = str(record.number("reference_img_id"))
    return DatasetQuery(CirQuery(str(query_id), reference, text, targets), (text,), aspects=aspects)


def read_images(path: Path, folder: str) -> dict[str, str]:
    """Image id -> path, of `image_info_unlabeled2017.json`.

    Raises:
        DatasetError: it cannot be read, or a file name leads elsewhere.
    """
    listed = Record(read_json(path, dict, "COCO's list of images"), path.name).items("images", dict)
    found = {}
    for i, row in enumerate(listed):
        record = Record(row, f"image {i} of {path.name}")
        name = record.text("file_name")
        if "/" in name or "\\" in name or name.startswith("."):
            raise DatasetError(
                f"{path.name}: an image is called {name[:60]!r}.",
                "Take the file as it was published, or correct it there.",
            )
        found[str(record.number("id"))] = f"{folder}/{name}"
    return found


def open_dataset(root: Path, split: str = "val") -> Dataset:
    """A split of CIRCO below `root`; its images are all of COCO 2017 unlabeled.

    Raises:
        DatasetError: no such split, or a file that is missing or not as published.
    """
    if split not in SPLITS:
        raise DatasetError(f"CIRCO has no split {split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
    annotations = first_file(
        (root / "annotations" / f"{split}.json", root / f"{split}.json"), "annotations of CIRCO"
    )
    info = first_file(
        (root / IMAGE_FOLDER / "annotations" / "image_info_unlabeled2017.json",), "lists of COCO's images"
    )
    queries = read_queries(annotations)
    images = read_images(info, f"{IMAGE_FOLDER}/unlabeled2017")
    require_known(queries, images, info.name)
    return Dataset("CIRCO", split, queries, images, images.keys(), root, False, PROTOCOL, CARD)


class KnownImages:
    """The images that a prediction may name: those of COCO's list where it lies beside, else ids of its range."""

    def __init__(self, annotations: Path) -> None:
        info = annotations.parent.parent / IMAGE_FOLDER / "annotations" / "image_info_unlabeled2017.json"
        self._ids = set(read_images(info, "")) if info.is_file() else None

    def __contains__(self, image_id: object) -> bool:
        if self._ids is not None:
            return image_id in self._ids
        return isinstance(image_id, str) and image_id.isdecimal() and 0 < int(image_id) < COCO_IDS_END


def values_of(queries: Sequence[DatasetQuery], rankings: Rankings) -> Values:
    """AP@k over all targets, and Recall@k on the target that the text was written for, of each query of CIRCO."""
    pairs = [(q.query.target_ids, rankings[q.query_id]) for q in queries]
    values = {f"mAP@{k}": percent(average_precision(top, set(ids), k) for ids, top in pairs) for k in KS}
    return values | {f"Recall@{k}": percent(hit(top, ids[0], k) for ids, top in pairs) for k in KS}


def score(queries: Sequence[DatasetQuery], rankings: Rankings) -> Report:
    """CIRCO's report, with the semantic mAP@10 of every aspect that a query has."""
    require_targets(queries, "CIRCO")
    values = values_of(queries, rankings)
    named = {aspect for query in queries for aspect in query.aspects}
    semantic = {
        aspect: float(np.mean(values["mAP@10"][[aspect in query.aspects for query in queries]]))
        for aspect in (*ASPECTS, *sorted(named.difference(ASPECTS)))
        if aspect in named
    }
    return report_of("CIRCO", PROTOCOL, values, {"semantic_mAP@10": semantic})


def score_files(options: Namespace) -> Report:
    """CIRCO's report of predictions that someone made."""
    queries = read_queries(options.annotations)
    known = KnownImages(options.annotations)
    return score(queries, read_predictions(given_predictions(options), queries, known, kind=int))


def _kinds(queries: Sequence[DatasetQuery]) -> Mapping[str, Sequence[str]]:
    aspects = sorted({aspect for query in queries for aspect in query.aspects})
    return {a.replace("_", " "): [q.query_id for q in queries if a in q.aspects] for a in aspects}


def _files(dataset: Dataset, rankings: Rankings, _: Rankings) -> dict[str, dict[str, Any]]:
    lists = submitted(dataset, rankings, "submission.json", PLACES)
    return {"submission.json": {key: [int(one) for one in row] for key, row in lists.items()}}


CARD = DatasetCard(
    "circo",
    "CIRCO",
    "Score predictions for CIRCO (--annotations, --predictions), or run a method over it (--root).",
    (),
    lambda options, _: [open_dataset(options.root, options.split)],
    lambda _, queries, rankings, __: score(queries, rankings),
    columns_at("mAP", KS),
    ("mAP@5", "mAP@10"),
    "mAP@10",
    splits=SPLITS,
    score_files=score_files,
    submission=Submission(_files, "https://circo.micc.unifi.it", {"submission.json": "mAP@K"}),
    preset="CIRCO / CIRR",
    kinds=_kinds,
    kinds_are="semantic aspect",
)
