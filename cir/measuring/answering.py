"""What a run asks of models that are slow: which answers and captions are not kept, and about how long they take.

By some queries from all parts of a benchmark, and by the first answer and the first captions, which are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from cir.composers.composer import Composer
from cir.errors import LanguageModelFailed
from cir.evaluation import world
from cir.evaluation.answers import AnswerBook, MissingAnswers
from cir.evaluation.benchmark import Benchmark
from cir.evaluation.encoders import Encoders, Say
from cir.text import counted
from cir.types import CirQuery

PATIENCE_SECONDS = 120.0  # what is measured is the answer, not how busy the machine is
TRIED_QUERIES = 16  # to find out how many answers are not kept
TRIED_PICTURES = 16  # to find out how long captions take


@dataclass(frozen=True, slots=True)
class Captioning:
    """Pictures that a run wants captions of.

    Attributes:
        name: of the file that they are kept in, see `Encoders.captions`.
        drawn: what stands for the pictures.
        pictures: each draws one.
        per_image: captions of each.
    """

    name: str
    drawn: str
    pictures: Sequence[Callable[[], Image.Image]]
    per_image: int


def captioning_notice(encoders: Encoders, wanted: Sequence[Captioning], say: Say) -> str:
    """How many pictures have no captions yet, and about how long they take, at the rate of the first of them.

    Returns:
        A sentence; "" where all captions are kept, or so few are missing that they are made by now.
    """
    tried: list[tuple[int, float]] = []  # captions and seconds
    for one in wanted:
        lacking = encoders.uncaptioned(one.name, one.drawn, len(one.pictures), one.per_image)
        if lacking and not tried:
            count = min(TRIED_PICTURES, lacking)
            started = time.monotonic()
            encoders.captions(one.name, one.drawn, one.pictures, one.per_image, say, most=count)
            tried.append((count * one.per_image, time.monotonic() - started))
    left = [
        (encoders.uncaptioned(one.name, one.drawn, len(one.pictures), one.per_image), one.per_image)
        for one in wanted
    ]
    pictures, captions = sum(n for n, _ in left), sum(n * per_image for n, per_image in left)
    if not pictures:
        return ""
    made, seconds = tried[0]
    minutes = max(1, round(captions * seconds / made / 60))
    return (
        f"{counted(pictures, 'picture')} of the benchmark have no captions yet. {counted(made, 'caption')} took "
        f"{seconds:.1f} s here, so {captions} take about {counted(minutes, 'minute')}. "
        "They are kept, so that a run that is stopped goes on."
    )


def answers_lacking(
    benchmark: Benchmark,
    queries: Sequence[CirQuery],
    composers: Mapping[str, Composer],
    missing: MissingAnswers,
    say: Say,
) -> dict[str, float]:
    """Method -> about how many answers it lacks for each query; `missing` is what the methods think through."""
    tried = _some(queries)
    found = {}
    for name, composer in composers.items():
        before = missing.count
        for query in tried:
            with suppress(LanguageModelFailed):  # a method that is nothing without it
                world.compose_all(benchmark, [query], composer, say)
        if missing.count > before:
            found[name] = (missing.count - before) / len(tried)
    return found


def answering_notice(
    lacking: Mapping[str, float], missing: MissingAnswers, book: AnswerBook, queries: Sequence[CirQuery]
) -> str:
    """How many answers each method lacks, and about how long all take. The first is asked for, and kept."""
    seconds = _seconds_of_an_answer(missing, book)
    asked = len(missing.keys) * len(queries) / len(_some(queries))
    each = ", ".join(
        f"{name} about {counted(max(1, round(count * len(queries))), 'answer')}"
        for name, count in lacking.items()
    )
    minutes = max(1, round(asked * seconds / 60))
    return (
        f"Not all answers of the language model are kept. It is asked for those that are missing: {each}. "
        f"An answer takes {seconds:.1f} s here, so all take about {counted(minutes, 'minute')}. "
        "Each is kept, so that a run that is stopped goes on. To use only what is kept: --kept-only"
    )


def _some(queries: Sequence[CirQuery]) -> Sequence[CirQuery]:
    return queries[:: max(1, len(queries) // TRIED_QUERIES)]


def _seconds_of_an_answer(missing: MissingAnswers, book: AnswerBook) -> float:
    if missing.first is None:
        return 0.0
    started = time.monotonic()
    with suppress(LanguageModelFailed):
        book.complete(**missing.first)
    return time.monotonic() - started
