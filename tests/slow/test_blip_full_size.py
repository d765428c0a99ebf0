"""BLIP for retrieval at the size of the published one, with random weights: against transformers, and the set "blip"."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from blip_doubles import save_blip
from captioner_doubles import blip_folder
from fakes import ToyLanguageModel
from PIL import Image
from transformers import BlipConfig, BlipForImageTextRetrieval

from cir.composers.parameters import defaults
from cir.images import read_image
from cir.measuring.model_check import FOLDER
from cir.models.clip import load_clip
from cir.scripting import index_gallery, open_models, open_retriever
from cir.training.made_mapping import make_mapping
from cir.training.plain_captions import plain_words
from cir.types import Query

pytestmark = pytest.mark.slow

WORDS = 30_524  # BERT's, and BLIP's two marks
TEXT = {
    "vocab_size": WORDS,
    "num_attention_heads": 12,
    "bos_token_id": 101,
    "sep_token_id": 102,
    "pad_token_id": 0,
}
CAPTIONER = {"text_config": {**TEXT, "bos_token_id": WORDS - 2}, "vision_config": {"initializer_range": 0.02}}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The models folder of a person who has copied the set's folders there."""
    home = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    config = BlipConfig(
        text_config=TEXT, vision_config={"initializer_range": 0.02}, image_text_hidden_size=256
    )
    model = BlipForImageTextRetrieval(config)
    assert sum(p.numel() for p in model.parameters()) == 223_744_258
    (home / "blip-itm-base-coco").mkdir()
    save_blip(home / "blip-itm-base-coco", model, side=384)
    yield home
    shutil.rmtree(home)


def test_features_and_spliced_sentences_are_those_of_transformers(home: Path) -> None:
    folder = home / "blip-itm-base-coco"
    ours = load_clip(folder, device="cpu", name="random")
    assert (ours.dim, ours.word_width, ours.text_length_limit) == (256, 768, 512)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8))
    texts = ["a photo of dog", "the dog that costs $5 and " + "is very blue, " * 30]
    pixels, rows = ours.preprocess(image)[None], [ours.tokenizer.encode(text) for text in texts]
    found = ours.encode_images([image])[0], ours.encode_raw_texts(texts)
    (dog,) = ours.tokenizer.encode("dog")
    word = ours.model.token_embedding.weight[dog].detach().numpy().reshape(1, 1, -1)
    spliced = ours.encode_spliced("a photo of", word, "")[0]
    long = ours.spliced_tokens("a photo of", "very " * 700, "in snow", words=4)
    assert (len(long) + 3, long[-3:-1]) == (512, ours.tokenizer.encode("in snow"))
    del ours

    theirs = BlipForImageTextRetrieval.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        seen = theirs.vision_proj(theirs.vision_model(pixels).last_hidden_state[:, 0])[0].numpy()
        ids = [torch.tensor([[2, *row, 3]]) for row in rows]
        read = [theirs.text_proj(theirs.text_encoder(row).last_hidden_state[:, 0])[0].numpy() for row in ids]
        cosine = theirs(ids[0], pixels, use_itm_head=False).itm_score.item()
    np.testing.assert_allclose(found[0], seen, atol=1e-5)
    np.testing.assert_allclose(found[1], np.stack(read), atol=1e-5)
    np.testing.assert_allclose(spliced, read[0] / np.linalg.norm(read[0]), atol=1e-5)
    assert spliced @ found[0] / np.linalg.norm(found[0]) == pytest.approx(cosine, abs=1e-5)


def test_the_set_is_indexed_with_and_answers_by_its_made_network(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIR_HOME", str(home))
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cir.models.sampling.MAX_NEW_TOKENS", 12)  # random weights never end a caption
    blip_folder(home / "blip-image-captioning-base", CAPTIONER)
    models = open_models("blip", llm="none")
    monkeypatch.setattr("cir.training.text_phi.FEWEST_WORDS", 10)  # of the double's few whole words
    words = [
        *plain_words()[:50],
        *["photo", "cat", "dog", "that", "blue", "left", "snow", "very", "bird", "red"],
    ]
    monkeypatch.setattr("cir.training.made_mapping.plain_words", lambda: words)
    make_mapping(models.tower, home / "made" / "blip.safetensors", model_set="blip", runs=tmp_path, minutes=0)

    models = open_models("blip", llm="none")
    models.__dict__["language_model"] = ToyLanguageModel()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in sorted(FOLDER.glob("*.jpg"))[:4]:
        read_image(path).save(pictures / path.name)
    gallery = index_gallery(pictures, models)
    assert all(len(gallery.captions(image_id)) == 5 for image_id in gallery.image_ids)
    retriever = open_retriever(gallery, models)
    query = Query(read_image(pictures / "camera.jpg"), "in the snow, with a red hat")
    for name in ("CVSI", "LinCIR", "LDRE", "Sum", "Text-only", "Image-only"):
        *_, composed = retriever.compose(query, name)
        found = retriever.rank(composed, defaults(retriever.composers[name].parameters), top_k=4)
        assert len(found) == 4, name
    assert gallery.image_path(found[0].image_id).name == "camera.jpg"  # of the last, Image-only
