"""Ranked ids that someone predicted: read, and refused by the name of the query when they cannot be scored.

A file is a JSON object: query id -> ranked image ids, best first. It knows no measure.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Container, Mapping, Sequence
from pathlib import Path

from cir.errors import BadQuery, DatasetError
from cir.evaluation.datasets.dataset import DatasetQuery
from cir.evaluation.datasets.reading import read_json

_WHAT = "an object of query id -> ranked image ids"
_HEADER = ("version", "metric")


def read_predictions(
    path: Path,
    queries: Sequence[DatasetQuery],
    known: Container[str],
    *,
    kind: type = str,
    header: Mapping[str, str] | None = None,
    within: Mapping[str, Collection[str]] | None = None,
) -> dict[str, list[str]]:
    """Read predictions for all queries of an annotation file.

    Args:
        path: the file.
        queries: all of them have to be answered, and no others.
        known: the images that may be named.
        kind: of an image id in the file: `int` for CIRCO, `str` for the others.
        header: entries that are no queries, with the value that they have to have where they are there.
        within: query id -> the images that its list may name (CIRR's sets).

    Returns:
        Query id -> ranked image ids as strings, in the order of `queries`.

    Raises:
        DatasetError: by the name of the query: unknown, missing, empty, an image unknown, twice, or no id at all.
    """
    rows = read_json(path, dict, _WHAT)
    for key in _HEADER if header is not None else ():
        _check_header(path, key, rows.pop(key, None), (header or {}).get(key))
    _same_queries(path, rows, queries)
    found = {}
    for query in queries:
        ranked = _ids(path, query.query_id, rows[query.query_id], kind)
        check_ranking(path.name, query.query_id, ranked, known)
        if within is not None:
            _inside(path, query.query_id, ranked, within[query.query_id])
        found[query.query_id] = ranked
    return found


def check_ranking(source: str, query_id: str, ranked: Sequence[str], known: Container[str]) -> None:
    """A list that can be scored: not empty, every image known, none twice.

    Raises:
        DatasetError: by the name of the query.
    """
    if not ranked:
        raise DatasetError(f"{source}: query {query_id} has no predictions.", "Give its ranked images.")
    places: dict[str, int] = {}
    for place, image_id in enumerate(ranked, start=1):
        if image_id in places:
            raise DatasetError(
                f"{source}: query {query_id} names the image {image_id} twice, "
                f"in places {places[image_id]} and {place}.",
                "Name each image once.",
            )
        if image_id not in known:
            raise DatasetError(
                f"{source}: query {query_id} names the image {image_id[:60]!r} in place {place}, which is not one "
                "of the split's.",
                "Predict for the split that the annotations belong to.",
            )
        places[image_id] = place


def _check_header(path: Path, key: str, value: object, wanted: str | None) -> None:
    if value is not None and wanted is not None and value != wanted:
        raise DatasetError(
            f"{path.name} says {key} {str(value)[:40]!r}, but {wanted!r} is scored here.",
            "Give the two files in their own options: --predictions (recall), --subset-predictions (recall_subset).",
        )


def _same_queries(path: Path, rows: Mapping[str, object], queries: Sequence[DatasetQuery]) -> None:
    wanted = {query.query_id for query in queries}
    if unknown := [key for key in rows if key not in wanted]:
        raise DatasetError(
            f"{path.name} answers a query {unknown[0][:60]!r}{_more(unknown)}, which the annotations do not have.",
            "Give the annotations that the predictions were made for.",
        )
    if missing := [query.query_id for query in queries if query.query_id not in rows]:
        raise DatasetError(
            f"{path.name} does not answer query {missing[0]}{_more(missing)}.",
            "Predict for every query: a mean over some of them could not be compared.",
        )


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _ids(path: Path, query_id: str, value: object, kind: type) -> list[str]:
    wanted = "a whole number" if kind is int else "text"
    if not isinstance(value, list):
        raise DatasetError(
            f"{path.name}: query {query_id} has {str(value)[:40]!r} instead of a list.", f"Write {_WHAT}."
        )
    for place, one in enumerate(value, start=1):
        if type(one) is not kind:  # bool is an int to isinstance, and NaN a float
            raise DatasetError(
                f"{path.name}: query {query_id} has {str(one)[:40]!r} in place {place}; an image id is {wanted}.",
                f"Write {_WHAT}.",
            )
    return [str(one) for one in value]


def _inside(path: Path, query_id: str, ranked: Sequence[str], members: Collection[str]) -> None:
    for image_id in ranked:
        if image_id not in members:
            raise DatasetError(
                f"{path.name}: query {query_id} names {image_id}, which is not in its image set.",
                "Rank the other five images of the query's set.",
            )


def given_predictions(options: Namespace) -> Path:
    """The file of predictions that a command was given.

    Raises:
        BadQuery: none.
    """
    if options.predictions is None:
        raise BadQuery("There are no predictions to score.", "Give them: --predictions FILE")
    return options.predictions
