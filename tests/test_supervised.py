"""Supervised methods: their networks, the training that all share, and what of them is shipped."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cir.application import build_models, ingredients
from cir.commands.training_options import FUSION_RECIPES
from cir.composers.method_card import SUPERVISED
from cir.composers.registry import METHODS, build_methods
from cir.errors import BadQuery, UnsafeFile
from cir.evaluation.world import compose_whole
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.models.clip import ClipModel
from cir.models.fusion.files import NETWORKS, load_fusion, save_fusion
from cir.models.fusion.network import FusionNetwork, Seen
from cir.places import ASSETS, SAMPLE_GALLERY
from cir.ranking.retriever import Retriever
from cir.training.fusion import RECIPES, FusionTraining, fusion_settings, recalls
from cir.training.fusion_losses import batch_classification, hard_negative_nce, masked_logits
from cir.training.hycir import TripletFeatures
from cir.training.patches import TripletPatches
from cir.types import Query
from tests.commands import run
from tests.fusion_doubles import small_clip

TEXTS = ["at night", "with a dog", "make it red", "in snow", "two of them", "without the boat"]
recipes = pytest.mark.parametrize("recipe", list(RECIPES))


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return small_clip()


def learnable(count: int = 96) -> TripletFeatures:
    """Targets that follow from reference and edit: each edit moves a picture its own way."""
    rng = np.random.default_rng(3)
    references = rng.normal(size=(count, 32)).astype(np.float32)
    ways = 2.0 * rng.normal(size=(len(TEXTS), 32)).astype(np.float32)
    said = rng.integers(len(TEXTS), size=count)
    texts = [TEXTS[i] for i in said]
    targets, each = references + ways[said], np.arange(count)
    pictures = torch.from_numpy(np.concatenate([references, targets]))
    patches = torch.stack([pictures.roll(shift, dims=1) for shift in range(4)], dim=1)
    read = TripletPatches(each, count + each, patches.numpy().__getitem__)
    return TripletFeatures(references, targets, texts, each, read, captions=texts)


def trained(
    recipe: str, clip: ClipModel, folder: Path, steps: int, triplets: TripletFeatures
) -> FusionNetwork:
    settings = fusion_settings(recipe, len(triplets), triplets=32, steps=steps, save_every=steps)
    training = FusionTraining(recipe, clip, triplets, settings, folder)
    list(training.run())
    return training.fusion


def test_the_names_on_the_command_line_are_those_of_the_recipes_and_of_the_networks() -> None:
    assert set(FUSION_RECIPES) == set(RECIPES) == set(NETWORKS)


def test_batch_classification_is_the_loop_and_counts_an_equal_target_as_no_negative() -> None:
    rng = np.random.default_rng(5)
    queries, targets = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in rng.normal(size=(2, 5, 8)))
    ids = [0, 1, 1, 2, 0]
    total = 0.0
    for i in range(5):
        others = [j for j in range(5) if j == i or ids[i] != ids[j]]
        exponents = {j: math.exp(3.0 * float(queries[i] @ targets[j])) for j in others}
        total -= math.log(exponents[i] / sum(exponents.values()))
    found = batch_classification(
        torch.from_numpy(2 * queries), torch.from_numpy(3 * targets), torch.tensor(ids), 3.0
    )
    assert found.item() == pytest.approx(total / 5, rel=1e-9)


def test_the_loss_of_hard_negatives_is_the_loop_and_without_hardness_the_classification() -> None:
    rng = np.random.default_rng(6)
    queries, candidates = (
        torch.from_numpy(rows / np.linalg.norm(rows, axis=1)[:, None])
        for rows in (rng.normal(size=(4, 8)), rng.normal(size=(7, 8)))
    )
    ids = [0, 1, 1, 2, 5, 0, 6]
    total = 0.0
    for i in range(4):
        scores = [3.0 * float(queries[i] @ candidate) for candidate in candidates]
        negatives = [j for j in range(7) if ids[j] != ids[i]]
        hardness = {j: math.exp(0.5 * scores[j]) for j in negatives}
        weighed = sum(
            len(negatives) * hardness[j] / sum(hardness.values()) * math.exp(scores[j]) for j in negatives
        )
        total -= math.log(math.exp(scores[i]) / (0.7 * math.exp(scores[i]) + weighed))
    logits = masked_logits(queries, candidates, torch.tensor(ids), 3.0)
    assert hard_negative_nce(logits, alpha=0.7, beta=0.5).item() == pytest.approx(total / 4, rel=1e-9)
    plain = batch_classification(queries, candidates, torch.tensor(ids), 3.0)
    torch.testing.assert_close(hard_negative_nce(logits, alpha=1.0, beta=0.0), plain)
    nothing_else = masked_logits(queries[:1], candidates[:1], torch.tensor([0]), 3.0).requires_grad_()
    loss = hard_negative_nce(nothing_else)
    loss.backward()
    assert loss.item() == 0.0
    assert nothing_else.grad is not None
    assert nothing_else.grad.isfinite().all()


@recipes
def test_a_network_learns_where_an_edit_leads(recipe: str, clip: ClipModel, tmp_path: Path) -> None:
    triplets = learnable()
    gallery = np.concatenate([triplets.references, triplets.targets])
    references = np.arange(len(triplets))
    asked = replace(triplets, target_ids=references + len(references))
    fresh, after = (
        recalls(trained(recipe, clip, tmp_path / str(n), n, triplets), clip, asked, references, gallery)
        for n in (1, 600 if recipe == "compodiff" else 200)  # it learns no contrast: that takes longer
    )
    assert after["R@1"] > 30.0
    assert after["R@1"] > fresh["R@1"] + 20.0


@recipes
def test_a_training_that_went_on_is_the_one_that_never_stopped(
    recipe: str, clip: ClipModel, tmp_path: Path
) -> None:
    triplets = learnable()
    settings = fusion_settings(recipe, len(triplets), triplets=32, steps=4, save_every=2)
    whole = FusionTraining(recipe, clip, triplets, settings, tmp_path / "whole")
    list(whole.run())
    begun = FusionTraining(recipe, clip, triplets, settings, tmp_path / "parts")
    for row in begun.run():
        if row["step"] == 3:  # one step past the last checkpoint: it is made again
            break
    rest = FusionTraining(recipe, clip, triplets, settings, tmp_path / "parts")
    assert rest.step == 2
    list(rest.run())
    state = whole.fusion.state_dict()
    for name, tensor in rest.fusion.state_dict().items():
        torch.testing.assert_close(tensor, state[name], msg=name)


@recipes
def test_a_network_that_was_written_and_read_makes_the_same_query(
    recipe: str, clip: ClipModel, tmp_path: Path
) -> None:
    network = trained(recipe, clip, tmp_path / "run", 3, learnable())
    path = tmp_path / "network.safetensors"
    save_fusion(network, path, {"trained_for": clip.fingerprint})
    model = load_fusion(path, clip)
    picture = Image.effect_noise((32, 32), 90.0).convert("RGB")
    row = model.fuse(picture, "at night")
    assert row.shape == (3 if recipe == "compodiff" else 1, 32)
    np.testing.assert_allclose(np.linalg.norm(row, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(row, model.fuse(picture, "at night"))
    assert not np.allclose(row, model.fuse(picture, "with a dog"), atol=1e-4)
    assert not np.allclose(row, model.fuse(Image.new("RGB", (32, 32), "blue"), "at night"), atol=1e-4)
    network.eval()
    with torch.inference_mode():
        seen = network.seen(clip, [picture])
        whole = torch.nn.functional.normalize(network.rows(seen, network.edits(clip, ["at night"])), dim=1)
    np.testing.assert_allclose(row, whole.numpy(), atol=0.02)  # half precision


def test_a_network_of_another_clip_and_what_is_none_are_refused(clip: ClipModel, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_fusion(RECIPES["tirg"].build(clip), path, {"trained_for": "another@1"})
    with pytest.raises(
        BadQuery, match=r"trained for another@1, and the CLIP here is small.*train fusion --recipe tirg"
    ):
        load_fusion(path, clip)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnsafeFile, match=r"no whole safetensors file.*train fusion"):
        load_fusion(path, clip)


def test_a_tuned_text_tower_reads_edits_anew_and_leaves_the_set_s_own_as_it_was(
    clip: ClipModel, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in clip.model.state_dict().items()}
    said = clip.encode_texts(TEXTS)
    settings = fusion_settings("clip4cir", 96, triplets=32, steps=40, save_every=40)
    training = FusionTraining("clip4cir", clip, learnable(), settings, tmp_path)
    np.testing.assert_allclose(training.fusion.edits(clip, TEXTS).detach().numpy(), said, atol=1e-5)
    list(training.run())
    assert np.abs(training.fusion.edits(clip, TEXTS).detach().numpy() - said).max() > 0.01
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.model.state_dict().items())
    np.testing.assert_array_equal(clip.encode_texts(TEXTS), said)


def test_the_marks_of_both_directions_make_two_edits_of_one_text_and_the_first_is_searched_with(
    clip: ClipModel, tmp_path: Path
) -> None:
    network = trained("blip4cir-bi", clip, tmp_path, 40, learnable()).eval()
    edits = network.edits(clip, TEXTS)
    assert edits.shape == (len(TEXTS), 2, 32)
    assert (edits[:, 0] - edits[:, 1]).abs().max() > 0.01
    references = Seen(torch.randn(len(TEXTS), 32))
    torch.testing.assert_close(network(references, edits), network(references, edits[:, 0]))


def test_a_set_whose_shipped_network_is_gone_says_how_it_is_trained(tmp_path: Path) -> None:
    shutil.copytree(ASSETS / "models" / "clip", tmp_path / "clip")
    bare = build_models("embedded", llm="none", clip=tmp_path / "clip")
    bare._parts._shipped = tmp_path
    assert "TIRG" not in build_methods(ingredients(bare))
    assert "train fusion --recipe tirg --from world" in bare.missing["network tirg"]


@pytest.mark.parametrize("name", ["embedded", "embedded-blip"])
def test_every_shipped_network_finds_more_than_the_sum(name: str) -> None:
    models = build_models(name, llm="none")
    rows = json.loads((SAMPLE_GALLERY / "queries.json").read_text(encoding="utf-8"))[:60]
    files = sorted({row[side] for row in rows for side in ("reference", "target")})
    pictures = {file: read_image(next((SAMPLE_GALLERY / "images").rglob(file))) for file in files}
    gallery = Gallery.from_features("some", files, models.clip.encode_images(list(pictures.values())))
    made = build_methods(ingredients(models))
    shipped = [card.name for card in METHODS if card.family == SUPERVISED and card.name in made]
    assert len(shipped) == len(models.set.fusion)
    retriever = Retriever(gallery, {name: made[name] for name in (*shipped, "Sum")})
    first = {}
    for method, composer in retriever.composers.items():
        found = [
            retriever.rank_of(
                compose_whole(composer, Query(pictures[row["reference"]], row["text"])),
                retriever.defaults(method),
                row["target"],
                exclude=[row["reference"]],
            )
            for row in rows
        ]
        first[method] = np.mean([rank == 1 for rank in found])
    assert all(first[method] > first["Sum"] for method in shipped), first


def test_of_a_photograph_the_query_says_what_it_shows(models) -> None:
    photograph = read_image(next((ASSETS / "check").glob("*.*")))
    composer = build_methods(ingredients(models))["TIRG"]
    (row,) = compose_whole(composer, Query(photograph, "at night")).parts.values()
    drawing = read_image(next((SAMPLE_GALLERY / "images").rglob("*.webp")))
    own, drawn = models.clip.encode_images([photograph, drawing])
    assert float(row @ own) / np.linalg.norm(own) > 0.5
    assert float(row @ drawn) / np.linalg.norm(drawn) < 0.2


def test_the_command_trains_on_triplets_of_a_gallery_and_finds_it_done(tmp_path: Path, capsys) -> None:
    out = tmp_path / "network.safetensors"
    line = f"train fusion --recipe tirg --from syncir --steps 3 --runs {tmp_path / 'runs'} --out {out}"
    status, _, said = run(capsys, *line.split())
    assert status == 0, said
    model = load_fusion(out, build_models("embedded", llm="none").tower)
    assert model.metadata["from"] == "syncir"
    assert model.metadata["steps"] == 3
    assert model.metadata["triplets"] > 1000
    assert "It was trained before" in run(capsys, *line.split())[2]
    picture = next((SAMPLE_GALLERY / "images").rglob("*.webp"))
    search = f"search --method TIRG --llm none --image {picture} --text night --top-k 5 --json".split()
    shipped, own = (json.loads(run(capsys, *search, *more)[1]) for more in ([], ["--network", out]))
    assert [r["score"] for r in shipped["results"]] != [r["score"] for r in own["results"]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train fusion", "pic2word is no recipe of `train fusion`"),
        ("train fusion --recipe hycir", "Give --recipe with one of: tirg"),
        ("train mapping --recipe tirg", "tirg is no recipe of `train mapping`"),
        ("search --text x --network none.safetensors", "There is no network at none.safetensors"),
        (
            "search --text x --network assets/models/mapping/hycir.safetensors",
            "is no network of a supervised method",
        ),
        (
            "search --text x --llm none --method BLIP4CIR+Bi",
            "train fusion --recipe blip4cir-bi --from syncir",
        ),
        ("train fusion --recipe tirg --gallery x", "--gallery has no meaning for fusion from world"),
        ("train fusion --recipe tirg --models laptop", "--from syncir --gallery NAME"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys, line: str, said: str) -> None:
    status, _, wrote = run(capsys, *line.split())
    assert status != 0
    assert said in wrote
