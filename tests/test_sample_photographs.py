"""The second sample gallery: whose photographs it holds, that its index is theirs, and that its queries find."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cir.application import FOR_PHOTOGRAPHS, build_models, build_shelf, ingredients, open_for, presets
from cir.composers.parameters import starting
from cir.composers.registry import build_methods
from cir.errors import MissingModel
from cir.evaluation.world import compose_whole
from cir.images import read_image
from cir.models.catalog import SHIPPED, sentence_encoder_folder
from cir.places import ASSETS, SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS
from cir.ranking.retriever import Retriever
from cir.types import Query
from cir.ui.search import examples

ROOT = Path(__file__).resolve().parents[1]
FREE = re.compile(r"public-domain|CC0-1\.0|CC-BY-[1-4]\.0")


@pytest.fixture(scope="module")
def retriever(models) -> Retriever:
    return Retriever(open_for(models, str(SAMPLE_PHOTOGRAPHS)), build_methods(ingredients(models)))


def test_every_photograph_has_a_free_licence_and_the_package_that_states_it() -> None:
    lines = (SAMPLE_PHOTOGRAPHS / "NOTICE").read_text(encoding="utf-8").split("\n\n")
    said = {entry.splitlines()[0]: entry.splitlines()[1:] for entry in lines if entry.strip()}
    files = {path.name for path in (SAMPLE_PHOTOGRAPHS / "images").iterdir()}
    assert len(files) >= 60
    assert set(said) == files
    packages = {
        json.loads(row)["package"]
        for row in (ROOT / "benchmarks" / "photographs" / "shippable.jsonl").read_text("utf-8").splitlines()
    }
    for licence, source, *_ in said.values():
        assert FREE.fullmatch(licence.split(",")[0].strip()), licence
        assert source.strip().removeprefix("from ").split(",")[0] in packages
        if licence.strip().startswith("CC-BY"):
            assert "," in licence, "whom to name"


def test_it_weighs_little_enough_to_ship() -> None:
    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    assert size(SAMPLE_PHOTOGRAPHS) <= 6_000_000


def test_each_of_its_pictures_was_read_as_a_photograph_and_is_captioned_as_one(models, retriever) -> None:
    gallery = retriever.gallery
    kinds = {models.read_as(gallery.raw_features(image_id)) for image_id in gallery.image_ids}
    assert "a photograph" in kinds
    assert "a drawing" not in kinds
    assert all(gallery.captions(i)[0].startswith("a photograph of") for i in gallery.image_ids)


def test_the_page_offers_all_sample_galleries(models) -> None:
    shelf = build_shelf(
        models, Retriever(open_for(models), build_methods(ingredients(models))), title="Sample gallery"
    )
    shown = {entry.title: entry.problem for entry in shelf.entries() if not entry.own}
    assert shown == {"Sample gallery": "", "Sample photographs": "", "Sample families": ""}


def test_what_it_offers_to_try_finds_what_was_meant(retriever) -> None:
    try:
        sentence_encoder_folder()
    except MissingModel as missing:
        pytest.skip(str(missing))
    meant = {
        "the flower is pink": "pink-flower",
        "a small bird on a rock": "wren",
        "with snow and a lake": "snowy-mountains",
        "with a fish": "fish",
        "an otter by the water": "otter",
    }
    gallery = retriever.gallery
    tried = examples.of_gallery(examples.read_examples(ASSETS / "examples.json"), gallery)
    assert {example.text for example in tried} == set(meant)
    for example in tried:
        composed = compose_whole(
            retriever.composers["CVSI"],
            Query(read_image(gallery.image_path(example.image_id)), example.text),
        )
        values = starting(retriever.composers["CVSI"].parameters, composed)
        found = retriever.rank(composed, values, top_k=3, exclude=[example.image_id])
        assert any(meant[example.text] in gallery.label(one.image_id) for one in found), example.text


def test_the_drawn_gallery_has_queries_of_its_own(models) -> None:
    tried = examples.of_gallery(
        examples.read_examples(ASSETS / "examples.json"), open_for(models, str(SAMPLE_GALLERY))
    )
    assert len(tried) == examples.SHOWN


def test_the_page_begins_with_the_weights_of_the_world_and_offers_those_for_photographs(models) -> None:
    offered = presets(models)
    assert list(offered)[-1] == FOR_PHOTOGRAPHS
    assert offered[FOR_PHOTOGRAPHS]["gamma"] < next(iter(offered.values()))["gamma"]
    assert FOR_PHOTOGRAPHS not in presets(build_models("laptop", llm="none", clip=SHIPPED / "clip"))
