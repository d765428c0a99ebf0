"""What a query costs, method by method: thinking (captioner and language model), encoding, ranking.

Measured live, nothing from a book, one query after another. Source of the form: CVSI, Table V.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cir.composers.parameters import defaults
from cir.evaluation.composed import Texts, Witness, compose_texts, one_text
from cir.evaluation.rank_measures import RECALLS
from cir.models.protocols import Captioner
from cir.ranking.retriever import Retriever
from cir.types import CirQuery

TOP_K = 50


class WatchedCaptioner:
    """A captioner and the seconds that it took."""

    def __init__(self, captioner: Captioner) -> None:
        self.captioner, self.fingerprint, self.seconds = captioner, captioner.fingerprint, 0.0

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """The captioner's captions."""
        since = time.perf_counter()
        try:
            return self.captioner.caption(images, per_image=per_image, seed=seed)
        finally:
            self.seconds += time.perf_counter() - since


@dataclass(frozen=True, slots=True)
class Cost:
    """Median seconds of a query; `calls` is how often the language model was asked for one, on average."""

    thinking: float
    encoding: float
    ranking: float
    calls: float
    queries: int

    @property
    def whole(self) -> float:
        """All of it."""
        return self.thinking + self.encoding + self.ranking


def cost_of(
    retriever: Retriever,
    method: str,
    queries: Sequence[CirQuery],
    picture: Callable[[str], Image.Image],
    captioner: WatchedCaptioner,
    model: Witness | None,
    texts: Texts = one_text,
) -> Cost:
    """Time a method on queries that it has not seen; the first one warms it up and does not count.

    Args:
        retriever: with the benchmark's gallery, and composers that think through `captioner` and `model`.
        method: its name.
        queries: at least two.
        picture: image id -> picture; drawing it is not timed.
        captioner, model: the watched ones of these composers.
        texts: what is asked of each query.
    """
    rows, asked, composer = [], 0, retriever.composers[method]
    for number, query in enumerate(queries):
        image = picture(query.reference_id)
        thought, calls = _thought(captioner, model), model.calls if model else 0
        began = time.perf_counter()
        composed = compose_texts(composer, image, texts(query))
        composed_at = time.perf_counter()
        retriever.rank(composed, defaults(composer.parameters), top_k=TOP_K)
        ended = time.perf_counter()
        thinking = _thought(captioner, model) - thought
        if number:
            rows.append((thinking, max(composed_at - began - thinking, 0.0), ended - composed_at))
            asked += (model.calls if model else 0) - calls
    thinking, encoding, ranking = np.median(np.array(rows), axis=0)
    return Cost(float(thinking), float(encoding), float(ranking), asked / len(rows), len(rows))


def _thought(captioner: WatchedCaptioner, model: Witness | None) -> float:
    return captioner.seconds + (model.seconds if model else 0.0)


def cost_table(
    costs: dict[str, Cost],
    training: dict[str, float],
    measures: dict[str, tuple[float, float]],
    columns: tuple[str, str] = RECALLS.brief,
) -> str:
    """Table V's columns, with the ratio to CVSI's whole query.

    Args:
        costs: method -> cost.
        training: method -> seconds that its mapping network was trained; absent where nothing is trained.
        measures: method -> two measures on the benchmark; absent where it is not measured.
        columns: what they are called.
    """
    lines = [
        "| method | training | captioner + language model | calls of it | encoding | ranking | whole query "
        f"| of CVSI's | {' | '.join(columns)} |",
        "|" + "---|" * 10,
    ]
    unit = costs["CVSI"].whole if "CVSI" in costs else None
    for name, cost in costs.items():
        trained = f"{training[name] / 60:.1f} min" if name in training else "—"
        thinking = f"{cost.thinking:.2f} s" if cost.thinking else "—"
        ratio = f"{cost.whole / unit:.3f}" if unit else ""
        first, second = (f"{v:.1f}" for v in measures[name]) if name in measures else ("", "")
        lines.append(
            f"| {name} | {trained} | {thinking} | {cost.calls:.1f} | {1000 * cost.encoding:.0f} ms | "
            f"{1000 * cost.ranking:.1f} ms | {cost.whole:.2f} s | {ratio} | {first} | {second} |"
        )
    return "\n".join(lines)
