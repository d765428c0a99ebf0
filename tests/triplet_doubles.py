"""Doubles for the triplet tab: a library in memory over the toy gallery of coloured shapes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cir.errors import CirError
from cir.syncir.consistency import Thresholds
from cir.syncir.judgements import Judgement
from cir.syncir.library import TripletFile, TripletLibrary
from cir.syncir.pairs import PAIR_RANKS
from cir.syncir.pipeline import Progress
from cir.syncir.records import Funnel
from cir.syncir.table import TripletTable
from cir.types import Triplet

# Six images of the toy gallery by rank, the seed first.
MEMBERS = (
    "red-square-small",
    "red-square-large",
    "red-circle-small",
    "red-star-small",
    "blue-square-small",
    "blue-circle-large",
)
SIMILARITIES = (1.0, 0.91, 0.88, 0.8, 0.75, 0.7)


def words(image_id: str) -> str:
    colour, shape, size = image_id.split("-")
    return f"a {size} {colour} {shape}"


def triplet(ranks: tuple[int, int], score: float | None = 0.8, **changes: Any) -> Triplet:
    """The triplet of two ranks of MEMBERS, judged at 0.7."""
    reference, target = MEMBERS[ranks[0]], MEMBERS[ranks[1]]
    dropped = score is not None and score < 0.7
    values: dict[str, Any] = {
        "triplet_id": f"{ranks[0]}{ranks[1]}",
        "reference_id": reference,
        "target_id": target,
        "text": f"make it {words(target)[2:]}",
        "reference_caption": words(reference),
        "target_caption": words(target),
        "members": MEMBERS,
        "ranks": ranks,
        "similarities": SIMILARITIES,
        "consistency": score,
        "verdict": "dropped" if dropped else "kept",
        "reason": "inconsistent" if dropped else "",
    }
    return Triplet(**{**values, **changes})


SCORES = (0.9, 0.65, 0.72, 0.4, 0.81)


def toy_triplets() -> list[Triplet]:
    """Seven of the nine pairs: five with a score, one without a text, one with the same captions."""
    scored = [triplet(ranks, score) for ranks, score in zip(PAIR_RANKS, SCORES, strict=False)]
    empty = triplet(PAIR_RANKS[5], None, text="", verdict="dropped", reason="no usable text")
    same = triplet(PAIR_RANKS[6], None, text="", verdict="dropped", reason="same captions")
    return [*scored, empty, same]


class ToyLibrary(TripletLibrary):
    """Files in memory; `judged`, `mined` and `exported` record what was asked; `generate` makes the two missing pairs."""

    def __init__(self, triplets: Sequence[Triplet] | None = None) -> None:
        rows = toy_triplets() if triplets is None else list(triplets)
        mined = Funnel(images=40, groups=30, pairs=250, repeated=20)
        self.tables = {"toy": TripletTable(rows, mined=mined, gallery="Toy shapes")}
        self.judged: list[tuple[str, Judgement]] = []
        self.mined: list[Thresholds] = []
        self.exported: list[tuple[str, float, str]] = []
        self.why_not = ""
        self.waits_for_stop = False

    def files(self) -> list[TripletFile]:
        return [TripletFile(key, f"File {key}") for key in self.tables]

    def table(self, key: str) -> TripletTable:
        if key not in self.tables:
            raise CirError("That file of triplets is not here any more.", "Choose another.")
        return self.tables[key]

    def judge(self, key: str, row: int, judgement: Judgement) -> None:
        self.judged.append((key, judgement))
        self.tables[key].judge(row, judgement)

    def mine(self, key: str, gallery: object, thresholds: Thresholds) -> Funnel:
        self.mined.append(thresholds)
        groups = round(40 * thresholds.near_duplicate)
        return Funnel(images=40, groups=groups, pairs=8 * groups, repeated=groups)

    def export(self, key: str, consistency: float, schema: str, out: Path) -> None:
        self.exported.append((key, consistency, schema))
        rows = [asdict(t) for t in self.table(key).triplets]
        out.write_text(json.dumps(rows), encoding="utf-8")

    def take_in(self, upload: Path) -> str:
        rows = json.loads(upload.read_text(encoding="utf-8"))
        if not isinstance(rows, list):
            raise CirError(f"{upload.name} is no list of triplets.", "Give one of CIRR's annotation files.")
        found = [Triplet(str(n), r["reference"], r["target_hard"], r["caption"]) for n, r in enumerate(rows)]
        self.tables["imported"] = TripletTable(found)
        return "imported"

    def generate(
        self, key: str, gallery: object, count: int, thresholds: Thresholds, stop: Callable[[], bool]
    ) -> Iterator[tuple[str, Progress]]:
        self.tables["made"] = self.tables["toy"]
        yield "made", Progress(0, 2, 0, None, Funnel())
        for done, ranks in enumerate(PAIR_RANKS[7:], start=1):
            while self.waits_for_stop and done > 1 and not stop():
                time.sleep(0.05)
            if stop():
                return
            new = triplet(ranks, 0.77)
            self.tables["made"] = self.tables["made"].grown([new])
            yield "made", Progress(done, 2, done, 1.0, Funnel(), new)

    def cannot_generate(self) -> str:
        return self.why_not
