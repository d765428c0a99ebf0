"""Several compositions of one query -> one: each part is the mean of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cir.composers.composer import unit_row
from cir.types import ComposedQuery


def mean_of(found: Sequence[ComposedQuery]) -> ComposedQuery:
    """The mean of the parts that all have, of length 1, and of their numbers; everybody's notes; all the time that they took.

    Source: SEARLE and LinCIR average the features of both orders of FashionIQ's captions.
    """
    first = found[0]
    if len(found) == 1:
        return first
    shared = [name for name in first.parts if all(name in one.parts for one in found)]
    parts = {name: unit_row(np.mean([one.parts[name] for one in found], axis=0)) for name in shared}
    notes = dict.fromkeys(note for one in found for note in one.notes)
    timings: Counter[str] = Counter()
    for one in found:
        timings.update(one.timings_ms)
    numbers = {name: float(np.mean([one.numbers[name] for one in found])) for name in first.numbers}
    return replace(first, parts=parts, numbers=numbers, notes=tuple(notes), timings_ms=dict(timings))
