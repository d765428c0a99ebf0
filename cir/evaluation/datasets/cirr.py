"""CIRR in its official layout.

That is `cirr/captions/cap.rc2.SPLIT.json`, `cirr/image_splits/split.rc2.SPLIT.json`, images in `train/`, `dev/` and
`test1/`.

Source: Liu et al., "Image Retrieval on Real-life Images with Pre-trained Vision-and-Language Models", ICCV
2021. The order of `img_set.members` says nothing; the reference is one of them. `test1` has no targets.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cir.errors import BadQuery, DatasetError
from cir.evaluation.datasets.dataset import (
    Dataset,
    DatasetCard,
    DatasetQuery,
    Option,
    Rankings,
    Report,
    Submission,
    checked_queries,
    require_known,
)
from cir.evaluation.datasets.reading import Record, first_file, read_json, split_beside
from cir.evaluation.measures import hit, soft_hit, without
from cir.evaluation.predictions import read_predictions
from cir.evaluation.scoring import Values, columns_at, means, percent, report_of, require_targets
from cir.evaluation.submission import PLACES, submitted
from cir.text import clean_text
from cir.types import CirQuery

KS, SUBSET_KS = (1, 5, 10, 50), (1, 2, 3)
SUBSET_PLACES = 3  # of a query's own set, that the server takes
SPLITS = ("train", "val", "test1")
VERSION = "rc2"
PROTOCOL = (
    "The reference is left out of every ranking. R@k: the target (target_hard) is among the first k of the split's "
    "images; R_subset@k: among the first k of the other five of its set. Avg: mean of R@5 and R_subset@1, as on the "
    "leaderboard; Avg_HyCIR: mean of R@1, R@5, R@10 and R@50, as in HyCIR."
)
SOFT_PROTOCOL = PROTOCOL.replace(
    "the target (target_hard) is", "the highest label of target_soft (negative counts as 0)"
)
_OFFICIAL_NAME = re.compile(r"(dev|test1|train)-\d+-\d+-img\d")


def read_queries(annotations: Path) -> tuple[DatasetQuery, ...]:
    """The queries of `cap.rc2.SPLIT.json`, by pair id.

    Raises:
        DatasetError: a file or a record that is not as published, by its name.
    """
    rows = read_json(annotations, list, "CIRR's captions")
    queries = [_query(row, i, annotations.name) for i, row in enumerate(rows)]
    return checked_queries(queries, annotations.name)


def _query(row: object, index: int, source: str) -> DatasetQuery:
    record = Record(row, f"record {index} of {source}")
    pair = record.number("pairid")
    record = Record(row, f"query {pair} of {source}")
    reference, members = record.text("reference"), tuple(record.record("img_set").items("members", str))
    targets = (record.text("target_hard"),) if record.has("target_hard") else ()
    if reference not in members or any(target not in members for target in targets):
        raise DatasetError(
            f"Query {pair} of {source}: its image set lacks the reference or the target.",
            "Take the file as it was published, or correct it there.",
        )
    # One caption of test1 is blank: it is asked as it is, since the server wants an answer to every query.
    text = clean_text(record.text("caption", blank=True))[0] or " "
    soft = record.labels("target_soft") if record.has("target_soft") else {}
    return DatasetQuery(
        CirQuery(str(pair), reference, text, targets), (text,), members=members, soft_targets=soft
    )


def read_split(path: Path) -> dict[str, str]:
    """Image name -> path inside the root, of `split.rc2.SPLIT.json`.

    Raises:
        DatasetError: it cannot be read, or a path leads out of the root.
    """
    found = {}
    for name, place in read_json(path, dict, "CIRR's image split").items():
        inside = PurePosixPath(place) if isinstance(place, str) else PurePosixPath("..")
        if inside.is_absolute() or ".." in inside.parts:
            raise DatasetError(
                f"{path.name}: the path of {name} is {str(place)[:60]!r}.",
                "Take the file as it was published, or correct it there.",
            )
        found[name] = str(inside)  # "./dev/x.png" -> "dev/x.png"
    return found


def open_dataset(root: Path, split: str = "val") -> Dataset:
    """A split of CIRR below `root`.

    Raises:
        DatasetError: no such split, or a file that is missing or not as published.
    """
    if split not in SPLITS:
        raise DatasetError(f"CIRR has no split {split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
    caption, listed = f"cap.{VERSION}.{split}.json", f"split.{VERSION}.{split}.json"
    annotations = first_file(
        (root / "cirr/captions" / caption, root / "captions" / caption, root / caption), "captions of CIRR"
    )
    images = first_file(
        (root / "cirr/image_splits" / listed, root / "image_splits" / listed, root / listed),
        "image splits of CIRR",
    )
    queries, names = read_queries(annotations), read_split(images)
    require_known(queries, names, images.name)
    return Dataset("CIRR", split, queries, names, names.keys(), root, True, PROTOCOL, CARD)


class KnownImages:
    """The images that a prediction may name: those of the split, where its list lies beside the annotations.

    Without the list, the members of all sets, and whatever is called as CIRR's images are.
    """

    def __init__(self, annotations: Path, queries: tuple[DatasetQuery, ...]) -> None:
        beside = split_beside(annotations)
        self._names = {name for query in queries for name in query.members}
        self._names |= set(read_split(beside)) if beside else set()
        self._whole = beside is not None

    def __contains__(self, image_id: object) -> bool:
        if image_id in self._names:
            return True
        return not self._whole and isinstance(image_id, str) and bool(_OFFICIAL_NAME.fullmatch(image_id))


def values_of(
    queries: Sequence[DatasetQuery],
    rankings: Rankings | None,
    subset_rankings: Rankings | None,
    *,
    soft: bool = False,
) -> Values:
    """R@k and R_subset@k of each query of CIRR. The reference is taken out of the lists first.

    Args:
        queries: with targets.
        rankings: over the images of the split; None leaves R@k out.
        subset_rankings: over the query's set; None leaves R_subset@k out.
        soft: score by `target_soft`, as the authors' own model is, instead of `target_hard`.
    """
    values: Values = {}
    for prefix, lists, ks in (("R", rankings, KS), ("R_subset", subset_rankings, SUBSET_KS)):
        if lists is None:
            continue
        cleared = [without(lists[q.query_id], q.query.reference_id) for q in queries]
        for k in ks:
            values[f"{prefix}@{k}"] = percent(
                soft_hit(ranked, q.soft_targets, k) if soft else hit(ranked, q.query.target_ids[0], k)
                for q, ranked in zip(queries, cleared, strict=True)
            )
    return values


def score(
    queries: Sequence[DatasetQuery],
    rankings: Rankings | None,
    subset_rankings: Rankings | None,
    *,
    soft: bool = False,
) -> Report:
    """CIRR's report; the averages are there when what they are made of is."""
    require_targets(queries, "CIRR")
    if soft and not all(q.soft_targets for q in queries):
        raise DatasetError("These annotations have no target_soft.", "Score by target_hard.")
    values = values_of(queries, rankings, subset_rankings, soft=soft)
    return report_of("CIRR", SOFT_PROTOCOL if soft else PROTOCOL, values, _averages(values))


def _averages(values: Values) -> dict[str, float]:
    found, averages = means(values), {}
    if {"R@5", "R_subset@1"} <= set(found):
        averages["Avg"] = (found["R@5"] + found["R_subset@1"]) / 2.0
    if "R@1" in found:
        averages["Avg_HyCIR"] = sum(found[f"R@{k}"] for k in KS) / len(KS)
    return averages


def score_files(options: Namespace) -> Report:
    """CIRR's report of predictions that someone made; of either measure, or of both.

    Raises:
        BadQuery: there are none.
        DatasetError: a file that is not as the server takes it.
    """
    queries = read_queries(options.annotations)
    known = KnownImages(options.annotations, queries)
    given = {"recall": options.predictions, "recall_subset": options.subset_predictions}
    if not any(given.values()):
        raise BadQuery(
            "There are no predictions to score.", "Give --predictions or --subset-predictions or both."
        )
    lists: dict[str, dict[str, list[str]] | None] = dict.fromkeys(given)
    for metric, path in given.items():
        if path is not None:
            within = {q.query_id: q.members for q in queries} if metric == "recall_subset" else None
            header = {"version": VERSION, "metric": metric}
            lists[metric] = read_predictions(path, queries, known, header=header, within=within)
    soft = options.labels == "target_soft"
    return score(queries, lists["recall"], lists["recall_subset"], soft=soft)


def _files(dataset: Dataset, rankings: Rankings, subset_rankings: Rankings) -> dict[str, dict[str, Any]]:
    recall = submitted(dataset, rankings, "recall.json", PLACES)
    subset = submitted(dataset, subset_rankings, "recall_subset.json", SUBSET_PLACES, own_sets=True)
    return {
        "recall.json": {"version": VERSION, "metric": "recall", **recall},
        "recall_subset.json": {"version": VERSION, "metric": "recall_subset", **subset},
    }


CARD = DatasetCard(
    "cirr",
    "CIRR",
    "Score predictions for CIRR (--annotations, --predictions), or run a method over it (--root).",
    (
        Option(
            "--subset-predictions",
            {"type": Path, "help": "JSON: pair id -> ranked images of its set"},
            only="scores",
        ),
        Option(
            "--labels",
            {
                "choices": ("target_hard", "target_soft"),
                "default": "target_hard",
                "help": "what counts as found when predictions are scored (default: target_hard)",
            },
            only="scores",
        ),
    ),
    lambda options, _: [open_dataset(options.root, options.split)],
    lambda _, queries, rankings, subsets: score(queries, rankings, subsets),
    (*columns_at("R", KS), "mean", *columns_at("R_subset", SUBSET_KS)),
    ("R@1", "R@10"),
    "R@1",
    splits=SPLITS,
    score_files=score_files,
    submission=Submission(
        _files,
        "https://cirr.cecs.anu.edu.au (while it is away: https://cirr.junjie.au)",
        {"recall.json": "Recall@K", "recall_subset.json": "Recall_subset@K"},
    ),
    preset="CIRCO / CIRR",
)
