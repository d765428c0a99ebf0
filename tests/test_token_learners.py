"""The training of every learner of pseudo-words, on a few cached pictures: what it leaves is what its method reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cir.models.clip import load_clip
from cir.models.mapping_files import mapping_facts
from cir.training.loop import RunSettings, launch
from cir.training.token_learners import MODULES, train_token_learner
from tests.cached_noise import cached_pictures

CLIP = Path(__file__).resolve().parents[1] / "assets" / "models" / "clip"


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory):
    """Two folders of pictures whose features are noise, with the scenes that belong to them."""
    patch = pytest.MonkeyPatch()
    yield cached_pictures(tmp_path_factory.mktemp("noise"), patch)
    patch.undo()


@pytest.mark.parametrize("recipe", sorted(MODULES))
def test_a_training_leaves_a_network_that_says_what_it_was_trained_for_and_goes_on_where_it_stopped(
    recipe: str, cached: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out" / f"{recipe}.safetensors"

    def train(minutes: float) -> list[dict[str, float]]:
        extra = {"recipe": recipe, "clip": CLIP, "out": out, **cached}
        launch(train_token_learner, RunSettings(tmp_path / "run", minutes, device="cpu", extra=extra))
        log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in log.splitlines()]

    first = train(0.02)[-1]
    facts = mapping_facts(out)
    assert facts["trained_for"] == load_clip(CLIP).fingerprint
    assert facts["recipe"] == recipe
    assert facts["steps"] == first["steps"] > 0
    assert set(facts["held_out"]) == {"R@1", "R@5", "R@10"}
    assert train(first["seconds"] / 60 + 0.01)[-1]["steps"] > first["steps"]
