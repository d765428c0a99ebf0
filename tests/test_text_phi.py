"""A mapping network from texts: the captions, the closed form, LinCIR's steps after it, and how it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from cir.__main__ import main
from cir.application import build_models
from cir.errors import CirError
from cir.models.clip import ClipModel
from cir.models.mapping import load_mapping
from cir.training import made_mapping
from cir.training.hycir import HycirSettings
from cir.training.lincir import RELATIVE_NOISE
from cir.training.made_mapping import Source, make_mapping
from cir.training.plain_captions import plain_captions, plain_nouns, plain_words, words_of, world_captions
from cir.training.text_phi import TextPhiTraining, closed_form, network_of_line, ridge, whole_words

TOKENIZER = open_clip.SimpleTokenizer(context_length=32)
NOUNS = plain_nouns()[:400]
CAPTIONS = plain_captions(NOUNS, 300)
WORDS = words_of(NOUNS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    torch.manual_seed(0)
    model = CLIP(
        embed_dim=24,
        vision_cfg={"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        text_cfg={"context_length": 32, "vocab_size": 49408, "width": 20, "heads": 2, "layers": 1},
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return ClipModel(model, TOKENIZER, lambda image: torch.zeros(3, 32, 32), "tiny", "tiny@0")


def settings(**changes: object) -> HycirSettings:
    return HycirSettings(**{"images": 16, "rate": 3e-3, "steps": 40, "dropout": 0.0, **changes})


def test_there_are_sixty_thousand_captions_and_ten_thousand_words_for_a_clip_to_learn_from() -> None:
    nouns = plain_nouns()
    captions = plain_captions(nouns, 60_000)
    assert len(set(captions)) == 60_000
    assert len(whole_words_of_the_tokenizer()) >= 10_000
    spoken = {word for caption in captions for word in caption.split()}
    assert len(spoken) > 10_000  # they speak of everything, not of a few things
    assert plain_captions(nouns, 50) == captions[:50]
    assert plain_captions(nouns, 50, seed=1) != captions[:50]


def whole_words_of_the_tokenizer() -> list[str]:
    return [word for word in plain_words() if f"{word}</w>" in TOKENIZER.encoder]


def test_captions_are_english_phrases_of_the_grammar() -> None:
    for caption in plain_captions(["owl", "garden hose"], 500):
        assert "owl" in caption or "garden hose" in caption
        assert " a owl" not in f" {caption}"
        assert "  " not in caption


def test_captions_of_the_world_say_nothing_that_is_held_out() -> None:
    captions = world_captions(300)
    assert len(set(captions)) == 300
    assert {"red", "small"} <= set(words_of(captions))


def test_the_ridge_is_the_least_squares_over_features_that_are_disturbed_as_lincir_does() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    words = (features @ rng.standard_normal((8, 5)) + 0.3).astype(np.float32)
    matrix, added = ridge(features, words)
    times = 6000
    amount = rng.random((times * 60, 1)) * RELATIVE_NOISE / np.sqrt(8)
    disturbed = np.tile(features, (times, 1)) + amount * rng.standard_normal((times * 60, 8))
    slow = np.linalg.lstsq(
        np.hstack([disturbed, np.ones((len(disturbed), 1))]), np.tile(words, (times, 1)), rcond=None
    )[0]
    np.testing.assert_allclose(matrix, slow[:-1], atol=0.02)
    np.testing.assert_allclose(added, slow[-1], atol=0.02)


def test_a_network_begins_as_exactly_the_line_at_the_length_of_words() -> None:
    rng = np.random.default_rng(1)
    matrix, added = rng.standard_normal((24, 20)), rng.standard_normal(20)
    network = network_of_line(matrix, added, word_length=3.0).eval()
    features = F.normalize(torch.randn(7, 24), dim=1)
    line = features.double() @ torch.from_numpy(matrix) + torch.from_numpy(added)
    wanted = F.layer_norm(line, (20,)) * 3.0 / 20**0.5
    torch.testing.assert_close(network(features)[:, 0].double(), wanted, atol=1e-4, rtol=1e-4)


def test_the_closed_form_leads_from_a_words_text_to_a_word_that_means_it() -> None:
    clip = build_models("embedded", llm="none").tower
    words = words_of(world_captions(3000))
    network = closed_form(clip, words, lambda _: None).eval()
    known = [word for word, _ in whole_words(clip, words)]
    features = clip.encode_texts([f"a photo of {word}" for word in known])
    with torch.inference_mode():
        found = clip.encode_spliced("a photo of", network(torch.from_numpy(features)).numpy(), "")
    right = ((found @ features.T).argmax(axis=1) == np.arange(len(known))).mean()
    assert right > 0.5  # of some 380 words


def test_steps_after_the_closed_form_bring_masked_captions_nearer_to_whole_ones(
    clip: ClipModel, tmp_path: Path
) -> None:
    training = TextPhiTraining(clip, CAPTIONS, WORDS, settings(), tmp_path)
    losses = [row["loss"] for row in training.run()]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_a_training_that_is_stopped_goes_on_as_one_that_never_was(clip: ClipModel, tmp_path: Path) -> None:
    said: list[str] = []
    whole = TextPhiTraining(clip, CAPTIONS, WORDS, settings(steps=6), tmp_path / "whole")
    list(whole.run())
    first = TextPhiTraining(clip, CAPTIONS, WORDS, settings(steps=6, save_every=3), tmp_path / "two")
    for row in first.run():
        if row["step"] == 4:  # saved at 3
            break
    second = TextPhiTraining(
        clip, CAPTIONS, WORDS, settings(steps=6, save_every=3), tmp_path / "two", said.append
    )
    assert second.step == 3
    assert not said  # the closed form is not reckoned again
    list(second.run())
    for key, tensor in whole.trained().state_dict().items():
        torch.testing.assert_close(second.trained().state_dict()[key], tensor, atol=1e-6, rtol=0)


def test_a_network_is_written_with_what_it_was_made_for_and_searches(
    clip: ClipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_mapping, "source_of", lambda *_: Source(CAPTIONS, WORDS))
    monkeypatch.setattr(made_mapping, "BATCH", 16)
    out = make_mapping(
        clip, tmp_path / "made" / "phi.safetensors", model_set="laptop", runs=tmp_path, minutes=0
    )
    phi = load_mapping(out)
    assert (phi.normalise_input, phi.tokens, phi.input_dim, phi.word_width) == (True, 1, 24, 20)
    assert {key: phi.metadata[key] for key in ("recipe", "trained_for", "model_set", "steps")} == {
        "recipe": "lincir",
        "trained_for": "tiny@0",
        "model_set": "laptop",
        "steps": 0,
    }
    longer = make_mapping(clip, out, model_set="laptop", runs=tmp_path, minutes=0.01)
    assert load_mapping(longer).metadata["steps"] > 0
    assert len(list(tmp_path.glob("mapping-texts-laptop-*"))) == 1  # gone on with, not begun anew


def test_words_that_the_tokenizer_hardly_has_are_refused(clip: ClipModel) -> None:
    with pytest.raises(CirError, match="has 1 whole"):
        closed_form(clip, ["dog", "benthosaurus"], lambda _: None)


def test_texts_are_for_lincir_alone_and_go_without_a_gallery(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mapping", "--texts", "plain"]) == 2
    assert "--texts has no meaning for mapping, pic2word" in capsys.readouterr().err
    assert main(["train", "mapping", "--recipe", "lincir", "--texts", "plain", "--gallery", "sample"]) == 2
    assert "--gallery has no meaning for mapping with --texts, lincir" in capsys.readouterr().err


def test_the_command_makes_a_network_for_the_embedded_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        made_mapping, "source_of", lambda *_: Source(world_captions(200), words_of(world_captions(2000)))
    )
    out = tmp_path / "phi.safetensors"
    line = [
        "train",
        "mapping",
        "--recipe",
        "lincir",
        "--texts",
        "world",
        "--minutes",
        "0",
        "--runs",
        str(tmp_path),
    ]
    assert main([*line, "--out", str(out)]) == 0
    assert f"--phi {out}" in capsys.readouterr().out
    facts = load_mapping(out).metadata
    assert (facts["model_set"], facts["texts"]) == ("embedded", "world")
    assert json.dumps(facts)


def test_pulling_a_set_makes_its_network_once_and_the_set_then_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tower = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        projection_dim=24, text_config=tower, vision_config={**tower, "image_size": 32, "patch_size": 16}
    )
    CLIPModel(config).save_pretrained(tmp_path / "BGE-VL-base")  # as if it had just been fetched
    (tmp_path / "BGE-VL-base" / "preprocessor_config.json").write_text('{"size": 32}', encoding="utf-8")
    monkeypatch.setenv("CIR_HOME", str(tmp_path))
    monkeypatch.setattr("cir.models.catalog.pull", lambda *_, **__: [])
    monkeypatch.setattr(made_mapping, "source_of", lambda *_: Source(CAPTIONS, WORDS))
    assert main(["models", "pull", "laptop", "--minutes", "0"]) == 0
    assert "made LinCIR from texts" in capsys.readouterr().out
    models = build_models("laptop", llm="none")
    phi = models.phi()
    assert phi is not None, models.missing
    assert phi.metadata["trained_for"] == models.clip.fingerprint
    assert main(["models", "pull", "laptop", "--minutes", "0"]) == 0
    assert "made" not in capsys.readouterr().out
