"""Triplets on disk: one JSON line each, a manifest beside them, and the funnel.

Knows the files' form, not how a triplet came about. Lines are only ever appended, so that a run that was
killed has lost nothing but the line it was writing.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cir.errors import CirError
from cir.files import read_text
from cir.syncir.consistency import KEPT
from cir.syncir.pairs import PAIR_RANKS, Mined, Pair
from cir.types import Triplet
from cir.whole_files import replacing, write_whole

VERSION = 1
DIGITS = 5
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
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        for triplet in triplets:
            file.write(triplet_line(triplet))
            count += 1
    return count


def read_triplets(path: Path) -> list[Triplet]:
    """Every triplet of a file. A last line that was not finished (a killed run's) is left out.

    Raises:
        CirError: no such file, or a damaged line, named by its number.
    """
    return [_read_triplet(path, number, row) for number, row in read_rows(path, "triplets")]


def end_last_line(path: Path) -> None:
    """See to it that a file can be appended to: half a last line is cut off, and one that lacks only its end gets it."""
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return
        try:
            json.loads(content[whole:])
        except ValueError:
            file.truncate(whole)
        else:
            file.write(b"\n")


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
    write_whole(manifest_path(path), json.dumps(dict(row), indent=2, ensure_ascii=False) + "\n")


def funnel_from(row: Mapping[str, Any]) -> Funnel:
    """The funnel that a manifest holds; all zeros when it holds none."""
    kept = row.get("funnel")
    known = {f.name for f in fields(Funnel)}
    return Funnel(**{k: v for k, v in kept.items() if k in known}) if isinstance(kept, dict) else Funnel()


def read_rows(path: Path, what: str) -> Iterable[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each whole line; a last one without its end that is no JSON is left out.

    Raises:
        CirError: no such file, no text, or a damaged line, named by its number.
    """
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
            raise damaged(path, number, str(error)) from error
        if not isinstance(row, dict):
            raise damaged(path, number, "it is no object")
        yield number, row


def _read_triplet(path: Path, number: int, row: dict[str, Any]) -> Triplet:
    missing = [name for name in _NEEDED if not isinstance(row.get(name), str)]
    wrong = [name for name in _STRINGS if name in row and not isinstance(row[name], str)]
    if missing or wrong:
        raise damaged(path, number, f"{(missing or wrong)[0]!r} is missing or no text")
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
        raise damaged(path, number, str(error)) from error
    return Triplet(**values)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def damaged(path: Path, number: int, why: str) -> CirError:
    """The error about a line of a file that cannot be read."""
    return CirError(f"Line {number} of {path.name} is damaged: {why}.", "Remove that line, and try again.")
