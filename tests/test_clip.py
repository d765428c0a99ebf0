"""The CLIP wrapper on a small random open_clip model: splicing, trimming, marks, failures, loading."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.clip import PSEUDO_WORD, ClipModel, encode_with_embeddings, load_clip, splice, token_ids
from cir.models.runtime import fingerprint_of, pick_device, run_in_batches

CONTEXT = 16
CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
}
TOKENIZER = open_clip.SimpleTokenizer(context_length=CONTEXT)
SOT, EOT = TOKENIZER.sot_token_id, TOKENIZER.eot_token_id
WORDS = ["a", "photo", "of", "cat", "dog", "that", "is", ",", "blue", "on", "the", "left", "$", "5"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def to_pixels(image: Image.Image) -> Tensor:
    values = np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.float32)
    return torch.from_numpy(values).permute(2, 0, 1) / 127.5 - 1


def build(model_class: type = CLIP, seed: int = 0, **text: object) -> Any:
    torch.manual_seed(seed)
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}
    model = model_class(**config)
    for (
        parameter
    ) in model.parameters():  # larger than the initial ones, so that position and word both matter
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def wrap(model: Any, **options: Any) -> ClipModel:
    return ClipModel(model, TOKENIZER, to_pixels, "tiny", "tiny@0", **options)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return wrap(build())


def plain(clip: ClipModel, text: str) -> np.ndarray:
    """What open_clip itself gives, padded to the whole context length."""
    with torch.inference_mode():
        features = clip.model.encode_text(TOKENIZER([text]))
    return torch.nn.functional.normalize(features, dim=-1).numpy()


def word_of(clip: ClipModel, word: str) -> np.ndarray:
    (token,) = TOKENIZER.encode(word)
    tower = clip.model.text if hasattr(clip.model, "text") else clip.model
    return tower.token_embedding.weight[token].detach().numpy().reshape(1, 1, -1)


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 30, 3), dtype=np.uint8))


def test_one_class_satisfies_all_three_encoder_protocols(clip: ClipModel) -> None:
    assert (clip.dim, clip.word_width, clip.text_length_limit) == (12, 8, CONTEXT)


@pytest.mark.parametrize("model_class", [CLIP, CustomTextCLIP])
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
    model_class: type, prefix: str, suffix: str, tail: str
) -> None:
    clip = wrap(build(model_class))
    sentence = " ".join(part for part in (prefix, "cat", suffix, tail) if part)
    spliced = clip.encode_spliced(prefix, word_of(clip, "cat"), suffix, tail)
    np.testing.assert_allclose(spliced, clip.encode_texts([sentence]), atol=1e-5)
    np.testing.assert_allclose(spliced, plain(clip, sentence), atol=1e-5)


def test_several_pseudo_words_stand_in_their_order(clip: ClipModel) -> None:
    words = np.concatenate([word_of(clip, "cat"), word_of(clip, "dog")], axis=1)
    spliced = clip.encode_spliced("a photo of", words, "that is blue")
    np.testing.assert_allclose(spliced, clip.encode_texts(["a photo of cat dog that is blue"]), atol=1e-5)
    assert np.abs(spliced - clip.encode_texts(["a photo of dog cat that is blue"])).max() > 1e-3


def test_each_row_gets_its_own_pseudo_words(clip: ClipModel) -> None:
    words = np.concatenate([word_of(clip, w) for w in ("cat", "dog", "left")])
    small = wrap(clip.model, text_batch=2)
    expected = clip.encode_texts(["the cat", "the dog", "the left"])
    np.testing.assert_allclose(small.encode_spliced("the", words, ""), expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=CONTEXT - 2).map(" ".join), min_size=1, max_size=5))
def test_texts_trimmed_to_the_longest_have_the_features_of_padded_ones(
    clip: ClipModel, texts: list[str]
) -> None:
    expected = np.concatenate([plain(clip, text) for text in texts])
    np.testing.assert_allclose(clip.encode_texts(texts), expected, atol=1e-5)


def test_texts_keep_their_order_and_repeats_whatever_the_batch(clip: ClipModel) -> None:
    texts = ["a blue dog on the left", "cat", "a photo of the cat", "cat", "dog"]
    expected = np.concatenate([plain(clip, text) for text in texts])
    np.testing.assert_allclose(wrap(clip.model, text_batch=2).encode_texts(texts), expected, atol=1e-5)


def test_features_of_nothing_are_an_empty_table(clip: ClipModel) -> None:
    assert clip.encode_texts([]).shape == (0, 12)
    assert clip.encode_images([]).shape == (0, 12)


def test_text_features_are_unit_rows_of_float32(clip: ClipModel) -> None:
    features = clip.encode_texts(["cat", "a dog", ""])
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-6)


def test_fault_4_a_long_text_is_cut_and_keeps_its_end_mark(clip: ClipModel) -> None:
    long = "blue dog on the left " * 10
    np.testing.assert_allclose(
        clip.encode_texts([long]), plain(clip, long), atol=1e-5
    )  # open_clip keeps it too
    kept = " ".join(long.split()[: CONTEXT - 2])
    np.testing.assert_allclose(clip.encode_texts([long]), clip.encode_texts([kept]), atol=1e-6)
    assert clip.count_tokens(long) == 52
    assert clip.count_tokens("cat") == 3


def test_fault_4_a_long_edit_gives_way_to_the_objects_behind_it(clip: ClipModel) -> None:
    row = clip.spliced_tokens("a photo of", "that is " + "blue " * 40, "the cat dog", words=2)
    ids = token_ids(TOKENIZER, "a photo of"), token_ids(TOKENIZER, "the cat dog")
    assert row[:5] == [SOT, *ids[0], PSEUDO_WORD]
    assert row[-4:] == [*ids[1], EOT]
    assert len(row) + 1 == CONTEXT  # two pseudo-words stand for one mark
    assert row[5:-4] == token_ids(TOKENIZER, "that is blue blue blue blue")


@settings(max_examples=60, deadline=None)
@given(
    prefix=st.integers(0, 30),
    suffix=st.integers(0, 30),
    tail=st.integers(0, 30),
    words=st.integers(1, CONTEXT - 2),
)
def test_no_splice_is_longer_than_the_context_or_loses_the_pseudo_words(
    clip: ClipModel, prefix: int, suffix: int, tail: int, words: int
) -> None:
    row = clip.spliced_tokens("photo " * prefix, "blue " * suffix, "dog " * tail, words=words)
    assert len(row) - 1 + words == min(CONTEXT, prefix + suffix + tail + words + 2)
    assert row.count(PSEUDO_WORD) == 1
    assert (row[0], row[-1]) == (SOT, EOT)


@pytest.mark.parametrize("money", ["$", "$5", "US$100", "[$]", "under $5, $6"])
def test_fault_8_a_dollar_sign_stays_text_and_the_pseudo_word_stays_one(clip: ClipModel, money: str) -> None:
    row = clip.spliced_tokens("a photo of", f"that costs {money}")
    assert row.count(PSEUDO_WORD) == 1
    assert row[4] == PSEUDO_WORD
    assert token_ids(TOKENIZER, money) == TOKENIZER.encode(money)
    sentence = f"a photo of cat that costs {money}"
    spliced = clip.encode_spliced("a photo of", word_of(clip, "cat"), f"that costs {money}")
    np.testing.assert_allclose(spliced, clip.encode_texts([sentence]), atol=1e-5)


def test_fault_8_a_dollar_sign_leaves_the_ranking_to_the_text_around_it(clip: ClipModel) -> None:
    gallery = clip.encode_texts([f"{a} {b}" for a in WORDS for b in WORDS])
    by_splice = clip.encode_spliced("a", word_of(clip, "dog"), "for $5") @ gallery.T
    by_text = plain(clip, "a dog for $5") @ gallery.T
    assert by_splice.argsort()[0, -20:].tolist() == by_text.argsort()[0, -20:].tolist()


@pytest.mark.parametrize(
    "mark",
    [
        "<|endoftext|>",
        "<|startoftext|>",
        "<end_of_text>",
        "<start_of_text>",
        "<END_OF_TEXT>",
        "&amp;amp;amp;lt;end_of_text&gt;",
    ],
)
def test_fault_9_marks_that_are_typed_are_read_as_text(clip: ClipModel, mark: str) -> None:
    ids = token_ids(TOKENIZER, f"a {mark} dog")
    assert SOT not in ids
    assert EOT not in ids
    assert ids[0] == TOKENIZER.encode("a")[0]
    assert ids[-1] == TOKENIZER.encode("dog")[0]
    assert len(ids) > 4  # nothing was dropped
    # The words behind the mark still count: the features are not pooled at the typed mark.
    difference = clip.encode_texts([f"a {mark} dog"]) - clip.encode_texts([f"a {mark} cat"])
    assert np.abs(difference).max() > 1e-3


def test_images_keep_the_length_of_their_features_and_match_open_clip(clip: ClipModel) -> None:
    images = [picture(i) for i in range(5)]
    with torch.inference_mode():
        expected = clip.model.encode_image(torch.stack([to_pixels(image) for image in images])).numpy()
    features = wrap(clip.model, image_batch=2).encode_images(images)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert features.dtype == np.float32
    assert np.ptp(np.linalg.norm(features, axis=1)) > 1e-3  # raw, not unit rows


def test_training_splices_any_number_of_places_and_keeps_gradients(clip: ClipModel) -> None:
    ids = token_ids(TOKENIZER, "a on the")
    rows = [[SOT, ids[0], PSEUDO_WORD, ids[1], ids[2], PSEUDO_WORD, EOT], [SOT, PSEUDO_WORD, EOT]]
    words = torch.cat([torch.from_numpy(word_of(clip, w)) for w in ("cat", "dog")]).requires_grad_()
    embeddings, ends = splice(clip.model, rows, words)
    assert ends.tolist() == [6, 2]
    features = encode_with_embeddings(clip.model, embeddings, ends)
    unit = torch.nn.functional.normalize(features, dim=-1).detach().numpy()
    np.testing.assert_allclose(unit, clip.encode_texts(["a cat on the cat", "dog"]), atol=1e-5)
    features[1].sum().backward()
    assert words.grad is not None
    assert words.grad[1].abs().sum() > 0
    assert words.grad[0].abs().sum() == 0  # the other row's word


def test_a_row_longer_than_the_context_is_refused_with_its_length(clip: ClipModel) -> None:
    with pytest.raises(CirError, match=f"17 tokens, but the text tower reads {CONTEXT}"):
        splice(clip.model, [[SOT] + [320] * CONTEXT])


def test_pseudo_words_of_another_width_are_refused(clip: ClipModel) -> None:
    with pytest.raises(CirError, match="trained for this CLIP model"):
        clip.encode_spliced("a", np.zeros((1, 1, 9), np.float32), "dog")


def test_more_pseudo_words_than_the_tower_reads_are_refused(clip: ClipModel) -> None:
    with pytest.raises(CirError, match="15 pseudo-words cannot fit"):
        clip.encode_spliced("a", np.zeros((1, 15, 8), np.float32), "dog")


@pytest.mark.parametrize("text", [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True}])
def test_a_text_tower_that_cannot_be_trimmed_exactly_is_refused(text: dict[str, object]) -> None:
    with pytest.raises(CirError, match="does not read left to right"):
        wrap(build(CustomTextCLIP, **text))


def test_fault_81_features_that_are_not_finite_are_an_error() -> None:
    model = build()
    torch.nn.init.constant_(model.visual.proj, float("nan"))
    torch.nn.init.constant_(model.text_projection, float("inf"))
    clip = wrap(model)
    with pytest.raises(CirError, match="not finite"):
        clip.encode_images([picture(0)])
    with pytest.raises(CirError, match="not finite"):
        clip.encode_texts(["a dog"])


def test_fault_81_half_precision_that_overflows_is_repeated_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = wrap(build(), half_precision=True)
    real: Callable[..., Tensor] = clip.model.encode_image
    used = []

    def overflowing(pixels: Tensor) -> Tensor:
        half = torch.is_autocast_enabled("cpu")
        used.append(half)
        return real(pixels) * (float("inf") if half else 1.0)

    monkeypatch.setattr(clip.model, "encode_image", overflowing)
    features = clip.encode_images([picture(0)])
    assert used == [True, False]
    np.testing.assert_array_equal(features, wrap(clip.model.eval()).encode_images([picture(0)]))
    assert clip.fingerprint == "tiny@0+bf16"


def test_fault_80_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = wrap(build(), image_batch=8)
    images = [picture(i) for i in range(7)]
    expected = clip.encode_images(images)
    real: Callable[..., Tensor] = clip.model.encode_image
    tried = []

    def short_of_memory(pixels: Tensor) -> Tensor:
        tried.append(len(pixels))
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(pixels)

    monkeypatch.setattr(clip.model, "encode_image", short_of_memory)
    np.testing.assert_allclose(clip.encode_images(images), expected, atol=1e-5)
    assert tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.undo()
    np.testing.assert_allclose(clip.encode_images(images), expected, atol=1e-5)  # the next query works


def test_fault_80_one_item_that_does_not_fit_is_an_error_with_a_way_out() -> None:
    def run(batch: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(CirError, match="smaller model set"):
        run_in_batches(run, [1, 2, 3], 2)


def test_fault_81_a_gpu_that_is_not_there_is_said_and_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(MissingModel, match="torch sees no GPU"):
        pick_device("cuda")


@pytest.mark.parametrize("key", ["text_projection", "visual.class_embedding", "logit_scale"])
def test_the_fingerprint_changes_with_every_weight_and_with_the_preprocessing(key: str) -> None:
    state = build().state_dict()
    before = fingerprint_of("tiny", state, {"size": 32})
    assert before == fingerprint_of("tiny", build().state_dict(), {"size": 32})
    changed = state[key].clone().reshape(-1)
    changed[-1] += 0.01
    assert fingerprint_of("tiny", {**state, key: changed.reshape(state[key].shape)}, {"size": 32}) != before
    assert fingerprint_of("tiny", state, {"size": 64}) != before
    assert before.startswith("tiny@")
    assert len(before) == len("tiny@") + 12


def save_folder(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {key: value.clone() for key, value in build(seed=seed).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def test_a_folder_loads_as_open_clip_loads_it(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "world-clip")
    clip = load_clip(folder, device="cpu")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    image = picture(0)
    with torch.inference_mode():
        expected = theirs.eval().encode_image(preprocess(image)[None]).numpy()
    np.testing.assert_allclose(clip.encode_images([image]), expected, atol=1e-6)
    np.testing.assert_allclose(
        clip.encode_texts(["a cat on the left"]), plain(clip, "a cat on the left"), atol=1e-5
    )
    assert clip.name == "world-clip"
    assert clip.fingerprint == load_clip(save_folder(tmp_path / "copy" / "world-clip")).fingerprint
    assert clip.fingerprint != load_clip(save_folder(tmp_path / "other" / "world-clip", seed=1)).fingerprint


def test_fault_74_absent_weights_are_said_and_never_replaced_by_random_ones(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "clip")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(MissingModel, match="holds no weights"):
        load_clip(folder)
    (folder / "open_clip_config.json").unlink()
    with pytest.raises(MissingModel, match=r"no open_clip_config\.json"):
        load_clip(folder)
    with pytest.raises(MissingModel, match="no CLIP model called ViT-Z-1"):
        load_clip("ViT-Z-1", "openai")
    with pytest.raises(MissingModel, match="Which weights of ViT-B-32"):
        load_clip("ViT-B-32")


@pytest.mark.parametrize("damage", ["junk", "truncated", "other shapes"])
def test_fault_71_damaged_weights_are_refused(tmp_path: Path, damage: str) -> None:
    folder = save_folder(tmp_path / "clip")
    weights = folder / "open_clip_model.safetensors"
    if damage == "other shapes":
        save_file({"text_projection": torch.zeros(3, 3)}, weights)
    else:
        weights.write_bytes(b"junk" * 99 if damage == "junk" else weights.read_bytes()[:-100])
    with pytest.raises(UnsafeFile, match="could not be loaded"):
        load_clip(folder)


def test_fault_72_a_pickle_in_the_place_of_weights_is_not_executed(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "clip")
    (folder / "open_clip_model.safetensors").unlink()
    flag = tmp_path / "executed"
    torch.save({"state_dict": Touch(flag)}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(UnsafeFile, match="could not be loaded"):
        load_clip(folder)
    assert not flag.exists()


class Touch:
    """Makes a file when it is unpickled without care."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.flag,)


def test_openai_weights_get_the_activation_that_they_were_trained_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def create(name: str, **options: Any) -> tuple[Any, None, Callable[..., Tensor]]:
        asked[name, options["pretrained"]] = options["force_quick_gelu"]
        return build(), None, to_pixels

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: TOKENIZER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tag in ("openai", "laion2b_s34b_b79k"):
            assert load_clip("ViT-B-32", tag, "cpu").name == f"ViT-B-32/{tag}"
    assert asked == {("ViT-B-32", "openai"): True, ("ViT-B-32", "laion2b_s34b_b79k"): False}


def test_a_tag_that_cannot_be_fetched_is_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, **options: Any) -> None:
        raise RuntimeError("Failed to download weights for tag 'openai'\nmore")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", offline)
    with pytest.raises(MissingModel, match=r"Failed to download weights for tag 'openai'.*models pull"):
        load_clip("ViT-B-32", "openai", "cpu")


def test_a_pseudo_word_that_is_a_words_own_embedding_is_nearest_to_that_word() -> None:
    clip = wrap(build())
    table = clip.model.token_embedding.weight.detach().numpy()
    (dog,), (cat,) = token_ids(TOKENIZER, "dog"), token_ids(TOKENIZER, "cat")
    assert clip.nearest_words(3.0 * table[[dog]], count=1) == ["dog"]
    assert set(clip.nearest_words(table[[dog, cat]], count=2)) == {"dog", "cat"}
    near = clip.nearest_words(table[[dog]])
    assert len(near) == 5
    assert all(word.isalpha() and len(word) > 2 for word in near)
    assert clip.nearest_words(table[token_ids(TOKENIZER, "$")], count=1) != ["$"]  # no word to a person
