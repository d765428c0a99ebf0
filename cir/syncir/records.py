"""Triplets on disk: one JSON line each, a manifest and people's judgements beside them, and the funnel.

Knows the files' form, not how a triplet came about. Lines are only ever appended, so that a run that was
killed has lost nothing but the line it was writing.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cir.errors import CirError
from cir.files import read_text
from cir.syncir.consistency import DROPPED, KEPT
from cir.syncir.pairs import PAIR_RANKS, Mined, Pair
from cir.types import Triplet

VERSION = 1
DIGITS = 5
REJECTED_BY_HAND = "rejected by hand"
ACTIONS = ("accepted", "rejected", "edited", "cleared")
_NAMES = tuple(f.name for f in fields(Triplet))
_NEEDED = ("triplet_id", "reference_id", "target_id", "text")
_STRINGS = (*_NEEDED, "reference_caption", "target_caption", "verdict", "reason")


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many of what there are at each stage, from images to kept triplets.

    Attributes:
        images: in the gallery.
        uncaptioned: of them, without a caption: they take no part.
        grouped: images that are in at least one subgroup.
        ungrouped: images that found no subgroup of their own (they may be in another's).
        groups: subgroups.
        pairs: different (reference, target) pairs in them.
        repeated: pairs that were there already, and left out.
        done: pairs that have been worked on so far.
        texts: of these, with a text.
        kept: of these, kept.
        dropped: reason -> how many.
    """

    images: int = 0
    grouped: int = 0
    ungrouped: int = 0
    groups: int = 0
    pairs: int = 0
    repeated: int = 0
    texts: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    uncaptioned: int = 0


def funnel_of(
    images: int, mined: Mined, pairs: Sequence[Pair], triplets: Iterable[Triplet], *, uncaptioned: int = 0
) -> Funnel:
    """The funnel of a gallery of `images`, what was mined in it, and the triplets made so far."""
    rows = list(triplets)
    dropped = Counter(row.reason for row in rows if row.verdict != KEPT)
    return Funnel(
        images=images,
        grouped=len({member for group in mined.subgroups for member in group.members}),
        ungrouped=mined.ungrouped,
        groups=len(mined.subgroups),
        pairs=len(pairs),
        repeated=len(PAIR_RANKS) * len(mined.subgroups) - len(pairs),
        texts=sum(bool(row.text) for row in rows),
        kept=sum(row.verdict == KEPT for row in rows),
        dropped=dict(sorted(dropped.items())),
        done=len(rows),
        uncaptioned=uncaptioned,
    )


def triplet_line(triplet: Triplet) -> str:
    """One line of JSON, with its end of line; numbers rounded to five decimals."""
    row = asdict(triplet)
    row["similarities"] = [round(value, DIGITS) for value in triplet.similarities]
    if triplet.consistency is not None:
        row["consistency"] = round(triplet.consistency, DIGITS)
    return json.dumps(row, ensure_ascii=False) + "\n"


def write_triplets(path: Path, triplets: Iterable[Triplet]) -> int:
    """Write a whole file, or none of it; returns how many lines."""
    unfinished = path.with_name(path.name + ".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with unfinished.open("w", encoding="utf-8") as file:
        for triplet in triplets:
            file.write(triplet_line(triplet))
            count += 1
        _to_disk(file)
    os.replace(unfinished, path)
    return count


def read_triplets(path: Path) -> list[Triplet]:
    """Every triplet of a file. A last line that was not finished (a killed run's) is left out.

    Raises:
        CirError: no such file, or a damaged line, named by its number.
    """
    return [_read_triplet(path, number, row) for number, row in _rows(path, "triplets")]


def drop_unfinished_line(path: Path) -> None:
    """Cut a file back to its last whole line, so that it can be appended to."""
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def manifest_path(path: Path) -> Path:
    """`NAME.manifest.json` beside `NAME.jsonl`."""
    return path.with_name(path.name.removesuffix(".jsonl") + ".manifest.json")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a triplets file; empty when it has none (an imported file).

    Raises:
        CirError: it is damaged.
    """
    place = manifest_path(path)
    if not place.exists():
        return {}
    try:
        row = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(row, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise CirError(
            f"{place.name} is damaged: {error}.", "Remove it, or begin a new file: --out NEW.jsonl"
        ) from error
    return row


def write_manifest(path: Path, row: Mapping[str, Any]) -> None:
    """Replace the manifest of a triplets file, whole or not at all."""
    place = manifest_path(path)
    unfinished = place.with_name(place.name + ".tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(dict(row), file, indent=2, ensure_ascii=False)
        file.write("\n")
        _to_disk(file)
    os.replace(unfinished, place)


def funnel_from(row: Mapping[str, Any]) -> Funnel:
    """The funnel that a manifest holds; all zeros when it holds none."""
    kept = row.get("funnel")
    known = {f.name for f in fields(Funnel)}
    return Funnel(**{k: v for k, v in kept.items() if k in known}) if isinstance(kept, dict) else Funnel()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person said of a triplet: "accepted", "rejected", "edited" (with the new text), "cleared"."""

    triplet_id: str
    action: str
    text: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise CirError(f"A judgement cannot be {self.action!r}.", f"Choose one of: {', '.join(ACTIONS)}.")
        if self.action == "edited" and not self.text:
            raise CirError("The edited text is empty.", "Write a text, or reject the triplet.")


def judgements_path(path: Path) -> Path:
    """`NAME.judged.jsonl` beside `NAME.jsonl`."""
    return path.with_name(path.name.removesuffix(".jsonl") + ".judged.jsonl")


def append_judgement(path: Path, judgement: Judgement) -> None:
    """Add one judgement to the sidecar file of a triplets file, in one write that is on the disk afterwards."""
    line = json.dumps(asdict(judgement), ensure_ascii=False) + "\n"
    place = judgements_path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_judgements(path: Path) -> list[Judgement]:
    """The judgements of a triplets file, in the order in which they were made; none when there is no sidecar.

    Raises:
        CirError: a damaged line, named by its number.
    """
    place = judgements_path(path)
    if not place.exists():
        return []
    found = []
    for number, row in _rows(place, "judgements"):
        try:
            found.append(Judgement(str(row["triplet_id"]), row["action"], str(row.get("text", ""))))
        except (KeyError, CirError) as error:
            raise _damaged(place, number, str(error)) from error
    return found


def apply_judgements(triplets: Iterable[Triplet], judgements: Iterable[Judgement]) -> list[Triplet]:
    """The triplets as people left them: the last word on each counts.

    Accepted ones are kept and rejected ones dropped, whatever their scores; an edited one is kept with the new
    text, and its scores, which were the old text's, are gone; "cleared" takes back all that was said before.
    """
    said: dict[str, tuple[str, str]] = {}
    for judgement in judgements:
        text = said.get(judgement.triplet_id, ("", ""))[1]
        if judgement.action == "cleared":
            said.pop(judgement.triplet_id, None)
        else:
            said[judgement.triplet_id] = (judgement.action, judgement.text or text)
    return [_judged(triplet, *said.get(triplet.triplet_id, ("", ""))) for triplet in triplets]


def _judged(triplet: Triplet, action: str, text: str) -> Triplet:
    if not action:
        return triplet
    if text and text != triplet.text:
        triplet = replace(triplet, text=text, consistency=None, target_rank=None)
    if action == "rejected":
        return replace(triplet, verdict=DROPPED, reason=REJECTED_BY_HAND)
    return replace(triplet, verdict=KEPT, reason="")


def _rows(path: Path, what: str) -> Iterable[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each whole line; a last one without its end that is no JSON is left out."""
    try:
        lines = read_text(path).split("\n")
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise CirError(f"{path.name} cannot be read: {reason}.", f"Check the path of the {what}.") from error
    except UnicodeDecodeError as error:
        raise CirError(f"{path.name} is no text file: {error.reason}.", f"Give a file of {what}.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise _damaged(path, number, str(error)) from error
        if not isinstance(row, dict):
            raise _damaged(path, number, "it is no object")
        yield number, row


def _read_triplet(path: Path, number: int, row: dict[str, Any]) -> Triplet:
    missing = [name for name in _NEEDED if not isinstance(row.get(name), str)]
    wrong = [name for name in _STRINGS if name in row and not isinstance(row[name], str)]
    if missing or wrong:
        raise _damaged(path, number, f"{(missing or wrong)[0]!r} is missing or no text")
    values: dict[str, Any] = {name: row[name] for name in _NAMES if name in row}
    try:
        values["members"] = tuple(str(member) for member in values.get("members", ()))
        first, second = values.get("ranks", (0, 1))
        values["ranks"] = (int(first), int(second))
        values["similarities"] = tuple(_finite(value) for value in values.get("similarities", ()))
        if values.get("consistency") is not None:
            values["consistency"] = _finite(values["consistency"])
        if values.get("target_rank") is not None:
            values["target_rank"] = int(values["target_rank"])
    except (TypeError, ValueError) as error:
        raise _damaged(path, number, str(error)) from error
    return Triplet(**values)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _damaged(path: Path, number: int, why: str) -> CirError:
    return CirError(f"Line {number} of {path.name} is damaged: {why}.", "Remove that line, and try again.")


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
