"""The benchmark of mapping networks from texts: the target's rank without the reference, as a row of its table."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from benchmarks.text_phi import ranks_of, row_of
from cir.types import CirQuery


class Echo:
    """Says an image as its own features, and a sentence as the image in it, or as another one that the edit names."""

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw

    def map_features(self, features: np.ndarray) -> np.ndarray:
        return features[:, None]

    def encode_spliced(self, prefix: str, pseudo_words: np.ndarray, suffix: str) -> np.ndarray:
        assert prefix == "a photo of"
        row = pseudo_words[:, 0] if suffix == "that stays" else self.raw[[int(suffix.split()[-1])]]
        return row / np.linalg.norm(row, axis=1, keepdims=True)


def test_the_reference_is_left_out_and_the_rest_is_ranked() -> None:
    raw = np.array([[2.0, 0.0], [1.8, 0.6], [0.0, 3.0]], np.float32)
    queries = [
        CirQuery("1", "a", "stays", ("b",)),
        CirQuery("2", "a", "is 2", ("b",)),
        CirQuery("3", "c", "is 0", ("a",)),
    ]
    benchmark = SimpleNamespace(scenes={"a": None, "b": None, "c": None}, queries=queries)
    clip = Echo(raw)
    assert ranks_of(clip, clip, benchmark, raw, None) == [1, 2, 1]  # type: ignore[arg-type]
    assert ranks_of(clip, clip, benchmark, raw, 1) == [1]  # type: ignore[arg-type]


def test_a_row_tells_minutes_steps_and_recalls_with_their_interval() -> None:
    row = row_of(0.5, 39, [1, 1, 3, 20])
    assert row.startswith("| 0.5 | 39 | 50.0 | ")
    assert row.endswith(" | 75.0 | 75.0 |\n")
