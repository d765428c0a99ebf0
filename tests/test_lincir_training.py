"""LinCIR on any captions: what is masked, what is learned, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_hycir import SMALL, clip

from cir.errors import CirError
from cir.models.text_tower import PSEUDO_WORD
from cir.training.hycir import run_to_end
from cir.training.lincir import LincirTraining, masked, masked_row

__all__ = ["clip"]  # the fixture

CAPTIONS = ["two small dogs on a beach", "a red kite above the sea", "an old man in the snow", "a cup of tea"]
CAPTIONS += ["three boats at night", "the white house with a garden", "a dog"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a photo of two small dogs on the beach at night", "a photo of $ on the $ at $"),
        ("Red kites, above the sea.", "$ , above the $ ."),
        ("it is there", None),
        ("", None),
    ],
)
def test_keywords_are_runs_of_open_words(caption: str, expected: str | None) -> None:
    assert masked(caption) == expected


def test_a_masked_row_has_one_mark_for_each_keyword_between_start_and_end(clip) -> None:
    row = masked_row(clip, "a photo of $ on the $ at $")
    assert row.count(PSEUDO_WORD) == 3
    assert (row[0], row[-1]) == (clip.spliced_tokens("", "")[0], clip.spliced_tokens("", "")[-1])
    assert len(masked_row(clip, "word " * 500 + "$")) == clip.text_length_limit


def test_only_the_network_learns_and_its_loss_falls(clip, tmp_path: Path) -> None:
    frozen = {name: value.clone() for name, value in clip.model.state_dict().items()}
    settings = type(SMALL)(tokens=1, images=6, triplets=1, rate=1e-2, steps=30, hidden=(16,))
    training = LincirTraining(clip, CAPTIONS, settings, tmp_path)
    losses = [row["loss"] for row in training.run()]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert all(torch.equal(value, frozen[name]) for name, value in clip.model.state_dict().items())


def test_a_training_that_was_stopped_goes_on_to_the_same_network(clip, tmp_path: Path) -> None:
    whole = run_to_end(LincirTraining(clip, CAPTIONS, SMALL, tmp_path / "whole"), lambda _: None)
    stopped = LincirTraining(clip, CAPTIONS, SMALL, tmp_path / "parts").run()
    for _ in range(2):
        next(stopped)
    stopped.close()
    again = LincirTraining(clip, CAPTIONS, SMALL, tmp_path / "parts")
    assert again.step == 2
    found = run_to_end(again, lambda _: None)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


def test_too_few_captions_are_refused_with_a_way_out(clip, tmp_path: Path) -> None:
    with pytest.raises(CirError, match="2 different captions cannot fill batches of 6") as refused:
        LincirTraining(clip, ["a dog", "a dog ", "a cat"], SMALL, tmp_path)
    assert "--batch-images" in refused.value.remedy
