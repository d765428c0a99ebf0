"""What the servers of CIRR and CIRCO take: made from rankings, checked, and only then written.

Source: CIRR's Test-split_server.md (two files, metric "recall" with 50 names and "recall_subset" with 3, at
most 5 MB; a server and a second one) and CIRCO's README and submission examples (50 whole numbers for each query id).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cir.errors import DatasetError
from cir.evaluation.datasets.cirr import VERSION
from cir.evaluation.datasets.dataset import Dataset, DatasetQuery
from cir.evaluation.measures import without
from cir.evaluation.predictions import Rankings, check_ranking
from cir.text import counted

PLACES, SUBSET_PLACES = 50, 3
SERVERS = {
    "CIRR": "https://cirr.cecs.anu.edu.au (while it is away: https://cirr.junjie.au)",
    "CIRCO": "https://circo.micc.unifi.it",
}
# What each file is for; a server of one measure needs no word about it.
MEASURED = {"recall.json": "Recall@K", "recall_subset.json": "Recall_subset@K", "submission.json": "mAP@K"}
MAX_BYTES = 5 * 2**20


def submissions(dataset: Dataset, rankings: Rankings, subset_rankings: Rankings) -> dict[str, dict[str, Any]]:
    """File name -> content of everything that the dataset's server takes; nothing where there is no server.

    Args:
        dataset: CIRR or CIRCO.
        rankings: of every query, at least 50 places where there are as many images.
        subset_rankings: CIRR's, over the query's set.

    Raises:
        DatasetError: a query without an answer, a list that is too short, an image unknown or twice.
    """
    if dataset.name == "CIRCO":
        lists = _lists(dataset, rankings, PLACES, "submission.json")
        return {"submission.json": {key: [int(one) for one in row] for key, row in lists.items()}}
    if dataset.name == "CIRR":
        recall = _lists(dataset, rankings, PLACES, "recall.json")
        subset = _lists(dataset, subset_rankings, SUBSET_PLACES, "recall_subset.json")
        return {
            "recall.json": {"version": VERSION, "metric": "recall", **recall},
            "recall_subset.json": {"version": VERSION, "metric": "recall_subset", **subset},
        }
    return {}


def write_submissions(
    folder: Path, dataset: Dataset, rankings: Rankings, subset_rankings: Rankings
) -> list[Path]:
    """Check everything, then write it.

    Returns:
        The files.

    Raises:
        DatasetError: as `submissions`, or a file above the server's 5 MB.
    """
    made = submissions(dataset, rankings, subset_rankings)
    texts = {name: json.dumps(content) + "\n" for name, content in made.items()}
    for name, text in texts.items():
        if len(text.encode()) > MAX_BYTES:
            raise DatasetError(
                f"{name} is larger than 5 MB.", "The server takes no more: check the image names."
            )
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def how_to_send(dataset: str, folder: Path, names: Sequence[str]) -> str:
    """Which files of a run go to the dataset's server, and where that is, a line for each file."""
    files = "".join(f"  {folder / name}  ({MEASURED[name]})\n" for name in names)
    what = "both of these files" if len(names) > 1 else "this file"
    return f"Send {what} to the server of {dataset}, {SERVERS[dataset]}:\n{files}"


def _lists(dataset: Dataset, rankings: Rankings, places: int, name: str) -> dict[str, list[str]]:
    lists = {}
    for query in dataset.queries:
        if query.query_id not in rankings:
            raise DatasetError(
                f"{name}: query {query.query_id} was not answered.", "Finish the run: --resume"
            )
        lists[query.query_id] = _list(dataset, query, rankings[query.query_id], places, name)
    return lists


def _list(dataset: Dataset, query: DatasetQuery, ranked: Sequence[str], places: int, name: str) -> list[str]:
    if dataset.leaves_out_reference:
        ranked = without(ranked, query.query.reference_id)
    subset = places == SUBSET_PLACES
    known = query.members if subset else dataset.images
    check_ranking(name, query.query_id, ranked, known)
    wanted = min(places, len(known) - dataset.leaves_out_reference)
    if len(ranked) < wanted:
        raise DatasetError(
            f"{name}: query {query.query_id} has {counted(len(ranked), 'place')}, and the server wants {wanted}.",
            "Run the evaluation again with --k 50.",
        )
    return list(ranked[:places])
