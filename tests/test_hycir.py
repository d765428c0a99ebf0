"""HyCIR's losses against loops, its training on a small CLIP, and its resumption."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cir.errors import CirError
from cir.models.clip import ClipModel
from cir.training.hycir import (
    HycirSettings,
    HycirTraining,
    TripletFeatures,
    compose_features,
    composed_rows,
    contrastive_loss,
    train_hycir,
)

SMALL = HycirSettings(tokens=2, images=6, triplets=4, rate=1e-3, steps=4, hidden=(16,), save_every=2)
TEXTS = ["at night", "with a dog", "make it red", "in snow", "two of them", "without the boat"]


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        text_cfg={"context_length": 32, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 2},
    )
    return ClipModel(
        model, open_clip.SimpleTokenizer(context_length=32), lambda image: image, "small", "small"
    )


def some_triplets(count: int = 6) -> TripletFeatures:
    rng = np.random.default_rng(3)
    references = rng.normal(size=(count, 16)).astype(np.float32)
    targets = rng.normal(size=(count, 16)).astype(np.float32)
    return TripletFeatures(references, targets, TEXTS[:count], np.array([0, 1, 1, 2, 3, 0][:count]))


def some_images(count: int = 12) -> np.ndarray:
    return np.random.default_rng(4).normal(size=(count, 16)).astype(np.float32)


def test_near_pairs_are_those_whose_images_have_the_cosine() -> None:
    triplets = some_triplets()
    same = TripletFeatures(triplets.references, 3 * triplets.references, triplets.texts, triplets.target_ids)
    assert len(same.near(0.999)) == len(same)
    assert len(triplets.near(-1.0)) == len(triplets)
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(triplets.references, triplets.targets, strict=True)
    ]
    cut = sorted(cosines)[3]
    near = triplets.near(cut - 1e-6)
    assert list(near.texts) == [t for t, c in zip(triplets.texts, cosines, strict=True) if c >= cut]
    assert len(near.references) == len(near.target_ids) == 3


def looped_loss(queries: np.ndarray, images: np.ndarray, scale: float, ids: list[int] | None) -> float:
    """The definition, one pair after the other."""
    n = len(queries)
    unit = [[row / math.sqrt(sum(v * v for v in row)) for row in rows] for rows in (queries, images)]

    def one_way(a: list, b: list) -> float:
        total = 0.0
        for i in range(n):
            counted = [j for j in range(n) if j == i or ids is None or ids[i] != ids[j]]
            exponents = {j: math.exp(scale * float(np.dot(a[i], b[j]))) for j in counted}
            total -= math.log(exponents[i] / sum(exponents.values()))
        return total / n

    return 0.5 * (one_way(*unit) + one_way(unit[1], unit[0]))


@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 0]])
def test_the_contrastive_loss_is_the_loop_over_its_pairs(ids: list[int] | None) -> None:
    rng = np.random.default_rng(5)
    queries, images = rng.normal(size=(2, 5, 8))
    found = contrastive_loss(
        torch.from_numpy(queries), torch.from_numpy(images), 3.0, None if ids is None else torch.tensor(ids)
    )
    assert found.item() == pytest.approx(looped_loss(queries, images, 3.0, ids), rel=1e-9)


def test_a_repeated_target_would_count_against_itself_without_the_mask() -> None:
    rows = torch.eye(3)[[0, 0, 1]]
    ids = torch.tensor([7, 7, 8])
    assert contrastive_loss(rows, rows, 10.0, ids) < 0.01 < contrastive_loss(rows, rows, 10.0)


def test_the_hybrid_loss_is_the_sum_of_its_halves(clip: ClipModel, tmp_path: Path) -> None:
    training = HycirTraining(clip, some_images(), some_triplets(), SMALL, tmp_path)
    training.network.eval()
    losses = training.losses(np.random.default_rng(1))
    assert set(losses) == {"zs_cir", "triplet"}
    row = next(iter(training.run()))
    assert row["loss"] == pytest.approx(row["zs_cir"] + row["triplet"], rel=1e-5)


def test_a_gradient_reaches_the_mapping_network_and_nothing_else(clip: ClipModel, tmp_path: Path) -> None:
    training = HycirTraining(clip, some_images(), some_triplets(), SMALL, tmp_path)
    before = {name: value.clone() for name, value in clip.model.state_dict().items()}
    sum(training.losses(np.random.default_rng(1)).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in training.network.parameters())
    assert all(p.grad is None for p in clip.model.parameters())
    list(training.run())
    assert all(torch.equal(value, before[name]) for name, value in clip.model.state_dict().items())


def test_training_composes_exactly_what_search_composes(clip: ClipModel, tmp_path: Path) -> None:
    training = HycirTraining(clip, some_images(), some_triplets(), SMALL, tmp_path)
    network = training.trained().eval()
    triplets = some_triplets()
    rows = composed_rows(clip, network, triplets.references, triplets.texts)
    for i, text in enumerate(triplets.texts):
        words = network(torch.from_numpy(triplets.references[i : i + 1])).detach().numpy()
        searched = clip.encode_spliced("a photo of", words, f", {text}")
        np.testing.assert_allclose(rows[i], searched[0], atol=2e-6)
    raw = compose_features(clip, network(torch.from_numpy(triplets.references)), triplets.texts)
    assert not torch.allclose(raw.norm(dim=1), torch.ones(len(raw)))


def test_a_training_that_went_on_is_the_one_that_never_stopped(clip: ClipModel, tmp_path: Path) -> None:
    whole = train_hycir(clip, some_images(), some_triplets(), SMALL, tmp_path / "whole")
    begun = HycirTraining(clip, some_images(), some_triplets(), SMALL, tmp_path / "parts")
    for row in begun.run():
        if row["step"] == 3:  # one step past the last checkpoint: it is made again
            break
    rest = HycirTraining(clip, some_images(), some_triplets(), SMALL, tmp_path / "parts")
    assert rest.step == 2
    list(rest.run())
    for one, other in zip(whole.parameters(), rest.trained().parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_checkpoint_of_other_settings_is_refused(clip: ClipModel, tmp_path: Path) -> None:
    train_hycir(clip, some_images(), some_triplets(), SMALL, tmp_path)
    other = HycirSettings(tokens=3, images=6, triplets=4, rate=1e-3, steps=4, hidden=(16,), save_every=2)
    with pytest.raises(CirError, match="was trained with"):
        HycirTraining(clip, some_images(), some_triplets(), other, tmp_path)


def test_training_learns_the_triplets(clip: ClipModel, tmp_path: Path) -> None:
    settings = HycirSettings(
        tokens=2, loss="triplet", images=6, triplets=6, rate=3e-3, steps=150, hidden=(32,), dropout=0.0
    )
    training = HycirTraining(clip, some_images(), some_triplets(), settings, tmp_path)
    rows = [row["triplet"] for row in training.run()]
    assert rows[-1] < 0.5 * rows[0]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"images": 99}, "12 images cannot fill batches of 99"),
        ({"triplets": 7}, "6 triplets cannot fill batches of 7"),
        ({"tokens": 0}, "tokens is 0"),
        ({"loss": "both"}, "no loss called 'both'"),
    ],
)
def test_what_cannot_be_trained_is_refused(clip: ClipModel, tmp_path: Path, wrong: dict, says: str) -> None:
    values = {"tokens": 2, "images": 6, "triplets": 4, "steps": 1} | wrong
    with pytest.raises(CirError, match=says):
        HycirTraining(clip, some_images(), some_triplets(), HycirSettings(**values), tmp_path)
