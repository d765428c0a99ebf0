"""Any composed queries as JSON lines over a gallery that was indexed before; `query_fields` says what a line has.

Everything that is wrong with a file is told at once, line by line.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import Dataset, DatasetCard, DatasetQuery, Option, Rankings, Report
from cir.evaluation.datasets.query_fields import EXAMPLE, IMAGES, described
from cir.evaluation.measures import average_precision, hit
from cir.evaluation.scoring import Values, columns_at, percent, report_of
from cir.files import read_text
from cir.text import clean_text, counted
from cir.types import CirQuery

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery

KS, PRECISION_KS = (1, 5, 10, 50), (5, 10, 25, 50)
MOST_LINES = 20  # with something wrong, that are told in full


def open_dataset(path: Path, gallery: Gallery, *, keep_reference: bool = False) -> Dataset:
    """The queries of a file, over a gallery.

    Args:
        path: JSON lines.
        gallery: with image files.
        keep_reference: rank the reference, too.

    Raises:
        DatasetError: a line that is no such query, names an image that the gallery lacks, or repeats an id.
    """
    if gallery.root is None or not gallery.relatives:
        raise DatasetError(
            f"The images of {gallery.name} are not kept as files.", "Use a gallery made from a folder."
        )
    images = {
        i: os.fsdecode(relative) for i, relative in zip(gallery.image_ids, gallery.relatives, strict=True)
    }
    queries = read_queries(path, images)
    said = (
        "The reference is not left out. "
        if keep_reference
        else "The reference is left out of every ranking. "
    )
    said += "R@k: the first target is among the first k; mAP@k: mean of AP@k over all targets."
    return Dataset(
        path.stem, gallery.name, queries, images, images.keys(), gallery.root, not keep_reference, said, CARD
    )


def read_queries(path: Path, images: Mapping[str, str]) -> tuple[DatasetQuery, ...]:
    """The queries of a file, in its order; images by their id in the gallery.

    Args:
        path: JSON lines.
        images: image id -> path inside the gallery's folder.

    Raises:
        DatasetError: it cannot be read, has no queries, or lines that are none: all that is wrong, line by line.
    """
    ids = {place: image_id for image_id, place in images.items()} | {
        image_id: image_id for image_id in images
    }
    queries: list[DatasetQuery] = []
    wrong: list[str] = []
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        row, problems = _row(line)
        problems += _problems(row, ids, seen) if row is not None else []
        if isinstance(row, dict) and isinstance(row.get("query_id"), str):
            seen.setdefault(row["query_id"], number)
        if problems:
            wrong.append(f"line {number}: {'; '.join(problems)}")
        elif row is not None:
            queries.append(_query(row, ids))
    if wrong:
        more = [f"and {counted(len(wrong) - MOST_LINES, 'more line')}"] if len(wrong) > MOST_LINES else []
        told = "\n".join([f"{path.name} cannot be used as it is:", *wrong[:MOST_LINES], *more])
        raise DatasetError(told, f"{IMAGES} A line is, for example: {EXAMPLE}")
    if not queries:
        raise DatasetError(f"{path.name} has no queries.", f"Write one in each line, for example: {EXAMPLE}")
    return tuple(queries)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DatasetError(f"{path} cannot be read: {reason}.", "Give a file of JSON lines.") from error
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _row(line: str) -> tuple[dict[str, Any] | None, list[str]]:
    """What a line holds, or why it is nothing."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return None, [f"is not whole JSON: {error.msg}, column {error.colno}"]
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists in lists
        return None, ["is no JSON that can be read"]
    return (row, []) if isinstance(row, dict) else (None, ["is not an object"])


def _problems(row: Mapping[str, Any], ids: Mapping[str, str], seen: Mapping[str, int]) -> list[str]:
    """Everything that is wrong with an object, field by field."""
    found = [
        _text_problem(row, "query_id"),
        _text_problem(row, _text_field(row)),
        _text_problem(row, "reference_id"),
    ]
    if row.get("kind"):
        found.append(_text_problem(row, "kind"))
    if isinstance(row.get("query_id"), str) and row["query_id"] in seen:
        found.append(f"query_id {row['query_id'][:60]!r} is that of line {seen[row['query_id']]}, too")
    targets = row.get("target_ids")
    if "target_ids" not in row:
        found.append("has no target_ids")
    elif not isinstance(targets, list) or not targets or not all(isinstance(one, str) for one in targets):
        found.append(f"target_ids is {str(targets)[:60]!r}, not a list of images")
        targets = None
    named = [row.get("reference_id"), *(targets or [])]
    unknown = [
        one
        for one in dict.fromkeys(one for one in named if isinstance(one, str) and one.strip())
        if one not in ids
    ]
    found += [f"the gallery has no image {one[:60]!r}" for one in unknown]
    return [problem for problem in found if problem]


def _text_field(row: Mapping[str, Any]) -> str:
    return "text" if "text" in row and "modification_text" not in row else "modification_text"


def _text_problem(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        return f"has no {name}"
    value = row[name]
    return "" if isinstance(value, str) and value.strip() else f"{name} is {str(value)[:60]!r}, not text"


def _query(row: Mapping[str, Any], ids: Mapping[str, str]) -> DatasetQuery:
    text = clean_text(row[_text_field(row)])[0]
    reference, *targets = (ids[one] for one in (row["reference_id"], *row["target_ids"]))
    query = CirQuery(row["query_id"], reference, text, tuple(dict.fromkeys(targets)), row.get("kind") or "")
    return DatasetQuery(query, (text,))


def score(name: str, queries: Sequence[DatasetQuery], rankings: Rankings, protocol: str) -> Report:
    """The report of a file of queries, by kind of edit too where the queries have one."""
    values: Values = {
        f"R@{k}": percent(hit(rankings[q.query_id], q.query.target_ids[0], k) for q in queries) for k in KS
    }
    values |= {
        f"mAP@{k}": percent(average_precision(rankings[q.query_id], q.query.target_ids, k) for q in queries)
        for k in PRECISION_KS
    }
    kinds = sorted({q.query.kind for q in queries} - {""})
    rows = {kind: values["R@1"][[q.query.kind == kind for q in queries]] for kind in kinds}
    by_kind = {kind: {"R@1": float(np.mean(row)), "queries": len(row)} for kind, row in rows.items()}
    return report_of(name, protocol, values, {"by_kind": by_kind} if kinds else {})


def _open(options: Namespace, gallery: Gallery | None) -> Sequence[Dataset]:
    assert gallery is not None, "the card says that a gallery is searched"
    return [open_dataset(options.queries, gallery, keep_reference=options.keep_reference)]


_ABOUT = "Run a method over queries of your own: JSON lines over an indexed gallery."
CARD = DatasetCard(
    "jsonl",
    "queries of your own",
    _ABOUT,
    (
        Option(
            "--queries",
            {
                "type": Path,
                "required": True,
                "help": "JSON lines of queries; their fields: evaluate jsonl --help",
            },
        ),
        Option("--keep-reference", {"action": "store_true", "help": "rank the reference, too"}),
        Option("--gallery", {"help": "a gallery's name, or the folder that it was indexed from"}),
    ),
    _open,
    lambda dataset, queries, rankings, _: score(dataset.name, queries, rankings, dataset.protocol),
    (*columns_at("R", KS), "mean"),
    ("R@1", "R@10"),
    "R@1",
    about=f"{_ABOUT} {described()}",
    searches_gallery=True,
)
