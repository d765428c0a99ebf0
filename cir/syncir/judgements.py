"""What people said of triplets: JSON lines beside a triplets file, of which the last word on each triplet counts.

Lines are only ever appended, so that nothing is lost when the program is killed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cir.errors import CirError
from cir.syncir.consistency import DROPPED, KEPT
from cir.syncir.records import damaged, end_last_line, read_rows
from cir.types import Triplet

ACCEPTED, REJECTED, EDITED, CLEARED = ACTIONS = ("accepted", "rejected", "edited", "cleared")
REJECTED_BY_HAND = "rejected by hand"
SIDECAR = ".judged.jsonl"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person said of a triplet: "accepted", "rejected", "edited" (with the new text), "cleared".

    The first two have a text as well where the triplet was edited before.
    """

    triplet_id: str
    action: str
    text: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise CirError(f"A judgement cannot be {self.action!r}.", f"Choose one of: {', '.join(ACTIONS)}.")
        if self.action == EDITED and not self.text:
            raise CirError("The edited text is empty.", "Write a text, or reject the triplet.")

    @property
    def verdict(self) -> str:
        """ "accepted", "rejected", or "" for neither."""
        return self.action if self.action in (ACCEPTED, REJECTED) else ""


def judgement_of(triplet_id: str, verdict: str, text: str) -> Judgement:
    """A verdict ("" for none) and a text ("" for the triplet's own) as one judgement."""
    return Judgement(triplet_id, verdict or (EDITED if text else CLEARED), text)


def judgements_path(path: Path) -> Path:
    """`NAME.judged.jsonl` beside `NAME.jsonl`."""
    return path.with_name(path.name.removesuffix(".jsonl") + SIDECAR)


def append_judgement(path: Path, *judgements: Judgement) -> None:
    """Add judgements to the sidecar file of a triplets file: all of them, on the disk afterwards, or none.

    Half a line that is there already is cut off: with more behind it, the file could not be read any more.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in judgements).encode("utf-8")
    place = judgements_path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end_last_line(place)
        whole = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, whole)
            raise
    finally:
        os.close(descriptor)


def replace_judgement(path: Path, judgement: Judgement) -> None:
    """Append what takes back all that was said of a triplet before, and what is said now.

    Raises:
        OSError: the disk is full, or the file cannot be written; what was said before stays.
    """
    triplet_id, verdict = judgement.triplet_id, judgement.verdict
    edited = [Judgement(triplet_id, EDITED, judgement.text)] if judgement.text else []
    said = [Judgement(triplet_id, verdict)] if verdict else []
    append_judgement(path, Judgement(triplet_id, CLEARED), *edited, *said)


def read_judgements(path: Path) -> list[Judgement]:
    """The judgements of a triplets file, in the order in which they were made; none when there is no sidecar.

    Raises:
        CirError: a damaged line, named by its number.
    """
    place = judgements_path(path)
    if not place.exists():
        return []
    found = []
    for number, row in read_rows(place, "judgements"):
        try:
            found.append(Judgement(str(row["triplet_id"]), row["action"], str(row.get("text", ""))))
        except (KeyError, CirError) as error:
            raise damaged(place, number, str(error)) from error
    return found


def last_judgements(judgements: Iterable[Judgement]) -> dict[str, Judgement]:
    """triplet_id -> the last word on it, with the text of the last edit; "cleared" takes back all before it."""
    last: dict[str, Judgement] = {}
    for judgement in judgements:
        before = last.pop(judgement.triplet_id, None)
        if judgement.action != CLEARED:
            text = judgement.text or (before.text if before else "")
            last[judgement.triplet_id] = replace(judgement, text=text)
    return last


def apply_judgements(triplets: Iterable[Triplet], judgements: Iterable[Judgement]) -> list[Triplet]:
    """The triplets as people left them: the last word on each counts.

    Accepted ones are kept and rejected ones dropped, whatever their scores; an edited one is kept with the new
    text, and its scores, which were the old text's, are gone.
    """
    last = last_judgements(judgements)
    return [_judged(triplet, last.get(triplet.triplet_id)) for triplet in triplets]


def _judged(triplet: Triplet, judgement: Judgement | None) -> Triplet:
    if judgement is None:
        return triplet
    if judgement.text and judgement.text != triplet.text:
        triplet = replace(triplet, text=judgement.text, consistency=None, target_rank=None)
    if judgement.action == REJECTED:
        return replace(triplet, verdict=DROPPED, reason=REJECTED_BY_HAND)
    return replace(triplet, verdict=KEPT, reason="")
