"""What ships for photographs, for real: two photographs that come with gradio, and drawings of the sample gallery."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cir.application import build_models, drawn_gallery, first_gallery, ingredients, open_for, open_triplets
from cir.composers.baselines import Sum
from cir.composers.registry import build_methods
from cir.errors import BadQuery, GalleryError, MissingModel
from cir.evaluation.world import compose_whole
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.images import read_image
from cir.models import catalog
from cir.models.catalog import sentence_encoder_folder
from cir.models.model_set import Models
from cir.models.photographs.captions import OPENING
from cir.models.photographs.meanings import read_meanings
from cir.places import SAMPLE_GALLERY
from cir.types import Query
from tests.commands import run

CHEETAH, TOWER = "cheetah1.jpg", "tower.jpg"


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    folder = Path(str(files("gradio") / "media_assets" / "images"))
    return [read_image(folder / name) for name in (CHEETAH, TOWER)]


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    return [read_image(path) for path in sorted((SAMPLE_GALLERY / "images").rglob("*.webp"))[1::300]]


def needs_sentences() -> None:
    try:
        sentence_encoder_folder()
    except MissingModel as missing:
        pytest.skip(str(missing))


def test_photographs_are_told_from_drawings(models, photographs, drawings) -> None:
    assert models.photographs.shares(photographs).tolist() == [1.0, 1.0]
    assert not models.photographs.shares(drawings).any()


def test_each_picture_is_said_to_be_read_as_what_it_is(models, photographs, drawings) -> None:
    rows = models.clip.encode_images([*photographs, *drawings])
    assert [models.read_as(row) for row in rows[:3]] == ["a photograph", "a photograph", "a drawing"]
    method = build_methods(ingredients(models))["Pic2Word"]
    said = [
        compose_whole(method, Query(one, "at night")).trace["read_as"]
        for one in (photographs[0], drawings[0])
    ]
    assert said == [["a photograph"], ["a drawing"]]


def test_a_set_that_reads_all_pictures_alike_says_nothing_of_it(drawn, drawings) -> None:
    assert drawn.read_as(drawn.clip.encode_images(drawings[:1])[0]) == ""
    composed = compose_whole(build_methods(ingredients(drawn))["Pic2Word"], Query(drawings[0], "at night"))
    assert "read_as" not in composed.trace


def test_drawings_have_the_features_of_the_clip_that_knows_them(models, drawings) -> None:
    joined, alone = models.clip.encode_images(drawings), models.tower.encode_images(drawings)
    np.testing.assert_allclose(models.clip.space.clip_part(joined), alone, rtol=1e-4, atol=1e-4)
    assert not models.clip.space.shown_part(joined).any()


def test_a_photograph_is_captioned_as_one_and_a_drawing_as_ever(models, photographs, drawings) -> None:
    found = models.captioner.caption([photographs[0], drawings[0]], per_image=2, seed=0)
    assert found[0][0].startswith(f"{OPENING} an animal (perhaps a cheetah)")
    assert found[1] == models.captioner.drawings.caption(drawings[:1], per_image=2, seed=0)[0]


def test_texts_find_the_photograph_that_they_are_about(models, photographs, drawings) -> None:
    needs_sentences()
    rows = models.clip.encode_images([*photographs, *drawings])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = ["a wild spotted cat", "a famous tall building in the city", "big feline with spots"]
    best = (models.clip.encode_texts(texts) @ rows.T).argmax(axis=1)
    assert best.tolist() == [0, 1, 0]


def test_an_edit_leads_from_one_photograph_to_the_other(models, photographs, drawings) -> None:
    needs_sentences()
    names = ["cheetah", "tower", *(f"drawing {i}" for i in range(len(drawings)))]
    gallery = Gallery.from_features("both", names, models.clip.encode_images([*photographs, *drawings]))
    query = Query(photographs[0], "a tower in the city")
    for method in (build_methods(ingredients(models))["Pic2Word"], Sum(models.clip, models.clip)):
        row = sum(compose_whole(method, query).parts.values())
        order = np.argsort(-(gallery.image_features @ row))
        assert {names[i] for i in order[:2]} == {"cheetah", "tower"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Models:
    """Another set: the same CLIP, without what reads photographs."""
    monkeypatch.setitem(catalog.SETS, "drawn", replace(catalog.SETS["embedded"], photographs=None))
    return build_models("drawn", llm="none")


def test_the_sample_gallery_is_refused_to_other_models_with_what_to_do(drawn) -> None:
    with pytest.raises(GalleryError, match="python -m cir index PHOTOS --models drawn"):
        open_for(drawn)


def test_a_page_begins_with_a_gallery_of_ones_own_where_other_models_made_the_sample(
    drawn, models, photographs, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    assert first_gallery(drawn) is None
    (tmp_path / "mine").mkdir()
    for i, picture in enumerate(photographs):
        picture.save(tmp_path / "mine" / f"{i}.png")
    for _ in index_folder(
        tmp_path / "mine", name="mine", cache_root=tmp_path / "cache", image_encoder=drawn.clip
    ):
        pass
    assert first_gallery(drawn) == "mine"
    assert first_gallery(models) is None


def test_who_indexed_with_a_set_is_told_to_search_with_it(
    drawn, photographs, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    photographs[0].save(tmp_path / "mine" / "one.png")
    code, out, _ = run(
        capsys, "index", str(tmp_path / "mine"), "--models", "drawn", "--llm", "none", "--no-captions"
    )
    assert code == 0
    assert "python -m cir search --models drawn --gallery mine" in out


def test_a_mapping_network_is_trained_on_drawings_alone(models, photographs, drawings) -> None:
    features = models.clip.encode_images([*photographs, *drawings])
    names = [f"photograph {i}" for i in range(len(photographs))] + [
        f"drawing {i}" for i in range(len(drawings))
    ]
    said: list[str] = []
    mixed = Gallery.from_features("mixed", names, features, captions=[[name] for name in names])
    left = drawn_gallery(models, mixed, said.append)
    assert list(left.image_ids) == names[2:]
    assert left.captions("drawing 1") == ["drawing 1"]
    (sentence,) = said
    assert sentence.startswith(
        f"Left out of mixed: 2 photographs of {len(names)} pictures, as the CLIP of the set embedded"
    )
    alone = models.tower.encode_images(drawings)
    for i, row in enumerate(alone):
        np.testing.assert_allclose(left.raw_features(f"drawing {i}"), row, rtol=1e-3, atol=1e-3)
    pure = Gallery.from_features("drawn", names[2:], features[2:])
    np.testing.assert_array_equal(
        drawn_gallery(models, pure, said.append).image_features, left.image_features
    )
    assert len(said) == 1
    with pytest.raises(BadQuery, match="holds 2 photographs"):
        drawn_gallery(models, Gallery.from_features("mixed", names[:4], features[:4]))


def test_what_texts_of_photographs_need_is_read_with_the_models_and_once(models) -> None:
    """Read at the first query, beside the thread that loads ahead, its library would be imported twice at once."""
    needs_sentences()
    read_meanings.cache_clear()
    again = build_models("embedded", llm="none")
    assert again.photograph_texts is not None
    assert read_meanings.cache_info().currsize == 1
    assert again.photograph_texts.encoder is again.sentence_encoder
    assert open_triplets(models)._build_encoder() is models.sentence_encoder
