"""The set "blip" in small, from folders as they are fetched: network made, indexed, searched, and both recipes trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from blip_doubles import WORDS, random_blip, save_blip
from captioner_doubles import blip_folder
from fakes import ToyLanguageModel
from PIL import Image

from cir.__main__ import main
from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL
from cir.composers.parameters import defaults
from cir.composers.registry import METHODS
from cir.errors import BadQuery
from cir.gallery.gallery import Gallery
from cir.models.model_set import Models
from cir.places import ASSETS
from cir.scripting import index_gallery, open_models, open_retriever
from cir.syncir.records import write_triplets
from cir.training import made_mapping
from cir.training.made_mapping import Source
from cir.types import Query, Triplet

SPOKEN = [word for word in WORDS if word.isalpha()]
HAS = {"phi any", "phi lincir", CAPTIONER, LANGUAGE_MODEL}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of a person who has fetched the set, and galleries beside it."""
    torch.set_num_threads(1)
    home = tmp_path / "models"
    monkeypatch.setenv("CIR_HOME", str(home))
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    (home / "blip-itm-base-coco").mkdir(parents=True)
    save_blip(home / "blip-itm-base-coco", random_blip())
    blip_folder(home / "blip-image-captioning-base")
    monkeypatch.setattr("cir.models.catalog.pull", lambda *_, **__: [])
    monkeypatch.setattr("cir.training.text_phi.FEWEST_WORDS", 5)
    monkeypatch.setattr(made_mapping, "BATCH", 4)
    monkeypatch.setattr("cir.models.sampling.MAX_NEW_TOKENS", 6)
    captions = [
        f"a photo of {thing} that is {how}" for thing in ("cat", "dog", "bird") for how in ("red", "blue")
    ]
    monkeypatch.setattr(made_mapping, "source_of", lambda *_: Source(captions, SPOKEN))
    assert main(["models", "pull", "blip", "--minutes", "0"]) == 0
    return home


@pytest.fixture
def models(home: Path) -> Models:
    return open_models("blip", llm="none")


def photographs(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        pixels = rng.integers(0, 255, (2, 2, 3), dtype=np.uint8).repeat(24, axis=0).repeat(24, axis=1)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def gallery(models: Models, tmp_path: Path) -> Gallery:
    return index_gallery(photographs(tmp_path / "pictures"), models)


def test_pictures_are_indexed_and_every_method_of_the_set_answers(models: Models, gallery: Gallery) -> None:
    assert models.captioner is not None, models.missing
    assert all(gallery.captions(image_id) for image_id in gallery.image_ids)
    models.__dict__["language_model"] = ToyLanguageModel()
    retriever = open_retriever(gallery, models)
    need_more = {card.name for card in METHODS if set(card.needs) - HAS}
    assert need_more > {"Pic2Word", "SEARLE", "HyCIR", "CVSI+HyCIR", "Slerp+TAT"}
    assert {card.name for card in METHODS} - set(retriever.composers) == need_more
    query = Query(Image.fromarray(np.full((40, 48, 3), 90, np.uint8)), "in the snow, with a red bird")
    for name, composer in retriever.composers.items():
        *_, composed = retriever.compose(query, name)
        for part in composed.parts.values():
            rows = np.atleast_2d(part)
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4, err_msg=name)
            assert rows.shape[1] == 12, name
        assert len(retriever.rank(composed, defaults(composer.parameters), top_k=6)) == 6, name


def test_a_picture_of_the_gallery_finds_itself_by_its_features(
    models: Models, gallery: Gallery, tmp_path: Path
) -> None:
    retriever = open_retriever(gallery, models)
    picture = Image.open(tmp_path / "pictures" / "4.png").convert("RGB")
    *_, composed = retriever.compose(Query(picture, "red"), "Image-only")
    first, second, *_ = retriever.rank(composed, {}, top_k=3)
    assert gallery.image_path(first.image_id).name == "4.png"
    assert first.score == pytest.approx(1.0, abs=1e-4)
    assert second.score < first.score - 1e-3


@pytest.mark.parametrize(("recipe", "method", "words"), [("pic2word", "Pic2Word", 1), ("hycir", "HyCIR", 4)])
def test_both_recipes_train_a_network_of_blips_words_which_the_method_then_has(
    models: Models, gallery: Gallery, tmp_path: Path, recipe: str, method: str, words: int
) -> None:
    ids, triplets, out = gallery.image_ids, tmp_path / "triplets.jsonl", tmp_path / "phi.safetensors"
    texts = ("is red", "is blue", "in the snow", "on the left")
    write_triplets(triplets, [Triplet(str(i), ids[i], ids[i + 1], text) for i, text in enumerate(texts)])
    command = ["train", "mapping", "--recipe", recipe, "--models", "blip", "--gallery", gallery.name]
    command += ["--triplets", str(triplets)] if recipe == "hycir" else []
    command += ["--steps", "150", "--rate", "3e-3", "--out", str(out)]
    assert main([*command, "--runs", str(tmp_path / "runs")]) == 0

    own = Models("blip", llm="none", own_phi=out)
    network = own.phi()
    assert network is not None
    assert (network.input_dim, network.tokens, network.word_width) == (12, words, 32)
    assert network.metadata["trained_for"] == own.tower.fingerprint
    retriever = open_retriever(gallery, own)
    assert method in retriever.composers
    # What it was trained for: each picture's own "a photo of [words]" is nearer to it than those of others.
    raw = np.stack([gallery.raw_features(image_id) for image_id in ids])
    said = own.tower.encode_spliced("a photo of", network.map_features(raw), "")
    cosines = said @ gallery.image_features.T
    assert np.diag(cosines).mean() > cosines.mean() + 0.05


def test_a_network_for_another_encoder_is_refused(models: Models, gallery: Gallery) -> None:
    with pytest.raises(BadQuery, match="does not fit the CLIP of the set blip"):
        _ = Models("blip", llm="none", own_phi=ASSETS / "models" / "mapping" / "pic2word.safetensors").own
