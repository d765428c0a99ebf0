"""The set "laptop" from end to end, at full size and with random weights, from folders that were copied into place."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from captioner_doubles import FLORENCE_BASE, florence_folder
from fakes import ToyLanguageModel
from transformers import CLIPConfig, CLIPModel

from cir.__main__ import main
from cir.composers.parameters import defaults
from cir.composers.registry import METHODS
from cir.images import read_image
from cir.measuring.model_check import FOLDER
from cir.models.published import ModelSet
from cir.scripting import index_gallery, open_models, open_retriever
from cir.training.made_mapping import make_mapping
from cir.training.plain_captions import plain_words
from cir.types import Query

pytestmark = pytest.mark.slow

CLIP_BASE = {
    "projection_dim": 512,
    "text_config": {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8},
    "vision_config": {"patch_size": 16},
}


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of a person who has copied the set's folders there."""
    torch.set_num_threads(1)
    home = tmp_path / "models"
    monkeypatch.setenv("CIR_HOME", str(home))
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(**CLIP_BASE)).half().save_pretrained(home / "BGE-VL-base")
    prepared = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (home / "BGE-VL-base" / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    florence_folder(home / "Florence-2-base", FLORENCE_BASE, side=768)
    return home


def of_networks_that_it_has_not(model_set: ModelSet) -> set[str]:
    """The methods that need a network of a recipe that a set has not."""
    kinds = {
        "phi": model_set.mapping,
        "network": model_set.fusion,
        "patches": model_set.patch_words,
        "image tower": model_set.encoders,
    }
    there = {f"{kind} {recipe}" for kind, recipes in kinds.items() for recipe in (*recipes, "any")}
    networks = tuple(f"{kind} " for kind in kinds)
    return {
        card.name
        for card in METHODS
        if any(need.startswith(networks) and need not in there for need in card.needs)
    }


def test_twenty_pictures_are_indexed_and_every_method_answers(
    laptop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times: dict[str, float] = {}
    started = time.perf_counter()
    models = open_models("laptop")
    assert models.phi() is None
    clip = models.clip
    times["CLIP loads"] = time.perf_counter() - started
    monkeypatch.setattr("cir.training.made_mapping.BATCH", 8)
    monkeypatch.setattr("cir.models.sampling.MAX_NEW_TOKENS", 12)  # random weights never end a caption
    started = time.perf_counter()
    monkeypatch.setattr("cir.training.made_mapping.plain_words", lambda: plain_words()[:400])
    make_mapping(
        clip, laptop / "made" / "laptop.safetensors", model_set="laptop", runs=laptop / "made", minutes=0.1
    )
    times["phi, closed form of 400 words and 6 s of steps"] = time.perf_counter() - started

    models = open_models("laptop")
    models.__dict__["language_model"] = ToyLanguageModel()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    photographs = sorted(FOLDER.glob("*.jpg"))
    for i in range(20):  # some are there twice, turned
        image = read_image(photographs[i % len(photographs)])
        (image if i < len(photographs) else image.rotate(90)).save(pictures / f"{i:02d}.jpg")
    assert models.captioner is not None, models.missing
    started = time.perf_counter()
    gallery = index_gallery(pictures, models)
    times["a picture is indexed, with five captions"] = (time.perf_counter() - started) / 20
    assert len(gallery) == 20
    assert all(len(gallery.captions(image_id)) == 5 for image_id in gallery.image_ids)

    retriever = open_retriever(gallery, models)
    missing = {card.name for card in METHODS} - set(retriever.composers)
    assert missing == of_networks_that_it_has_not(models.set)
    query = Query(read_image(pictures / "03.jpg"), "in the snow, with a red hat")
    for name, composer in retriever.composers.items():
        started = time.perf_counter()
        *_, composed = retriever.compose(query, name)
        found = retriever.rank(composed, defaults(composer.parameters), top_k=20)
        times[f"{name} answers"] = time.perf_counter() - started
        assert len(found) == 20, name
    with capsys.disabled():
        print("\n" + "\n".join(f"{what}: {seconds:.2f} s" for what, seconds in times.items()))


def test_random_weights_do_not_pass_the_check(laptop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(laptop / "made", ignore_errors=True)
    assert main(["models", "check", "laptop", "--llm", "none"]) == 1
    told = capsys.readouterr()
    assert "FAILS" in told.out
    assert "python -m cir models pull laptop" in told.err
    with capsys.disabled():
        print("\n" + told.out)
