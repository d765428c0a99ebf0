"""The captioner on a tiny random BLIP-2: sampling, seeds, plurals, folders, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Blip2ForConditionalGeneration
from transformers.utils import logging

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.blip2 import (
    Blip2Captioner,
    NucleusChoice,
    PluralTable,
    TrunkBlip2,
    build_tiny_blip2,
    build_word_tokenizer,
    encode_captions,
    load_captioner,
    save_captioner,
)
from cir.models.words import END_ID, IGNORED, IMAGE_ID, PAD_ID, START_ID, PlaceTable, split_words

WORDS = [
    "a",
    "an",
    "two",
    "three",
    "red",
    "star",
    "<pl>",
    "lake",
    "road",
    "on",
    "the",
    ",",
    "left",
    "beach",
    "pair",
    "of",
    "jeans",
]
PLURALS = {"star": "stars", "pair of jeans": "pairs of jeans", "sheep": "sheep"}


def build(seed: int = 0, image_size: int = 64, places: int = 0) -> tuple[TrunkBlip2, Any]:
    torch.manual_seed(seed)
    tokenizer = build_word_tokenizer(WORDS)
    sizes = {"hidden": 16, "queries": 3, "qformer_layers": 1, "decoder_layers": 1, "heads": 2}
    model = build_tiny_blip2(len(tokenizer), image_size, places=places, **sizes)
    with torch.no_grad():  # so that captions differ from picture to picture
        for parameter in model.language_projection.parameters():
            parameter.mul_(50)
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("models") / "world-captioner"
    save_captioner(*build(), path, {"plurals": PLURALS, "manifest": {"steps": 7}})
    return path


@pytest.fixture(scope="module")
def captioner(folder: Path) -> Blip2Captioner:
    return load_captioner(folder, "cpu")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (70, 90, 3), dtype=np.uint8))


PICTURES = [picture(seed) for seed in range(5)]


def test_a_seed_makes_the_same_captions_again_and_another_makes_others(captioner: Blip2Captioner) -> None:
    first = captioner.caption(PICTURES, per_image=3, seed=5)
    assert first == captioner.caption(PICTURES, per_image=3, seed=5)
    other = captioner.caption(PICTURES, per_image=3, seed=6)
    assert all(mine != theirs for mine, theirs in zip(first, other, strict=True))
    assert [len(captions) for captions in first] == [3] * 5
    assert len({caption for captions in first for caption in captions}) > 10  # 15, nearly all different


def test_fault_63_captions_do_not_depend_on_what_shares_the_batch(
    folder: Path, captioner: Blip2Captioner
) -> None:
    together = captioner.caption(PICTURES, per_image=3, seed=0)
    apart = [captioner.caption([image], per_image=3, seed=0)[0] for image in PICTURES]
    assert apart == together
    assert captioner.caption(PICTURES[::-1], per_image=3, seed=0) == together[::-1]
    more = captioner.caption(PICTURES, per_image=5, seed=0)
    assert [captions[:3] for captions in more] == together


def test_fault_80_a_batch_that_does_not_fit_is_halved_to_the_same_captions(
    captioner: Blip2Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = captioner.caption(PICTURES, per_image=2, seed=0)
    real, tried = captioner.model.generate, []

    def short_of_memory(pixel_values: torch.Tensor, **options: Any) -> torch.Tensor:
        tried.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(pixel_values=pixel_values, **options)

    monkeypatch.setattr(captioner.model, "generate", short_of_memory)
    assert captioner.caption(PICTURES, per_image=2, seed=0) == expected
    assert tried == [5, 2, 2, 1]


def test_captioning_leaves_the_random_numbers_of_others_alone(captioner: Blip2Captioner) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    captioner.caption(PICTURES[:1], per_image=2, seed=0)
    assert torch.equal(torch.rand(4), expected)


def test_equal_and_blank_pictures_are_captioned_like_any_other(captioner: Blip2Captioner) -> None:
    blank = Image.new("RGB", (50, 50), "white")
    captions = captioner.caption([blank, PICTURES[0], blank], per_image=2, seed=0)
    assert captions[0] == captions[2]
    assert captions[0] != captions[1]
    assert captioner.caption([], per_image=2, seed=0) == []


def test_an_empty_caption_is_sampled_again_and_left_out_when_it_stays_empty(
    captioner: Blip2Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[["", "a star"], ["", ""]], [["a lake", "a road"], ["", ""]], [["", ""]]])
    asked = []

    def sample(pixels: torch.Tensor, per_image: int, seed: int, attempt: int) -> list[list[str]]:
        asked.append((len(pixels), attempt))
        return next(answers)

    monkeypatch.setattr(captioner, "_sample", sample)
    assert captioner.caption(PICTURES[:2], per_image=2, seed=0) == [["a star", "a lake"], []]
    assert asked == [(2, 0), (2, 1), (1, 2)]


def test_no_captions_at_all_is_no_wish(captioner: Blip2Captioner) -> None:
    with pytest.raises(CirError, match="0 captions"):
        captioner.caption(PICTURES[:1], per_image=0, seed=0)


def test_captions_are_words_without_marks(captioner: Blip2Captioner) -> None:
    captions = [c for found in captioner.caption(PICTURES, per_image=8, seed=1) for c in found]
    assert any("stars" in caption for caption in captions)
    assert any("," in caption for caption in captions)
    for caption in captions:
        assert caption == " ".join(caption.split())
        assert " ," not in caption
        words = {*WORDS, *["stars", "pairs", "sheep"]} - {"<pl>"}
        assert set(split_words(caption)) <= words


# --- sampling -------------------------------------------------------------------------------------


def choose(probabilities: list[float], number: float, top_p: float = 0.9) -> int:
    scores = torch.tensor([probabilities]).log()
    left = NucleusChoice(torch.tensor([[number]]), top_p)(torch.zeros(1, 1), scores)
    assert torch.isfinite(left).sum() == 1
    return int(left.argmax())


def test_numbers_choose_tokens_in_proportion_to_their_mass_within_the_nucleus() -> None:
    # Nucleus of .9: 0.5 (token 2), 0.3 (token 0), 0.15 (token 3); token 1 is cut. Borders at 6/19 and 16/19.
    probabilities = [0.3, 0.05, 0.5, 0.15]
    chosen = [choose(probabilities, number) for number in (0.0, 0.31, 0.32, 0.84, 0.85, 0.999)]
    assert chosen == [0, 0, 2, 2, 3, 3]


def test_each_step_and_each_row_uses_its_own_number() -> None:
    choice = NucleusChoice(torch.tensor([[0.0, 0.99], [0.99, 0.0]]), top_p=1.0)
    scores = torch.zeros(2, 4)
    tokens = [choice(torch.zeros(2, 1), scores).argmax(dim=-1).tolist() for _ in range(2)]
    assert tokens == [[0, 3], [3, 0]]


def test_the_most_likely_token_is_kept_however_likely_it_is() -> None:
    assert choose([0.02, 0.98], 0.99999) == 1
    assert choose([1.0, 0.0], 0.5) == 0
    assert choose([0.0, 1.0, 0.0], 0.0) == 1
    assert choose([0.0, 1.0, 0.0], 1.0) == 1  # past the end, by rounding


def test_sampled_frequencies_are_those_of_the_nucleus() -> None:
    scores = torch.tensor([0.3, 0.05, 0.5, 0.15]).log().expand(4000, 4)
    numbers = (torch.arange(4000)[:, None] + 0.5) / 4000
    tokens = NucleusChoice(numbers)(torch.zeros(4000, 1), scores).argmax(dim=-1)
    shares = torch.bincount(tokens, minlength=4) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.3, 0.0, 0.5, 0.15]) / 0.95, atol=1e-3, rtol=0)


def test_captions_name_the_place_that_the_reader_sees_and_nothing_else_changes(tmp_path: Path) -> None:
    model, tokenizer = build(places=2)
    phrases = {"water": ["lake", "beach"], "street": ["road"]}
    images, said = [picture(i) for i in range(6)], {}
    for place, name in [(None, "free"), (0, "water"), (1, "street")]:
        if place is not None:
            with torch.no_grad():  # the reader sees this place everywhere
                model.vision_model.places.layers[-1].bias.fill_(-50.0)[place] = 50.0
        extra = {"plurals": PLURALS} | ({"places": phrases} if place is not None else {})
        save_captioner(model, tokenizer, tmp_path / name, extra)
        captions = load_captioner(tmp_path / name, "cpu").caption(images, per_image=4, seed=0)
        said[name] = [re.findall(r"\w+", caption) for row in captions for caption in row]
    words = {word for caption in said["free"] for word in caption}
    assert {"lake", "beach", "road"} <= words
    water, street = {"road": "lake"}, {"lake": "road", "beach": "road"}
    assert said["water"] == [[water.get(word, word) for word in caption] for caption in said["free"]]
    assert said["street"] == [[street.get(word, word) for word in caption] for caption in said["free"]]


def test_a_place_gives_way_as_a_whole_phrase_and_the_longest_first() -> None:
    table = PlaceTable(
        {"road": ["on the road", "on a country road"], "snow": ["in the snow", "on a field of snow"]}
    )
    assert table.correct("two keys on a country road at night", 1) == "two keys on a field of snow at night"
    assert table.correct("in the snow, a key", 0) == "on the road, a key"
    assert table.correct("a key on the road", 0) == "a key on the road"
    assert table.correct("a key on the roadside", 1) == "a key on the roadside"


def test_fault_81_scores_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(CirError, match="not finite"):
        NucleusChoice(torch.zeros(1, 1))(torch.zeros(1, 1), torch.tensor([[0.0, float("nan")]]))


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("two stars on the left, a red star", "two star <pl> on the left, a red star"),
        ("three pairs of jeans, stars", "three pair of jeans <pl>, star <pl>"),
        ("a starship by two starsigns", "a starship by two starsigns"),
        ("two sheep", "two sheep"),
    ],
)
def test_plurals_are_marked_and_written_back(text: str, marked: str) -> None:
    table = PluralTable(PLURALS)
    assert table.mark(text) == marked
    assert table.write(marked) == text


def test_a_plural_mark_that_the_model_misplaced_is_dropped() -> None:
    table = PluralTable(PLURALS)
    assert table.write("<pl> a lake <pl> with two star <pl> <pl>") == "a lake with two stars"
    assert PluralTable().write("two star <pl>") == "two star"
    assert PluralTable().mark("two stars") == "two stars"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*["a", "two", "red", "stars", "star", "lake", ","], "pairs of jeans"]), max_size=9
    )
)
def test_marking_plurals_loses_nothing(words: list[str]) -> None:
    text = " ".join(words)
    assert PluralTable(PLURALS).write(PluralTable(PLURALS).mark(text)) == text


def test_the_tokenizer_gives_special_words_their_fixed_ids_and_reads_commas_apart() -> None:
    tokenizer = build_word_tokenizer(WORDS)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (
        PAD_ID,
        END_ID,
        START_ID,
    )
    assert tokenizer.convert_tokens_to_ids("<image>") == IMAGE_ID
    assert tokenizer.convert_ids_to_tokens(tokenizer("the left, a star <pl>").input_ids) == [
        *("the", "left", ",", "a", "star", "<pl>")
    ]
    assert len(build_word_tokenizer(["a", "<pad>", "a", "b"])) == 6


def test_captions_are_taught_behind_the_image_places() -> None:
    tokenizer = build_word_tokenizer(WORDS)
    batch = encode_captions(tokenizer, ["two star <pl>, a lake", "a road"], queries=2)
    words = tokenizer("two star <pl>, a lake").input_ids
    assert batch["input_ids"][0].tolist() == [IMAGE_ID, IMAGE_ID, START_ID, *words, END_ID]
    assert batch["labels"][0].tolist() == [IGNORED] * 3 + [*words, END_ID]
    road = tokenizer("a road").input_ids
    assert batch["input_ids"][1].tolist() == [IMAGE_ID, IMAGE_ID, START_ID, *road, END_ID, *[PAD_ID] * 4]
    assert batch["labels"][1].tolist() == [IGNORED] * 3 + [*road, END_ID] + [IGNORED] * 4
    assert batch["attention_mask"][1].tolist() == [1] * 6 + [0] * 4


def test_a_word_outside_the_vocabulary_is_an_error_in_teaching() -> None:
    with pytest.raises(KeyError, match="zebra"):
        encode_captions(build_word_tokenizer(WORDS), ["a zebra"], queries=2)


# --- the model ------------------------------------------------------------------------------------


def test_a_fresh_model_is_alive_where_the_released_defaults_leave_it_dead() -> None:
    torch.manual_seed(0)
    model = build_tiny_blip2(21)
    assert model.query_tokens.shape == (1, 12, 192)
    assert 0.015 < model.query_tokens.std() < 0.025
    assert 0.015 < model.vision_model.positions.std() < 0.025
    assert len(model.qformer.encoder.layer) == 2
    assert all(layer.has_cross_attention for layer in model.qformer.encoder.layer)
    assert model.language_model.lm_head.weight is model.language_model.model.decoder.embed_tokens.weight


def test_trunk_maps_can_stand_in_for_pixels() -> None:
    model, tokenizer = build()
    pixels = torch.randn(2, 3, 64, 64)
    maps = model.vision_model.trunk_maps(pixels)
    assert maps.shape == (2, 1280, 2, 2)
    batch = encode_captions(tokenizer, ["a red star", "two lake"], queries=3)
    with torch.no_grad():
        from_pixels = model(pixel_values=pixels, **batch)
        from_maps = model(pixel_values=maps, **batch)
    torch.testing.assert_close(from_maps.loss, from_pixels.loss)
    torch.testing.assert_close(from_maps.logits, from_pixels.logits)
    hidden = model.vision_model(maps=maps).last_hidden_state
    torch.testing.assert_close(hidden, model.vision_model(pixels).last_hidden_state)
    with pytest.raises(ValueError, match="pixel_values or maps"):
        model.vision_model()


def test_training_moves_all_but_the_trunk() -> None:
    model, tokenizer = build()
    model.train()
    trunk = {key: value.clone() for key, value in model.vision_model.trunk.state_dict().items()}
    batch = encode_captions(tokenizer, ["a red star", "two lake"], queries=3)
    model(pixel_values=torch.randn(2, 3, 64, 64), **batch).loss.backward()
    assert all(torch.equal(trunk[key], value) for key, value in model.vision_model.trunk.state_dict().items())
    names = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"query_tokens", "vision_model.positions", "vision_model.adapter.0.weight"} <= names
    assert not any(name.startswith("vision_model.trunk") for name in names)


def test_the_model_learns_to_tell_two_pictures_apart() -> None:
    model, tokenizer = build()
    maps = torch.randn(2, 1280, 2, 2, generator=torch.Generator().manual_seed(0))
    batch = encode_captions(tokenizer, ["a red star", "two lake"], queries=3)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        model(pixel_values=maps, **batch).loss.backward()
        optimiser.step()
    ids = model.generate(pixel_values=maps, do_sample=False, max_new_tokens=6)
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == ["a red star", "two lake"]


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_holds_half_precision_weights_that_load_back(folder: Path) -> None:
    model, _ = build()
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for key, value in stored.items() if "num_batches" not in key} == {torch.float16}
    again = TrunkBlip2.from_pretrained(folder, dtype=torch.float32)
    assert isinstance(again, Blip2ForConditionalGeneration)
    state = again.state_dict()
    assert set(state) == set(model.state_dict())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(state[key], value.half().to(state[key].dtype), rtol=0, atol=0)
    assert next(model.parameters()).dtype == torch.float32  # saving left the model as it was
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8")) == {"steps": 7}


def test_a_folder_says_how_pictures_are_prepared(captioner: Blip2Captioner) -> None:
    grey = Image.new("RGB", (64, 64), (255, 0, 127))
    pixels = captioner.processor.image_processor(images=[grey], return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 64, 64)
    torch.testing.assert_close(pixels[0, :, 0, 0], torch.tensor([1.0, -1.0, -0.0039]), atol=1e-3, rtol=0)


def test_the_fingerprint_changes_with_a_weight(
    folder: Path, tmp_path: Path, captioner: Blip2Captioner
) -> None:
    assert load_captioner(folder).fingerprint == captioner.fingerprint
    assert captioner.fingerprint.startswith("world-captioner@")
    model, tokenizer = build()
    with torch.no_grad():
        model.query_tokens[0, 0, 0] += 0.5
    save_captioner(model, tokenizer, tmp_path / "world-captioner", {"plurals": PLURALS})
    assert load_captioner(tmp_path / "world-captioner").fingerprint != captioner.fingerprint


def test_a_weight_that_half_precision_cannot_hold_is_not_saved(tmp_path: Path) -> None:
    model, tokenizer = build()
    with torch.no_grad():
        model.query_tokens[0, 0, 0] = 1e6
    with pytest.raises(CirError, match="not finite in float16: query_tokens"):
        save_captioner(model, tokenizer, tmp_path / "captioner", {})
    assert not (tmp_path / "captioner").exists()


def test_fault_74_a_captioner_that_is_not_there_is_a_missing_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingModel, match="could not be loaded"):
        load_captioner(tmp_path / "nothing")
    with pytest.raises(MissingModel, match="models pull"):
        load_captioner("Salesforce/blip2-opt-2.7b")


def copy_of(folder: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_fault_71_a_damaged_captioner_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(UnsafeFile, match=r"Remove the folder .* and fetch it again"):
        load_captioner(copy)


@pytest.mark.parametrize(
    "lost", ["query_tokens", "vision_model.adapter.0.weight", "vision_model.trunk.bn1.bias"]
)
def test_absent_weights_are_never_replaced_by_random_ones(folder: Path, tmp_path: Path, lost: str) -> None:
    copy = copy_of(folder, tmp_path)
    state = load_file(copy / "model.safetensors")
    del state[lost]
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsafeFile, match=f"lacks 1 of its weights .{lost}"):
        load_captioner(copy)


def test_fault_72_a_pickle_in_the_place_of_weights_is_not_read(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UnsafeFile, match=r"model\.safetensors"):
        load_captioner(copy)


def test_loading_draws_nothing_on_the_terminal(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.enable_progress_bar()
    load_captioner(folder)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert logging.is_progress_bar_enabled()
