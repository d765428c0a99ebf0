"""A file of triplets as columns, so that filtering and sorting 100,000 of them takes milliseconds.

Rows are indices into the file's order. A person's judgements stand beside the scores. Knows no pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cir.syncir.consistency import INCONSISTENT, Thresholds
from cir.syncir.judgements import ACCEPTED, CLEARED, REJECTED, Judgement
from cir.syncir.records import Funnel
from cir.types import Triplet

Mask = NDArray[np.bool_]
VERDICTS = {
    "all": "All",
    "kept": "Kept",
    "dropped": "Dropped",
    "accepted": "Accepted by you",
    "rejected": "Rejected by you",
    "edited": "Edited by you",
    "unjudged": "Not judged yet",
}
SORTS = {
    "file": "As made",
    "newest": "Newest first",
    "high": "Highest score first",
    "low": "Lowest score first",
    "doubtful": "Nearest to the threshold",
    "text": "Text, A to Z",
}
ANY_REASON = ""
MOVED_BY_SCORE = ("", INCONSISTENT)  # with these reasons it is the score alone that decides


@dataclass(frozen=True, slots=True)
class Filters:
    """Which triplets are wanted.

    Attributes:
        verdict: one of VERDICTS.
        reason: why they were dropped; "" for any.
        low, high: the range of the score; those without one are in it only while it is whole, -1 to 1.
        words: all of them have to stand in the text or in one of the captions, in any case.
    """

    verdict: str = "all"
    reason: str = ANY_REASON
    low: float = -1.0
    high: float = 1.0
    words: str = ""


class TripletTable:
    """The triplets of one file, and what people said about them.

    Args:
        triplets: in the order of the file.
        judgements: triplet_id -> the last word on it.
        thresholds: what the file was made with.
        mined: images, groups and pairs as counted when it was made; zeros where the file does not say.
        gallery: the name of the gallery that its pictures belong to; "" when unknown.
        content: the digest of what that gallery held; "" when unknown.
        shipped: whether the file came with the program, and so did its gallery.

    Attributes:
        triplets: the rows.
        scores: (N,) consistency, NaN where there is none.
        thresholds, mined, gallery, content, shipped: as given.
    """

    def __init__(
        self,
        triplets: Sequence[Triplet] = (),
        judgements: Mapping[str, Judgement] | None = None,
        thresholds: Thresholds | None = None,
        mined: Funnel | None = None,
        gallery: str = "",
        content: str = "",
        shipped: bool = False,
    ) -> None:
        self.triplets: list[Triplet] = []
        self.thresholds, self.mined = thresholds or Thresholds(), mined or Funnel()
        self.gallery, self.content, self.shipped = gallery, content, shipped
        self.scores = np.zeros(0)
        self._texts_made = 0
        self._kept = np.zeros(0, bool)
        self._names = [""]  # reasons by their code; 0 is none
        self._codes = np.zeros(0, np.int16)
        self._texts: list[str] = []  # what `words` look at, in lower case
        self._judgements: dict[int, Judgement] = {}
        self._append(triplets)
        rows = {triplet.triplet_id: row for row, triplet in enumerate(self.triplets)}
        for triplet_id, judgement in (judgements or {}).items():
            if triplet_id in rows:
                self.judge(rows[triplet_id], judgement)

    def __len__(self) -> int:
        return len(self.triplets)

    def grown(self, triplets: Sequence[Triplet]) -> TripletTable:
        """The same table with more rows at its end; whoever reads the old one is not disturbed."""
        larger = copy(self)
        larger.__dict__.pop("_rows_of_pairs", None)
        larger._append(triplets)
        return larger

    def _append(self, triplets: Sequence[Triplet]) -> None:
        """New lists and columns take the place of the old ones, which are left as they are."""
        self._names = list(dict.fromkeys([*self._names, *(t.reason for t in triplets)]))
        code = {name: number for number, name in enumerate(self._names)}
        scores = [np.nan if t.consistency is None else t.consistency for t in triplets]
        self.scores = np.append(self.scores, np.array(scores, np.float64))
        self._kept = np.append(self._kept, np.array([t.verdict == "kept" for t in triplets], bool))
        self._codes = np.append(self._codes, np.array([code[t.reason] for t in triplets], np.int16))
        self._texts = [*self._texts, *(_searched(t, t.text) for t in triplets)]
        self.triplets = [*self.triplets, *triplets]
        self._texts_made += sum(bool(t.text) for t in triplets)

    # --- what a person said ---------------------------------------------------------------------------

    def judge(self, row: int, judgement: Judgement) -> None:
        """Take in the last word on one row."""
        self._judgements.pop(row, None)
        if judgement.action != CLEARED:
            self._judgements[row] = judgement
        self._texts[row] = _searched(self.triplets[row], self.text(row))

    def judgement(self, row: int) -> Judgement:
        """The last word on a row; "cleared" where there is none."""
        return self._judgements.get(row) or Judgement(self.triplets[row].triplet_id, CLEARED)

    def text(self, row: int) -> str:
        """The text of a row, as the person wants it."""
        return self.judgement(row).text or self.triplets[row].text

    def count_judgements(self) -> dict[str, int]:
        """How many were accepted, rejected and edited."""
        judgements = list(self._judgements.values())
        verdicts = Counter(one.verdict for one in judgements)
        edited = sum(bool(one.text) for one in judgements)
        return {ACCEPTED: verdicts[ACCEPTED], REJECTED: verdicts[REJECTED], "edited": edited}

    # --- verdicts under a threshold -------------------------------------------------------------------

    def kept(self, consistency: float) -> Mask:
        """(N,) what would be kept at this threshold. Only stored scores are compared."""
        return np.where(self._movable & ~np.isnan(self.scores), self.scores >= consistency, self._kept)

    def is_kept(self, row: int, consistency: float) -> bool:
        """The same for one row."""
        if self._names[self._codes[row]] not in MOVED_BY_SCORE or np.isnan(self.scores[row]):
            return bool(self._kept[row])
        return bool(self.scores[row] >= consistency)

    def reason(self, row: int, consistency: float) -> str:
        """Why the row would be dropped at this threshold; "" when it would be kept."""
        if self.is_kept(row, consistency):
            return ""
        return self._names[self._codes[row]] or INCONSISTENT

    def reasons(self, consistency: float) -> dict[str, int]:
        """Reason -> how many are dropped for it at this threshold, the most frequent first."""
        numbers = np.bincount(self._codes[~self.kept(consistency)], minlength=len(self._names))
        counted: Counter[str] = Counter()
        for name, number in zip(self._names, numbers.tolist(), strict=True):
            counted[name or INCONSISTENT] += number
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return {reason: number for reason, number in ordered if number}

    def funnel(self, consistency: float) -> Funnel:
        """What the file says was mined, and its triplets at this threshold."""
        return replace(
            self.mined,
            done=len(self),
            texts=self._texts_made,
            kept=int(self.kept(consistency).sum()),
            dropped=self.reasons(consistency),
        )

    @property
    def _movable(self) -> Mask:
        return np.isin(self._codes, [n for n, name in enumerate(self._names) if name in MOVED_BY_SCORE])

    # --- rows -----------------------------------------------------------------------------------------

    def find(self, filters: Filters, sort: str, consistency: float) -> NDArray[np.int64]:
        """The rows that pass, in this order."""
        kept = self.kept(consistency)
        passing = self._of_verdict(filters.verdict, kept) & self._in_range(filters)
        if filters.reason:
            passing &= ~kept & self._has_reason(filters.reason)
        for word in filters.words.lower().split():
            passing &= np.fromiter((word in text for text in self._texts), bool, len(self))
        return self._sorted(np.flatnonzero(passing), sort, consistency)

    def row_of_pair(self, reference_id: str, target_id: str) -> int | None:
        """The row of an ordered pair of images, or None when the file has none."""
        return self._rows_of_pairs.get((reference_id, target_id))

    def _has_reason(self, reason: str) -> Mask:
        """Rows that have this reason when they are dropped: one that was kept can only become inconsistent."""
        codes = [n for n, name in enumerate(self._names) if (name or INCONSISTENT) == reason]
        return np.isin(self._codes, codes)

    def _of_verdict(self, verdict: str, kept: Mask) -> Mask:
        if verdict in ("kept", "dropped"):
            return kept.copy() if verdict == "kept" else ~kept
        if verdict == "all":
            return np.ones(len(self), bool)
        judgements = list(self._judgements.items())
        if verdict == "edited":
            rows = [row for row, judgement in judgements if judgement.text]
        elif verdict == "unjudged":
            rows = [row for row, judgement in judgements if judgement.verdict]
        else:
            rows = [row for row, judgement in judgements if judgement.verdict == verdict]
        wanted = np.zeros(len(self), bool)
        wanted[rows] = True
        return ~wanted if verdict == "unjudged" else wanted

    def _in_range(self, filters: Filters) -> Mask:
        if filters.low <= -1.0 and filters.high >= 1.0:
            return np.ones(len(self), bool)
        return (self.scores >= filters.low) & (self.scores <= filters.high)  # NaN is in no range

    def _sorted(self, rows: NDArray[np.int64], sort: str, consistency: float) -> NDArray[np.int64]:
        """Equal ones in the order of the file; those without a score last."""
        if sort == "newest":
            return rows[::-1]
        if sort == "text":
            return np.array(sorted(rows.tolist(), key=lambda row: self._texts[row]), np.int64)
        scores = self.scores[rows]
        keys = {"high": -scores, "low": scores, "doubtful": np.abs(scores - consistency)}
        return rows if sort not in keys else rows[np.argsort(keys[sort], kind="stable")]

    @cached_property
    def _rows_of_pairs(self) -> dict[tuple[str, str], int]:
        return {(t.reference_id, t.target_id): row for row, t in reversed(list(enumerate(self.triplets)))}


def _searched(triplet: Triplet, text: str) -> str:
    return f"{text}\n{triplet.reference_caption}\n{triplet.target_caption}".lower()
