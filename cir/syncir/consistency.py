"""The filter in language space: does caption of the reference + text mean the caption of the target?

Scores are computed once and kept with the triplet; a verdict follows from kept values alone, so that a
threshold can be moved later without a model.

Source: HyCIR, "Data filter in language space".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cir.errors import CirError
from cir.models.protocols import SentenceEncoder
from cir.types import Triplet

Combine = Literal["sum", "concatenate"]
COMBINATIONS: tuple[str, ...] = get_args(Combine)
KEPT, DROPPED = "kept", "dropped"
SAME_CAPTIONS = "same captions"
NO_TEXT = "no usable text"
INCONSISTENT = "inconsistent"
RANKED_TOO_LOW = "target ranked too low"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the filters cut.

    Attributes:
        consistency: a triplet below this cosine is inconsistent. Source: HyCIR, "Implementation details": 0.7.
        near_duplicate, gap: see `cir.syncir.pairs.mine_subgroups`; 0.94 and 0.002.
        max_target_rank: the engine's own check, beyond the paper: a target that is found at a higher rank
            number than this is dropped. None switches it off.

    Raises:
        CirError: a value that is not finite or outside [-1, 1], or a rank below 1.
    """

    consistency: float = 0.7
    near_duplicate: float = 0.94
    gap: float = 0.002
    max_target_rank: int | None = None

    def __post_init__(self) -> None:
        for name in ("consistency", "near_duplicate", "gap"):
            value = getattr(self, name)
            words = name.replace("_", " ")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise CirError(
                    f"The threshold {words} has to be a number, not {value!r}.", "Give one from -1 to 1."
                )
            if not -1.0 <= value <= 1.0:
                raise CirError(
                    f"The threshold {words} is {value:g}, which no cosine can reach.",
                    "Give one from -1 to 1.",
                )
        rank = self.max_target_rank
        if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
            raise CirError(f"The highest target rank is {rank!r}.", "Give a whole number from 1 on.")


def consistency_scores(
    references: Sequence[str],
    texts: Sequence[str],
    targets: Sequence[str],
    encoder: SentenceEncoder,
    combine: Combine = "sum",
) -> NDArray[np.float32]:
    """(N,) cosine of reference caption + text with the target's caption.

    Source: HyCIR, "Data filter in language space": semantic_reference + semantic_query against
    semantic_target. "sum" adds the two unit rows; "concatenate" encodes the two texts as one, which the
    paper's "+" could also mean.

    Args:
        references, texts, targets: N each.
        encoder: of sentences, not CLIP's.
        combine: what "+" means.

    Raises:
        CirError: no such way, or an encoder that gives values that are not finite.
    """
    check_combination(combine)
    if not len(references):
        return np.zeros(0, np.float32)
    count = len(references)
    if combine == "concatenate":
        joined = [f"{a} {b}" for a, b in zip(references, texts, strict=True)]
        rows = encoder.encode([*joined, *targets])
        said = rows[:count]
    else:
        rows = encoder.encode([*references, *texts, *targets])
        said = rows[:count] + rows[count : 2 * count]
    said = said / np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-12)
    scores = (said * rows[-count:]).sum(axis=1)
    if not np.isfinite(scores).all():
        raise CirError(
            "The sentence encoder gave values that are not numbers.", "Choose another: --sentence-encoder"
        )
    return scores.astype(np.float32)


def check_combination(combine: str) -> None:
    """Refuse what is neither "sum" nor "concatenate"."""
    if combine not in COMBINATIONS:
        raise CirError(
            f"There is no way to combine called {combine!r}.", f"Choose one of: {', '.join(COMBINATIONS)}."
        )


def judge(triplet: Triplet, thresholds: Thresholds) -> Triplet:
    """The triplet with its verdict, and the reason where it is dropped; from its stored values alone.

    A score that was never computed (an imported triplet) drops nothing.
    """
    reason = _why_dropped(triplet, thresholds)
    return replace(triplet, verdict=DROPPED if reason else KEPT, reason=reason)


def same_captions(reference: str, target: str) -> bool:
    """Whether two captions are the same but for case and white space; two empty ones are unknown, not same."""
    left, right = (" ".join(caption.lower().split()) for caption in (reference, target))
    return bool(left) and left == right


def _why_dropped(triplet: Triplet, thresholds: Thresholds) -> str:
    if same_captions(triplet.reference_caption, triplet.target_caption):
        return SAME_CAPTIONS
    if not triplet.text:
        return NO_TEXT
    if triplet.consistency is not None and triplet.consistency < thresholds.consistency:
        return INCONSISTENT
    limit = thresholds.max_target_rank
    if limit is not None and triplet.target_rank is not None and triplet.target_rank > limit:
        return RANKED_TOO_LOW
    return ""
