"""BLIP's contrastive half as encoder: the features of transformers, splicing, padding, limits, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from blip_doubles import LETTERS, SIDE, WORDS, random_blip, save_blip, small_config, word_pieces
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BertTokenizerFast, BlipForImageTextRetrieval

from cir.errors import MissingModel, UnsafeFile
from cir.models.clip import ClipModel, load_clip
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice

SENTENCES = ["a photo of a dog", "the cat that is blue, on the left, costs $5", "bird", ""]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def theirs() -> BlipForImageTextRetrieval:
    return random_blip()


@pytest.fixture(scope="module")
def folder(theirs: BlipForImageTextRetrieval, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip(tmp_path_factory.mktemp("blip"), theirs)


@pytest.fixture(scope="module")
def blip(folder: Path) -> ClipModel:
    return load_clip(folder, device="cpu")


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8))


def plain(model: BlipForImageTextRetrieval, text: str, limit: int = 24) -> np.ndarray:
    """What transformers makes of one text alone, without any padding, by its class and BERT's tokenizer."""
    tokenizer = BertTokenizerFast(tokenizer_object=word_pieces(), model_max_length=limit)
    ids = [2, *tokenizer(text, add_special_tokens=False, truncation=False).input_ids[: limit - 2], 3]
    with torch.inference_mode():
        found = model.text_encoder(input_ids=torch.tensor([ids])).last_hidden_state[:, 0]
        return model.text_proj(found).numpy()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def word_of(blip: ClipModel, word: str) -> np.ndarray:
    (token,) = blip.tokenizer.encode(word)
    return blip.model.token_embedding.weight[token].detach().numpy().reshape(1, 1, -1)


def test_cosines_are_those_of_transformers_contrastive_half(
    blip: ClipModel, theirs: BlipForImageTextRetrieval
) -> None:
    pixels = torch.stack([blip.preprocess(picture(i)) for i in range(3)])
    images = unit(blip.encode_images([picture(i) for i in range(3)]))
    for text in SENTENCES:
        ids = torch.tensor([[2, *blip.tokenizer.encode(text), 3]])
        with torch.inference_mode():
            wanted = theirs(ids, pixels, use_itm_head=False).itm_score[:, 0].numpy()
        np.testing.assert_allclose(images @ blip.encode_texts([text])[0], wanted, atol=1e-5)


def test_texts_that_are_padded_to_the_longest_have_the_features_of_texts_alone(
    blip: ClipModel, theirs: BlipForImageTextRetrieval
) -> None:
    wanted = np.concatenate([plain(theirs, text) for text in SENTENCES])
    np.testing.assert_allclose(blip.encode_raw_texts(SENTENCES), wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("prefix", "suffix", "tail"),
    [
        ("", "on the left", ""),
        ("a photo of", ", blue", "that is 5"),
        ("a photo of the", "", ""),
        ("", "", ""),
    ],
    ids=["at the start", "in the middle", "at the end", "alone"],
)
def test_splicing_a_words_own_embedding_gives_the_features_of_the_sentence(
    blip: ClipModel, theirs: BlipForImageTextRetrieval, prefix: str, suffix: str, tail: str
) -> None:
    sentence = " ".join(part for part in (prefix, "cat", suffix, tail) if part)
    spliced = blip.encode_spliced(prefix, word_of(blip, "cat"), suffix, tail)
    np.testing.assert_allclose(spliced, unit(plain(theirs, sentence)), atol=1e-5)


def test_several_pseudo_words_stand_in_their_order_and_each_row_has_its_own(
    blip: ClipModel, theirs: BlipForImageTextRetrieval
) -> None:
    pairs = [("cat", "dog"), ("dog", "cat"), ("bird", "left")]
    words = np.concatenate([np.concatenate([word_of(blip, w) for w in pair], axis=1) for pair in pairs])
    wanted = np.concatenate([unit(plain(theirs, f"a photo of {a} {b} in snow")) for a, b in pairs])
    np.testing.assert_allclose(blip.encode_spliced("a photo of", words, "in snow"), wanted, atol=1e-5)
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=22).map(" ".join), min_size=1, max_size=4))
def test_a_text_says_the_same_whatever_is_read_beside_it(blip: ClipModel, texts: list[str]) -> None:
    alone = np.concatenate([blip.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(blip.encode_texts(texts), alone, atol=2e-5)


def test_words_behind_a_pseudo_word_change_what_the_sentence_says(blip: ClipModel) -> None:
    """[CLS] stands in front of all of them: a tower that reads left to right would not see any."""
    cat = word_of(blip, "cat")
    blue, red = (blip.encode_spliced("a photo of", cat, word) for word in ("that is blue", "that is red"))
    assert np.abs(blue - red).max() > 1e-3


def test_gradients_flow_through_the_splice_to_the_pseudo_words(blip: ClipModel) -> None:
    rng = np.random.default_rng(0)
    start = torch.from_numpy(rng.normal(size=(2, 1, blip.word_width)).astype(np.float32))
    rows = [blip.spliced_tokens("a photo of", ""), blip.spliced_tokens("the", "on the left, blue")]

    def score(words: torch.Tensor) -> torch.Tensor:
        return encode_with_embeddings(blip.model, *splice(blip.model, rows, words)).square().sum()

    words = start.clone().requires_grad_(True)
    score(words).backward()
    assert words.grad is not None
    step = 1e-3
    for place in ((0, 0, 3), (1, 0, 7)):
        moved = [start.clone(), start.clone()]
        moved[0][place] += step
        moved[1][place] -= step
        slope = (score(moved[0]) - score(moved[1])).item() / (2 * step)
        assert float(words.grad[place]) == pytest.approx(slope, rel=0.05, abs=0.05)


def test_the_spliced_embeddings_are_left_as_they_are(blip: ClipModel) -> None:
    embeddings, ends = splice(blip.model, [[2, PSEUDO_WORD, 3]], torch.ones(1, 1, blip.word_width))
    before = embeddings.clone()
    with torch.inference_mode():
        first = encode_with_embeddings(blip.model, embeddings, ends)
        second = encode_with_embeddings(blip.model, embeddings, ends)
    assert torch.equal(embeddings, before)
    assert torch.equal(first, second)


def test_a_long_text_is_cut_at_blips_own_limit_and_keeps_its_end_mark(
    blip: ClipModel, theirs: BlipForImageTextRetrieval
) -> None:
    assert blip.text_length_limit == 24
    long = "the cat is very blue " * 9
    np.testing.assert_allclose(blip.encode_texts([long]), unit(plain(theirs, long)), atol=1e-5)
    row = blip.spliced_tokens("a photo of", "very " * 40, "in snow", words=4)
    assert (len(row) - 1 + 4, row[0], row[-1]) == (24, 2, 3)
    assert row[-3:-1] == blip.tokenizer.encode("in snow")


def test_a_tokenizer_that_stops_earlier_than_the_tower_is_obeyed(
    theirs: BlipForImageTextRetrieval, tmp_path: Path
) -> None:
    folder = save_blip(tmp_path, theirs)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 10}', encoding="utf-8")
    shorter = load_clip(folder, device="cpu")
    assert shorter.text_length_limit == 10
    long = "the cat is very blue " * 4
    np.testing.assert_allclose(shorter.encode_texts([long]), unit(plain(theirs, long, 10)), atol=1e-5)


def test_marks_that_are_typed_are_read_as_text(blip: ClipModel) -> None:
    from cir.models.text_tower import token_ids

    ids = token_ids(blip.tokenizer, "a cat [SEP] on the left [CLS]")
    assert not {0, 2, 3, 4} & set(ids)
    assert ids[:2] == blip.tokenizer.encode("a cat")
    assert blip.tokenizer.encode("the left")[0] in ids


def test_nearest_words_are_whole_words(blip: ClipModel) -> None:
    assert blip.nearest_words(word_of(blip, "bird")[0], 2)[0] == "bird"
    assert not {"a", *LETTERS} & set(blip.nearest_words(word_of(blip, "dog")[0], 50))


def test_what_cannot_be_spelled_is_not_known(blip: ClipModel) -> None:
    assert blip.knows_word("dog")
    assert not blip.knows_word("日本")


def test_pictures_are_squeezed_as_blip_does_and_not_cut(blip: ClipModel) -> None:
    seen = blip.preprocess(picture()).numpy()
    small = np.asarray(picture().resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    np.testing.assert_allclose(seen, ((small - mean) / std).transpose(2, 0, 1), atol=1e-5)


def test_half_precision_weights_are_computed_in_float32(
    theirs: BlipForImageTextRetrieval, folder: Path, tmp_path: Path
) -> None:
    save_blip(tmp_path, theirs)
    half = {key: tensor.half() for key, tensor in load_file(folder / "model.safetensors").items()}
    save_file(half, tmp_path / "model.safetensors")
    ours = load_clip(tmp_path, device="cpu")
    assert next(ours.model.parameters()).dtype == torch.float32
    assert ours.encode_texts(["a cat"]).dtype == np.float32


def test_what_does_not_fit_is_refused_in_words(theirs: BlipForImageTextRetrieval, tmp_path: Path) -> None:
    folder = save_blip(tmp_path, theirs)
    weights = load_file(folder / "model.safetensors")

    (folder / "tokenizer.json").unlink()
    with pytest.raises(MissingModel, match=r"holds no tokenizer\.json"):
        load_clip(folder, device="cpu")
    word_pieces(500).save(str(folder / "tokenizer.json"))
    with pytest.raises(UnsafeFile, match="is 500 large, and its table 79"):
        load_clip(folder, device="cpu")
    save_blip(folder, theirs)

    save_file({k: v for k, v in weights.items() if k != "text_proj.weight"}, folder / "model.safetensors")
    with pytest.raises(UnsafeFile, match="could not be loaded"):
        load_clip(folder, device="cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingModel, match=r"holds no model\.safetensors"):
        load_clip(folder, device="cpu")

    save_blip(folder, theirs, side=64)
    with pytest.raises(UnsafeFile, match="are made 64, and its tower sees 32"):
        load_clip(folder, device="cpu")


def test_the_settings_temperature_is_the_one_that_is_trained_with(
    theirs: BlipForImageTextRetrieval, tmp_path: Path
) -> None:
    folder = save_blip(tmp_path, theirs)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps(config | {"logit_scale_init_value": 3.5}), encoding="utf-8"
    )
    assert float(load_clip(folder, device="cpu").model.logit_scale) == pytest.approx(3.5)
    assert small_config().logit_scale_init_value == pytest.approx(2.6592)
