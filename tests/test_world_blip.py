"""The embedded BLIP's training: its words, its loss, where it starts, that it learns, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from cir.__main__ import main
from cir.models.clip import load_clip
from cir.places import ASSETS
from cir.training import pictures, recipes, world_blip
from cir.training.pictures import CachedPictures, encode_pictures
from cir.training.trunk import trained_trunk
from cir.training.world_blip import (
    BlipTeacher,
    WorldWords,
    blip_loss,
    new_teacher,
    soft_targets,
    world_pieces,
)
from cir.training.world_clip import TextBatch, noun_loss

CLIP = ASSETS / "models" / "clip"


@pytest.fixture(autouse=True, scope="module")
def _small() -> Any:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_blip, "SPOKEN", 300)
        patch.setattr(pictures, "CHUNK_PAIRS", 8)
        yield


@pytest.fixture(scope="module")
def words() -> WorldWords:
    return WorldWords(world_pieces())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a few encoded pictures, seen by the shipped trunk."""
    runs, trunk = tmp_path_factory.mktemp("runs"), trained_trunk(CLIP)
    for name, (seed, held_out) in {"pictures": (1, False), "held_out": (77, True)}.items():
        encode_pictures(runs / name, trunk, pairs=8, seed=seed, held_out=held_out)
    return runs


@pytest.fixture
def teacher(words: WorldWords) -> BlipTeacher:
    torch.manual_seed(0)
    return new_teacher(words, CLIP)


def test_every_word_of_the_world_is_whole_and_any_other_is_one_unknown_one(words: WorldWords) -> None:
    for text in (
        "a photo of two red dogs on the beach at night",
        "three tiny jack-o'-lanterns, but in the desert",
    ):
        row = words.row(text)
        assert words.unknown(np.random.default_rng(0)) not in row
        assert (row[0], row[-1]) == (words.pieces.sot_token_id, words.pieces.eot_token_id)
    known, strange = words.row("a dog in the garden"), words.row("a zzyzx in the garden")
    assert [i for i, (a, b) in enumerate(zip(known, strange, strict=True)) if a != b] == [2]
    assert strange[2] == words.pieces.unknown_id


def test_it_starts_with_the_image_features_and_the_words_of_clip(
    teacher: BlipTeacher, words: WorldWords
) -> None:
    clip = load_clip(CLIP, device="cpu")
    pixels = torch.randn(2, 3, 128, 128)
    towers = teacher.clip.eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            towers.encode_image(pixels), clip.model.encode_image(pixels), atol=1e-4, rtol=1e-4
        )
        (ours,), (theirs,) = (encoder.encode("dog") for encoder in (words.pieces, clip.tokenizer))
        torch.testing.assert_close(
            towers.token_embedding.weight[ours], clip.model.token_embedding.weight[theirs].float()
        )


def test_targets_are_all_that_show_the_same_and_in_part_what_the_slow_copies_see() -> None:
    same = torch.tensor([[True, False, True], [False, True, False]])
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    hard = torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(soft_targets(same, logits, 0.0), hard)
    expected = 0.6 * hard + 0.4 * torch.softmax(logits, dim=1)
    torch.testing.assert_close(soft_targets(same, logits, 0.4), expected)


def test_the_loss_is_that_of_a_loop_over_texts_and_pictures(
    teacher: BlipTeacher, words: WorldWords, runs: Path
) -> None:
    seen = CachedPictures(runs / "pictures")
    batch = TextBatch(seen, np.array([0, 1]), np.random.default_rng(0), words)
    batch.keys[2] = batch.keys[0]  # two pictures that show the same
    pooled, extra = seen.pooled(np.arange(4)), seen.pooled(np.arange(4, 9))
    extra_keys = torch.tensor([int(batch.keys[1]), 11, 12, 13, 14])
    teacher.remember(F.normalize(torch.randn(3, 256), dim=1), torch.tensor([int(batch.keys[3]), 21, 22]))
    queue = teacher.queue
    with torch.no_grad():
        loss, _ = blip_loss(teacher, pooled, extra, extra_keys, batch, 0.0)  # no soft share yet
        texts = F.normalize(teacher.encode_rows(batch.rows), dim=1)
        images = F.normalize(teacher.clip.visual.head(torch.cat([pooled, extra])), dim=1)
        scale = teacher.clip.logit_scale.exp()
        wanted = noun_loss(
            teacher,
            (teacher.encode_rows(batch.rows), teacher.clip.visual.head(pooled)),
            batch,
            0.0,
        )
        keys = [int(key) for key in batch.keys]
        text_keys, image_keys = [*keys, keys[3], 21, 22], [*keys, *extra_keys.tolist()]
        for own, others, other_keys in (
            (texts, images, image_keys),
            (images[:4], torch.cat([texts, queue]), text_keys),
        ):
            for i, key in enumerate(keys):
                logs = torch.log_softmax(scale * others @ own[i], dim=0)
                wanted = wanted - logs[[k == key for k in other_keys]].mean() / 8
    torch.testing.assert_close(loss, wanted, atol=1e-4, rtol=1e-4)
    assert len(teacher.queue) == 7
    assert teacher.queue_keys[:4].tolist() == keys


def test_texts_and_pictures_come_together_and_the_slow_copies_follow(
    teacher: BlipTeacher, words: WorldWords, runs: Path
) -> None:
    seen, rng = CachedPictures(runs / "pictures"), np.random.default_rng(0)
    trained = [p for p in teacher.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    before = teacher.slow.clip.text_projection.weight.clone()
    first, right = 0.0, 0.0
    for step in range(40):
        batch = TextBatch(seen, np.arange(4), rng, words)
        empty = torch.zeros(0, 1280), torch.zeros(0, dtype=torch.long)
        loss, measures = blip_loss(teacher, seen.pooled(np.arange(8)), *empty, batch, step / 40)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        teacher.follow()
        first, right = first or loss.item(), measures["accuracy"]
    assert loss.item() < 0.5 * first
    assert right >= 0.75
    moved = (teacher.slow.clip.text_projection.weight - before).abs().max()
    behind = (teacher.slow.clip.text_projection.weight - teacher.clip.text_projection.weight).abs().max()
    assert behind.item() > 0
    assert moved.item() > 0


def test_the_command_writes_what_is_loaded_as_a_blip(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "PICTURES", {"pictures": (8, 1, False), "held_out": (8, 77, True)})
    monkeypatch.setattr(world_blip, "evaluate_clip", lambda *_: {"1k R@1": 0.0})
    monkeypatch.setattr(world_blip, "EXTRA_PICTURES", 8)
    out = tmp_path / "blip"
    assert main(["train", "world-blip", "--minutes", "0.05", "--runs", str(runs), "--out", str(out)]) == 0
    assert sum(path.stat().st_size for path in out.iterdir()) < 15e6
    blip = load_clip(out, device="cpu")
    assert (blip.dim, blip.word_width, blip.text_length_limit) == (256, 192, 77)
    (folder,) = runs.glob("blip-*")
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)["model"]
    for name in ("text_encoder.encoder.layer.2.output.dense.weight", "visual.head.0.weight"):
        trained = state[f"clip.{name}"]
        torch.testing.assert_close(blip.model.state_dict()[name], trained.half().float())
    assert blip.model.logit_scale.item() == pytest.approx(state["clip.logit_scale"].item(), abs=1e-6)
    grey = Image.new("RGB", (200, 100), (128, 128, 128))
    assert np.abs(blip.preprocess(grey).numpy()).max() < 0.01  # the middle of the trunk's range
    text = blip.encode_spliced("a photo of", np.zeros((1, 1, 192), np.float32), "in the garden")
    assert np.linalg.norm(text) == pytest.approx(1.0, abs=1e-5)


def test_pictures_go_to_where_the_head_is(runs: Path) -> None:
    """A GPU's head was given what lies in the computer's own memory; a device without contents stands for one."""
    seen, given = CachedPictures(runs / "pictures"), []
    head = torch.nn.Linear(1280, 8, device="meta")

    def on_its_device(module: torch.nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
        given.append(args[0].device.type)
        return torch.ones(out.shape)

    head.register_forward_hook(on_its_device)
    assert seen.features(head, np.arange(4)).shape == (4, 8)
    assert given == ["meta"]
