"""What the servers of benchmarks take: made from rankings, checked, and only then written.

Source: CIRR's Test-split_server.md (two files, metric "recall" with 50 names and "recall_subset" with 3, at
most 5 MB; a server and a second one) and CIRCO's README and submission examples (50 whole numbers for each query id).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from cir.errors import DatasetError
from cir.evaluation.datasets.dataset import Dataset, DatasetCard, DatasetQuery, Rankings
from cir.evaluation.measures import without
from cir.evaluation.predictions import check_ranking
from cir.text import counted

PLACES = 50  # of each ranking
MAX_BYTES = 5 * 2**20


def write_submissions(
    folder: Path, dataset: Dataset, rankings: Rankings, subset_rankings: Rankings
) -> list[Path]:
    """Check everything, then write it.

    Returns:
        The files.

    Raises:
        DatasetError: a query without an answer, a list that is too short, an image unknown or twice, or a file above the
            server's 5 MB.
    """
    submission = dataset.card.submission
    made = submission.files(dataset, rankings, subset_rankings) if submission else {}
    texts = {name: json.dumps(content) + "\n" for name, content in made.items()}
    for name, text in texts.items():
        if len(text.encode()) > MAX_BYTES:
            raise DatasetError(
                f"{name} is larger than 5 MB.", "The server takes no more: check the image names."
            )
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def how_to_send(card: DatasetCard, folder: Path, names: Sequence[str]) -> str:
    """Which files of a run go to the benchmark's server, and where that is, a line for each file."""
    assert card.submission is not None, "files are written for a server"
    files = "".join(f"  {folder / name}  ({card.submission.measures[name]})\n" for name in names)
    what = "both of these files" if len(names) > 1 else "this file"
    return f"Send {what} to the server of {card.title}, {card.submission.server}:\n{files}"


def submitted(
    dataset: Dataset, rankings: Rankings, name: str, places: int, *, own_sets: bool = False
) -> dict[str, list[str]]:
    """Query id -> as many ids as a server takes, of every query.

    Args:
        dataset: a split.
        rankings: of every query.
        name: of the file, for errors.
        places: how many.
        own_sets: whether each query ranks its own set of images alone.

    Raises:
        DatasetError: a query without an answer, a list that is too short, an image unknown or twice.
    """
    lists = {}
    for query in dataset.queries:
        if query.query_id not in rankings:
            raise DatasetError(
                f"{name}: query {query.query_id} was not answered.", "Finish the run: --resume"
            )
        known = query.members if own_sets else dataset.images
        lists[query.query_id] = _list(dataset, query, rankings[query.query_id], known, places, name)
    return lists


def _list(
    dataset: Dataset,
    query: DatasetQuery,
    ranked: Sequence[str],
    known: Collection[str],
    places: int,
    name: str,
) -> list[str]:
    if dataset.leaves_out_reference:
        ranked = without(ranked, query.query.reference_id)
    check_ranking(name, query.query_id, ranked, known)
    wanted = min(places, len(known) - dataset.leaves_out_reference)
    if len(ranked) < wanted:
        raise DatasetError(
            f"{name}: query {query.query_id} has {counted(len(ranked), 'place')}, and the server wants {wanted}.",
            "Run the evaluation again with --k 50.",
        )
    return list(ranked[:places])
