"""How likely names are right is learnt from what is written of photographs, and the captions follow it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.photographs.sureness import Shown, fold_of, learn
from cir.models.photographs.sureness import SCENES


def drawn(rng: np.random.Generator) -> Shown:
    """A photograph of twenty names that are right as the first evidence says, and scenes as rare as their place in the list."""
    things = {f"thing {i}": rng.normal(size=4) for i in range(20)}
    scenes = {one: rng.normal(size=2) for one in SCENES}
    right = {name for name, row in things.items() if rng.random() < chance(2 * row[0] - 1)}
    right |= {
        f"scene {one}" for i, (one, row) in enumerate(scenes.items()) if rng.random() < chance(row[1] - i / 2)
    }
    return Shown(things, scenes, frozenset(right))


def chance(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def test_what_decides_is_found_again() -> None:
    rng = np.random.default_rng(0)
    found = learn([drawn(rng) for _ in range(400)])
    *weights, bias = found.things
    np.testing.assert_allclose(weights, [2, 0, 0, 0], atol=0.15)
    assert bias == pytest.approx(-1, abs=0.15)
    np.testing.assert_allclose(found.scenes, [0, 1], atol=0.2)
    np.testing.assert_allclose([found.biases[one] for one in SCENES], -np.arange(len(SCENES)) / 2, atol=0.4)


def test_pictures_of_one_scene_are_in_one_tenth() -> None:
    groups = [f"scene {i}" for i in range(300)]
    assert [fold_of(one) for one in groups] == [fold_of(one) for one in groups]
    assert {fold_of(one) for one in groups} == set(range(10))
