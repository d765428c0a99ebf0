"""Paraphrases of the world benchmark's edits: what people would type, written by hand, apart from the grammar that trains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cir.errors import CirError
from cir.evaluation.benchmark import FOLDER
from cir.types import CirQuery

FILE = FOLDER / "world-paraphrases.jsonl"
WORDINGS: Mapping[str, str] = {  # kind of wording -> what makes it one
    "casual": 'short and familiar ("lose the hat")',
    "wish": 'what one would rather have ("I\'d rather have two")',
    "fragment": 'no verb ("same place, after dark")',
    "typos": "the plain wording, typed carelessly",
    "regional": "with words of British or of American English",
    "indirect": "a sentence that tells the outcome",
}


def read_paraphrases(path: Path = FILE) -> dict[str, dict[str, str]]:
    """Query id -> kind of wording -> text. The file's order mixes the kinds of edits evenly, however many are taken of it.

    Raises:
        CirError: a file that is missing or damaged, or a wording that is not there.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["query_id"]: {wording: str(row[wording]) for wording in WORDINGS} for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CirError(
            f"The paraphrases in {path} cannot be read: {error!r}.", "Restore them from the repository."
        ) from error


def paraphrased(
    queries: Sequence[CirQuery], paraphrases: Mapping[str, Mapping[str, str]]
) -> dict[str, list[CirQuery]]:
    """Kind of wording -> the queries that have one, in that wording; their ids are "ID/WORDING"."""
    return {
        wording: [
            replace(q, query_id=f"{q.query_id}/{wording}", modification_text=paraphrases[q.query_id][wording])
            for q in queries
            if q.query_id in paraphrases
        ]
        for wording in WORDINGS
    }
