"""Triplets in other people's layouts: out as CIRR's, in from CIRR, LaSCo and Laion-CIR.

Knows which keys each layout has, and nothing of the images that they name: those may not be here at all.

Sources: CIRR (cap.rc2.*.json), LaSCo (lasco_*.json), Laion-CIR of TransAgg (laion_*_info.json).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cir.errors import BadQuery, CirError
from cir.files import read_text
from cir.syncir.consistency import KEPT
from cir.syncir.pairs import MEMBERS
from cir.syncir.pipeline import triplet_id
from cir.text import clean_text
from cir.types import Triplet
from cir.whole_files import write_whole

_REFERENCE = (
    "reference",
    "query-image",
    "ref_image_id",
    "reference_image_id",
    "reference_image",
    "candidate",
)
_TARGET = ("target_hard", "target-image", "target", "tgt_image_id", "target_image_id", "target_image")
_TEXT = (
    "caption",
    "query-text",
    "relative_cap",
    "relative_caption",
    "edit_cap",
    "captions",
    "text",
    "modification_text",
)
_REFERENCE_CAPTION = ("reference_caption", "blip2_caption_opt", "ref_caption")
_TARGET_CAPTION = ("target_caption", "tgt_caption_opt", "tgt_caption")
_MAX_ID_CHARACTERS = 300


def to_cirr(triplets: Iterable[Triplet], *, everything: bool = False) -> list[dict[str, Any]]:
    """Triplets as CIRR's annotation rows; dropped ones are left out unless `everything` is asked for.

    Members are listed by rank (CIRR shuffles its own). A triplet without a subgroup gets its two images.
    """
    rows: list[dict[str, Any]] = []
    sets: dict[tuple[str, ...], int] = {}
    for triplet in triplets:
        if triplet.verdict != KEPT and not everything:
            continue
        members, ranks = triplet.members, triplet.ranks
        if not members:
            members, ranks = (triplet.reference_id, triplet.target_id), (0, 1)
        row = {
            "pairid": len(rows),
            "reference": triplet.reference_id,
            "target_hard": triplet.target_id,
            "target_soft": {triplet.target_id: 1.0},
            "caption": triplet.text,
            "img_set": {
                "id": sets.setdefault(members, len(sets)),
                "members": list(members),
                "reference_rank": ranks[0],
                "target_rank": ranks[1],
            },
        }
        rows.append(row)
    return rows


def with_places(triplets: Iterable[Triplet], places: Mapping[str, str]) -> list[Triplet]:
    """Triplets whose pictures are named by their paths; those of which a picture has no path are left out.

    Args:
        triplets: of a gallery.
        places: image id -> path. A subgroup of which a picture is not there is left out, the triplet is not.
    """
    return [
        replace(
            triplet,
            reference_id=places[triplet.reference_id],
            target_id=places[triplet.target_id],
            members=tuple(places[one] for one in triplet.members)
            if places.keys() >= {*triplet.members}
            else (),
        )
        for triplet in triplets
        if triplet.reference_id in places and triplet.target_id in places
    ]


def pictures_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pictures that rows of `to_cirr` name, in order of their names."""
    return sorted({name for row in rows for name in row["img_set"]["members"]})


def write_cirr(folder: Path, rows: Sequence[Mapping[str, Any]], split: str) -> None:
    """CIRR's three files of a split, as its release lays them out.

    Nobody has answered CIRR's four questions about each pair, so `caption_extend` is empty.

    Args:
        folder: which becomes the root of the data set.
        rows: of `to_cirr`, pictures named by their paths below `folder`.
        split: "train", "val" or "test1".
    """
    files = {
        f"captions_ext/cap.ext.rc2.{split}.json": [{**row, "caption_extend": {}} for row in rows],
        f"image_splits/split.rc2.{split}.json": {name: f"./{name}" for name in pictures_of(rows)},
        f"captions/cap.rc2.{split}.json": list(rows),  # the last: where it is, the split is whole
    }
    for place, content in files.items():
        path = folder / "cirr" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content).encode() + b"\n")


def read_foreign(path: Path) -> list[Triplet]:
    """Triplets of a JSON file in the layout of CIRR, LaSCo or Laion-CIR (a list of rows, or rows by reference).

    Nothing is judged: verdicts are "kept", scores are absent.

    Raises:
        CirError: no such file, no JSON, or a row without a reference, a target or a text, named by row and key.
    """
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise CirError(f"{path.name} cannot be read: {reason}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise CirError(f"{path.name} is no text.", f"Give one of {_LAYOUTS}.") from error
    except (ValueError, RecursionError) as error:
        raise CirError(f"{path.name} is no JSON: {error}.", f"Give one of {_LAYOUTS}.") from error
    rows = _rows_of(path.name, content)
    triplets = [_triplet(path.name, number, row) for number, row in enumerate(rows, start=1)]
    ranked = _members_by_rank(rows, triplets)
    return [_with_subgroup(row, triplet, ranked) for row, triplet in zip(rows, triplets, strict=True)]


_LAYOUTS = "CIRR's, LaSCo's or Laion-CIR's annotation files"


def _rows_of(name: str, content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, Mapping) and content and all(isinstance(v, Mapping) for v in content.values()):
        # Laion-CIR's LLM part: one row for each reference, which is the key.
        content = [{"ref_image_id": key, **value} for key, value in content.items()]
    if not isinstance(content, list):
        raise CirError(f"{name} is no list of triplets.", f"Give one of {_LAYOUTS}.")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, Mapping):
            raise CirError(f"Row {number} of {name} is no object.", f"Give one of {_LAYOUTS}.")
    return content


def _triplet(name: str, number: int, row: Mapping[str, Any]) -> Triplet:
    reference = _image_id(name, number, row, _REFERENCE, "reference")
    target = _image_id(name, number, row, _TARGET, "target")
    return Triplet(
        triplet_id=str(row.get("pairid", row.get("qid", f"{number}-{triplet_id(reference, target)}"))),
        reference_id=reference,
        target_id=target,
        text=_text(name, number, row, _TEXT, needed=True),
        reference_caption=_text(name, number, row, _REFERENCE_CAPTION),
        target_caption=_text(name, number, row, _TARGET_CAPTION),
    )


def _image_id(name: str, number: int, row: Mapping[str, Any], keys: Sequence[str], what: str) -> str:
    """The image's name; LaSCo gives [id, path], of which the path is taken."""
    key = next((k for k in keys if k in row), None)
    if key is None:
        raise _refused(name, number, keys[0], f"names no {what} image")
    value = row[key]
    if isinstance(value, list) and len(value) == 2:
        value = value[1]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise _refused(name, number, key, f"names no {what} image")
    return str(value)[:_MAX_ID_CHARACTERS]


def _text(name: str, number: int, row: Mapping[str, Any], keys: Sequence[str], needed: bool = False) -> str:
    """A text, cleaned; FashionIQ's two captions are joined by "and"."""
    key = next((k for k in keys if k in row), None)
    if key is None:
        if needed:
            raise _refused(name, number, keys[0], "has no text")
        return ""
    value = row[key]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        value = " and ".join(value)
    try:
        text, _ = clean_text(value)
    except BadQuery as error:
        raise _refused(name, number, key, "is no text") from error
    if needed and not text:
        raise _refused(name, number, key, "has no text")
    return text


def _members_by_rank(
    rows: Sequence[Mapping[str, Any]], triplets: Sequence[Triplet]
) -> dict[Any, tuple[str, ...]]:
    """CIRR's subgroups by rank. A row says the ranks of two members only; all rows of a set together may say six."""
    known: dict[Any, dict[int, str]] = {}
    for row, triplet in zip(rows, triplets, strict=True):
        found = _set_of(row)
        if found is not None:
            key, (reference, target) = found
            known.setdefault(key, {}).update({reference: triplet.reference_id, target: triplet.target_id})
    return {
        key: tuple(ranks[i] for i in range(MEMBERS))
        for key, ranks in known.items()
        if set(ranks) == set(range(MEMBERS))
    }


def _set_of(row: Mapping[str, Any]) -> tuple[Any, tuple[int, int]] | None:
    """(id of the subgroup, ranks of reference and target), where the row has them."""
    group = row.get("img_set")
    if not isinstance(group, Mapping):
        return None
    key, ranks = group.get("id"), (group.get("reference_rank"), group.get("target_rank"))
    if not isinstance(key, int | str) or not all(isinstance(rank, int) for rank in ranks):
        return None
    return key, (int(ranks[0] or 0), int(ranks[1] or 0))


def _with_subgroup(
    row: Mapping[str, Any], triplet: Triplet, ranked: Mapping[Any, tuple[str, ...]]
) -> Triplet:
    found = _set_of(row)
    if found is None:
        return triplet
    return replace(triplet, members=ranked.get(found[0], ()), ranks=found[1])


def _refused(name: str, number: int, key: str, why: str) -> CirError:
    return CirError(f"Row {number} of {name} {why} (key {key!r}).", f"Give one of {_LAYOUTS}.")
