"""Full-size architectures with random weights, from local folders: what meets the published weights first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    PreTrainedTokenizerFast,
)

from cir.models import sampling
from cir.models.blip2 import load_captioner
from cir.models.clip import load_clip
from cir.models.mapping import load_mapping

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8))


def test_vit_b_32_encodes_and_splices_from_a_local_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32-quickgelu"), "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "open_clip_model.safetensors"
    )
    table = model.token_embedding.weight.detach().numpy().copy()
    del model

    clip = load_clip(tmp_path, device="cpu", name="ViT-B-32/random")
    assert (clip.dim, clip.word_width, clip.text_length_limit) == (512, 512, 77)
    sentence = "a photo of dog that costs $5 in the snow. And the photo should have a ball."
    (dog,) = clip.tokenizer.encode("dog")
    spliced = clip.encode_spliced(
        "a photo of",
        table[dog].reshape(1, 1, -1),
        "that costs $5 in the snow.",
        "And the photo should have a ball.",
    )
    np.testing.assert_allclose(spliced, clip.encode_texts([sentence]), atol=1e-5)
    with torch.inference_mode():
        padded = clip.model.encode_text(clip.tokenizer([sentence]), normalize=True).numpy()
        pixels = clip.preprocess(picture(0))[None]
        image = clip.model.encode_image(pixels).numpy()
    np.testing.assert_allclose(spliced, padded, atol=1e-5)
    np.testing.assert_allclose(clip.encode_images([picture(0)]), image, atol=1e-4)

    row = clip.spliced_tokens(
        "a photo of", "that " + "is very blue and " * 40, "And the photo should have a ball."
    )
    assert len(row) == 77
    assert clip.tokenizer.decode(row[-9:-1]).strip() == "and the photo should have a ball ."


@pytest.mark.parametrize(
    ("width", "hidden", "parameters"),
    [(768, 3072, 14_162_688), (512, 2048, 6_296_064), (1280, 5120, 39_333_120)],
    ids=["ViT-L-14", "ViT-B-32", "ViT-bigG-14"],
)
def test_phi_of_lincir_and_searle_loads_at_full_size(
    tmp_path: Path, width: int, hidden: int, parameters: int
) -> None:
    torch.manual_seed(0)
    sizes = {0: (hidden, width), 3: (hidden, hidden), 6: (width, hidden)}
    state = {f"layers.{i}.weight": torch.randn(size) / size[1] ** 0.5 for i, size in sizes.items()}
    state |= {f"layers.{i}.bias": torch.zeros(size[0]) for i, size in sizes.items()}
    torch.save({"epoch": 1, "Phi": state}, tmp_path / "phi_best.pt")
    phi = load_mapping(tmp_path / "phi_best.pt")
    assert sum(p.numel() for p in phi.network.parameters()) == parameters
    words = phi.map_features(np.random.default_rng(0).standard_normal((2, width)).astype(np.float32))
    assert words.shape == (2, 1, width)
    assert 0.05 < words.std() < 5


def test_img2text_of_pic2word_loads_at_full_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"layers.0.0": (512, 768), "layers.1.0": (512, 512), "fc_out": (768, 512)}
    state = {f"module.{key}.weight": torch.randn(size) / size[1] ** 0.5 for key, size in sizes.items()}
    state |= {f"module.{key}.bias": torch.zeros(size[0]) for key, size in sizes.items()}
    torch.save({"epoch": 30, "state_dict_img2text": state}, tmp_path / "pic2word_large.pt")
    phi = load_mapping(tmp_path / "pic2word_large.pt")
    assert sum(p.numel() for p in phi.network.parameters()) == 1_050_368
    row = np.random.default_rng(0).standard_normal((1, 768)).astype(np.float32)
    inner = torch.from_numpy(row)
    for key in ("layers.0.0", "layers.1.0"):
        inner = torch.relu(inner @ state[f"module.{key}.weight"].T)
    np.testing.assert_allclose(
        phi.map_features(row)[:, 0], inner @ state["module.fc_out.weight"].T, atol=1e-4
    )


def test_blip2_opt_with_its_real_widths_captions_from_a_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MAX_NEW_TOKENS", 8)
    torch.manual_seed(0)
    # Salesforce/blip2-opt-2.7b with fewer layers: 39, 12 and 32 in the original.
    config = Blip2Config(
        vision_config={"num_hidden_layers": 2, "initializer_range": 0.02},
        qformer_config={"num_hidden_layers": 2},
        text_config={
            "model_type": "opt",
            "vocab_size": 50304,
            "hidden_size": 2560,
            "word_embed_proj_dim": 2560,
            "ffn_dim": 10240,
            "num_attention_heads": 32,
            "num_hidden_layers": 1,
            "pad_token_id": 1,
            "bos_token_id": 2,
            "eos_token_id": 50118,
        },
        image_token_index=50265,
    )
    words = {f"w{i}": i for i in range(50304)}
    words = {
        {"w1": "<pad>", "w2": "</s>", "w50265": "<image>"}.get(word, word): i for word, i in words.items()
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words)),
        pad_token="<pad>",
        eos_token="</s>",
        bos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    model = Blip2ForConditionalGeneration(config).half()
    # As sure of their next word as trained weights are: among 50,000 equal ones, rounding would decide.
    torch.nn.init.constant_(model.language_model.model.decoder.final_layer_norm.weight, 8.0)
    model.save_pretrained(tmp_path)
    del model
    images = BlipImageProcessor(size={"height": 224, "width": 224})
    Blip2Processor(images, tokenizer, num_query_tokens=32).save_pretrained(tmp_path)

    captioner = load_captioner(tmp_path, "cpu", name="blip2-opt/random")
    assert type(captioner.model) is Blip2ForConditionalGeneration
    assert next(captioner.model.parameters()).dtype == torch.float32
    captions = captioner.caption([picture(0), picture(1)], per_image=3, seed=0)
    assert [len(set(found)) for found in captions] == [3, 3]
    assert all(word.startswith("w") for found in captions for caption in found for word in caption.split())
    assert captioner.caption([picture(1)], per_image=3, seed=0) == captions[1:]
    assert captioner.caption([picture(1)], per_image=3, seed=1) != captions[1:]
