"""PALAVRA: its set encoder, the descent that makes a word fit its picture, and whose networks are taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from cir.application import ingredients
from cir.composers.registry import build_methods
from cir.models.mapping import load_mapping, save_mapping
from cir.models.model_set import Models
from cir.models.palavra import ConceptRefiner, SetEncoder
from cir.training.palavra import cycle_loss
from tests.fakes import unit

SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "models"


def encoder(dim: int = 8) -> SetEncoder:
    torch.manual_seed(1)
    network = SetEncoder(dim, 16, 6, classes=3, others=5, word_length=2.0)
    torch.nn.init.normal_(network.alignment.weight, std=0.1)
    return network.eval()


class TestSetEncoder:
    def test_the_order_of_a_set_does_not_matter_and_every_member_does(self) -> None:
        network, sets = encoder(), F.normalize(torch.randn(2, 4, 8), dim=2)
        word = network(sets)
        torch.testing.assert_close(network(sets[:, [2, 0, 3, 1]]), word)
        other = sets.clone()
        other[:, 3] = -other[:, 3]
        assert (network(other) - word).abs().max() > 1e-2

    def test_a_picture_is_a_set_of_one(self) -> None:
        network, rows = encoder(), F.normalize(torch.randn(3, 8), dim=1)
        torch.testing.assert_close(network(rows), network(rows[:, None]))

    def test_it_is_read_again_as_it_was_written(self, tmp_path: Path) -> None:
        network = encoder()
        torch.nn.init.normal_(network.class_features)
        save_mapping(network, tmp_path / "set.safetensors", {"normalise_input": True})
        found = load_mapping(tmp_path / "set.safetensors")
        rows = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(unit(rows))).numpy()
        np.testing.assert_allclose(found.map_features(rows), expected, atol=1e-6)
        assert isinstance(found.network, SetEncoder)
        torch.testing.assert_close(found.network.class_features, network.class_features)


def test_the_cycle_loss_is_the_formula_said_slowly() -> None:
    names, said = (F.normalize(torch.randn(3, 5), dim=1) for _ in range(2))
    rows, losses = torch.cat([names, said]), []
    for i in range(6):
        others = [torch.exp(rows[i] @ rows[j] / 0.25) for j in range(6) if j != i]
        losses.append(-torch.log(torch.exp(rows[i] @ rows[(i + 3) % 6] / 0.25) / sum(others)))
    torch.testing.assert_close(cycle_loss(names, said), torch.stack(losses).mean())


@pytest.fixture(scope="module")
def raw(models) -> np.ndarray:
    from cir.world.render import render_scene
    from cir.world.scene import sample_scene

    rng = np.random.default_rng(5)
    return models.tower.encode_images([render_scene(sample_scene(rng), 128).image for _ in range(4)])


def refiner_of(models) -> ConceptRefiner:
    found = models.phi("palavra")
    return ConceptRefiner(models.tower, found.network, found.fingerprint)


def test_the_descent_brings_the_sentence_nearer_to_its_picture_than_to_what_it_is_held_against(
    models, raw
) -> None:
    refiner = refiner_of(models)
    for row in raw:
        picture = F.normalize(torch.from_numpy(row[None]), dim=1)
        start = models.phi("palavra").map_features(row[None])
        *_, (steps, found) = refiner.refine(row[None], start, ())
        assert steps == refiner.steps
        against = refiner._against(picture)

        def margin(words: np.ndarray) -> float:
            said = torch.from_numpy(models.tower.encode_spliced("a photo of", words, ""))
            there = refiner.network.as_pictures(said).detach()
            return float(there @ picture.T - (there @ against.T).amax())  # noqa: B023

        assert margin(found) > margin(start)


def test_what_it_descends_from_is_the_class_that_the_picture_shows(models, raw) -> None:
    refiner = refiner_of(models)
    picture = F.normalize(torch.from_numpy(raw[:1]), dim=1)
    classes = refiner.network.as_pictures(refiner.network.class_features)
    likeliest = classes[(picture @ classes.T).argmax()]
    torch.testing.assert_close(refiner._against(picture)[0], likeliest)


def test_a_network_of_another_encoder_and_one_that_is_missing_leave_the_method_out_and_say_why(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("blip*"))
    path = folder / "methods" / "palavra.safetensors"
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        facts = json.loads(file.metadata()["mapping"])
    save_file(state, path, {"mapping": json.dumps({**facts, "trained_for": "clip@another"})})
    foreign = Models("embedded", llm="none", shipped=folder)
    assert "PALAVRA" not in build_methods(ingredients(foreign))
    assert "was made for another CLIP, clip@another" in foreign.missing["mapping network palavra"]
    assert "train mapping --recipe palavra" in foreign.missing["mapping network palavra"]
    path.unlink()
    without = Models("embedded", llm="none", shipped=folder)
    assert "PALAVRA" not in build_methods(ingredients(without))
    assert "train mapping --recipe palavra" in without.missing["mapping network palavra"]
