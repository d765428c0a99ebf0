"""Any composed queries as JSON lines over a gallery that was indexed before.

One object a line: query_id, reference_id, modification_text (or text), target_ids, and optionally kind.
Images are named by their path inside the gallery's folder or by their id in the gallery.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import Dataset, DatasetQuery, checked_queries
from cir.evaluation.datasets.reading import Record
from cir.files import read_text
from cir.gallery.gallery import Gallery
from cir.text import clean_text
from cir.types import CirQuery


def open_dataset(path: Path, gallery: Gallery, *, keep_reference: bool = False) -> Dataset:
    """The queries of a file, over a gallery.

    Args:
        path: JSON lines.
        gallery: with image files.
        keep_reference: rank the reference, too.

    Raises:
        DatasetError: a line that is no such query, names an image that the gallery lacks, or repeats an id.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DatasetError(f"{path} cannot be read: {reason}.", "Give a file of JSON lines.") from error
    if gallery.root is None or not gallery.relatives:
        raise DatasetError(
            f"The images of {gallery.name} are not kept as files.", "Use a gallery made from a folder."
        )
    images = {
        i: os.fsdecode(relative) for i, relative in zip(gallery.image_ids, gallery.relatives, strict=True)
    }
    ids = {place: image_id for image_id, place in images.items()} | {
        image_id: image_id for image_id in images
    }
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    queries = checked_queries([_query(line, f"line {n} of {path.name}", ids) for n, line in rows], path.name)
    said = (
        "The reference is not left out. "
        if keep_reference
        else "The reference is left out of every ranking. "
    )
    said += "R@k: the first target is among the first k; mAP@k: mean of AP@k over all targets."
    return Dataset(
        path.stem, gallery.name, queries, images, images.keys(), gallery.root, not keep_reference, said
    )


def _query(line: str, place: str, ids: Mapping[str, str]) -> DatasetQuery:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{place[0].upper()}{place[1:]} is not whole: {error.msg}.", "Correct that line."
        ) from error
    query_id = Record(value, place).text("query_id")
    record = Record(value, f"query {query_id}, {place}")
    text = clean_text(record.text("modification_text" if record.has("modification_text") else "text"))[0]
    targets = record.items("target_ids", str)
    if not targets:
        raise DatasetError(f"Query {query_id}, {place}, has no targets.", "Name at least one in target_ids.")
    reference, *found = (_id(name, query_id, ids) for name in (record.text("reference_id"), *targets))
    kind = record.text("kind") if record.has("kind") and record.value["kind"] else ""
    return DatasetQuery(CirQuery(query_id, reference, text, tuple(dict.fromkeys(found)), kind), (text,))


def _id(name: str, query_id: str, ids: Mapping[str, str]) -> str:
    if name not in ids:
        raise DatasetError(
            f"Query {query_id} names the image {name[:60]!r}, which the gallery does not have.",
            "Name images by their path inside the gallery's folder.",
        )
    return ids[name]
