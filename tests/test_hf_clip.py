"""A CLIP of transformers, made into open_clip's: the same features, limits and preparation, and refusals in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from cir.errors import MissingModel, UnsafeFile
from cir.models.clip import ClipModel, load_clip

TOKENIZER = open_clip.SimpleTokenizer()
SENTENCES = ["a photo of a dog", "Two red squares, left of a $5 note & an émigré's café", "it's", ""]
OPENAI = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def config(activation: str = "quick_gelu", positions: int = 77, **text: Any) -> CLIPConfig:
    tower = {"hidden_act": activation, "num_hidden_layers": 2, "num_attention_heads": 4}
    return CLIPConfig(
        projection_dim=24,
        text_config={
            **tower,
            "hidden_size": 32,
            "intermediate_size": 96,
            "max_position_embeddings": positions,
            **text,
        },
        vision_config={
            **tower,
            "hidden_size": 48,
            "intermediate_size": 192,
            "image_size": 32,
            "patch_size": 8,
        },
    )


def save(
    folder: Path, model: CLIPModel, *, half: bool = False, prepared: dict[str, Any] | None = None
) -> Path:
    (model.half() if half else model).save_pretrained(folder)
    usual = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "resample": 3}
    usual |= {"image_mean": OPENAI["mean"], "image_std": OPENAI["std"], "do_center_crop": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(usual | (prepared or {})), encoding="utf-8")
    return folder


def random_model(wanted: CLIPConfig | None = None, seed: int = 0) -> CLIPModel:
    torch.manual_seed(seed)
    model = CLIPModel(wanted or config())
    for parameter in model.parameters():  # larger than the initial ones, so that every layer matters
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8))


def padded(texts: list[str], length: int) -> torch.Tensor:
    """Token ids as transformers' tokenizer gives them: the end mark fills the row."""
    rows = [[TOKENIZER.sot_token_id, *TOKENIZER.encode(t)][: length - 1] for t in texts]
    return torch.tensor([row + [TOKENIZER.eot_token_id] * (length - len(row)) for row in rows])


def assert_same_features(ours: ClipModel, theirs: CLIPModel, length: int) -> None:
    with torch.inference_mode():
        texts = theirs.get_text_features(padded(SENTENCES, length)).pooler_output.numpy()
        pixels = torch.stack([ours.preprocess(picture(i)) for i in range(3)])
        images = theirs.get_image_features(pixels).pooler_output.numpy()
    np.testing.assert_allclose(ours.encode_raw_texts(SENTENCES), texts, atol=1e-5 * np.abs(texts).max())
    found = ours.encode_images([picture(i) for i in range(3)])
    np.testing.assert_allclose(found, images, atol=1e-5 * np.abs(images).max())


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("positions", [77, 64])
def test_features_are_those_of_transformers(tmp_path: Path, activation: str, positions: int) -> None:
    theirs = random_model(config(activation, positions))
    ours = load_clip(save(tmp_path, theirs), device="cpu")
    assert ours.text_length_limit == positions
    assert_same_features(ours, theirs, positions)


def test_half_precision_weights_give_the_features_of_their_values(tmp_path: Path) -> None:
    folder = save(tmp_path, random_model(), half=True)
    ours = load_clip(folder, device="cpu")
    assert next(ours.model.parameters()).dtype == torch.float32
    assert_same_features(ours, CLIPModel.from_pretrained(folder, dtype=torch.float32).eval(), 77)


def test_layer_norms_of_another_epsilon_keep_it(tmp_path: Path) -> None:
    theirs = random_model(config(layer_norm_eps=0.3))
    assert_same_features(load_clip(save(tmp_path, theirs), device="cpu"), theirs, 77)


def test_a_tokenizer_that_stops_earlier_than_the_tower_is_obeyed(tmp_path: Path) -> None:
    folder = save(tmp_path, random_model())
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 64}', encoding="utf-8")
    ours = load_clip(folder, device="cpu")
    assert ours.text_length_limit == 64
    assert len(ours.spliced_tokens("a photo of", "very " * 90, "")) == 64


def test_a_words_own_embedding_is_spliced_into_the_sentence_with_that_word(tmp_path: Path) -> None:
    ours = load_clip(save(tmp_path, random_model()), device="cpu")
    (dog,) = TOKENIZER.encode("dog")
    word = ours.model.token_embedding.weight[dog].detach().numpy().reshape(1, 1, -1)
    spliced = ours.encode_spliced("a photo of", word, "in the snow")
    np.testing.assert_allclose(spliced, ours.encode_texts(["a photo of dog in the snow"]), atol=1e-5)


def test_pictures_are_prepared_as_the_folder_says(tmp_path: Path) -> None:
    squashed = {"do_center_crop": False, "size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3}
    ours = load_clip(
        save(tmp_path, random_model(), prepared=squashed | {"image_std": [0.25] * 3}), device="cpu"
    )
    wanted = np.asarray(picture().resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255
    np.testing.assert_allclose(
        ours.preprocess(picture()).numpy(), ((wanted - 0.5) / 0.25).transpose(2, 0, 1), atol=1e-5
    )


def test_the_tokenizer_reads_as_that_of_transformers(tmp_path: Path) -> None:
    from transformers import CLIPTokenizerFast

    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {marks.get(spelling, spelling): token for spelling, token in TOKENIZER.encoder.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    ranks = sorted(TOKENIZER.bpe_ranks, key=TOKENIZER.bpe_ranks.__getitem__)
    merges = "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in ranks)
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    theirs = CLIPTokenizerFast.from_pretrained(str(tmp_path))
    for sentence in (*SENTENCES, "A  man\nwith 12 BALLOONS!!! :)", "don't; we'll"):
        wanted = theirs(sentence)["input_ids"]
        assert [TOKENIZER.sot_token_id, *TOKENIZER.encode(sentence), TOKENIZER.eot_token_id] == wanted, (
            sentence
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "relu"}, "activations are relu"),
        ({"vocab_size": 30522}, "30,522 large"),
        ({"num_hidden_layers": 3}, "could not be loaded"),
        ({"num_hidden_layers": "three"}, "could not be loaded"),
        ({"hidden_size": 64}, "could not be loaded"),
    ],
)
def test_a_folder_whose_settings_do_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = save(tmp_path, random_model())
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    written["text_config"] |= change
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(UnsafeFile, match=words):
        load_clip(folder, device="cpu")


def test_a_model_of_another_kind_is_refused_by_its_name_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(UnsafeFile, match=r"another kind \(bert\) than CLIP or BLIP.*Remove the folder"):
        load_clip(tmp_path, device="cpu")


def test_weights_that_came_by_half_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, random_model())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(UnsafeFile, match=rf"Remove the folder {folder} and fetch it again .*models pull"):
        load_clip(folder, device="cpu")
    weights.unlink()
    with pytest.raises(MissingModel, match=r"no model\.safetensors"):
        load_clip(folder, device="cpu")


def test_pictures_that_are_prepared_in_an_unknown_way_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, random_model(), prepared={"size": {"shortest_edge": 256}})
    with pytest.raises(UnsafeFile, match="256"):
        load_clip(folder, device="cpu")


def test_code_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    folder = save(tmp_path, random_model())
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    written["auto_map"] = {"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.OwnConfig"}
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    (folder / "modeling_own.py").write_text("raise SystemExit('this was run')\n", encoding="utf-8")
    assert load_clip(folder, device="cpu").dim == 24
