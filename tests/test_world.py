"""Scenes, captions and edits of the illustrated world say what they show."""

from __future__ import annotations

import numpy as np
import pytest

from cir.world.captions import caption_scene, describe_scene, with_article
from cir.world.edits import KINDS, sample_edit
from cir.world.reading import background_in, nouns_in
from cir.world.records import scene_from_record, scene_to_record
from cir.world.scene import MAX_INSTANCES, ObjectGroup, Scene, sample_scene
from cir.world.vocabulary import BACKGROUNDS, OUTDOOR, load_nouns


def scenes(count: int = 400, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(count)]


def test_there_are_between_120_and_150_nouns_each_in_three_styles() -> None:
    nouns = load_nouns()
    assert 120 <= len(nouns) <= 150
    assert all({s.style for s in n.sprites} == {"fluent", "noto", "twemoji"} for n in nouns.values())


def test_scenes_keep_their_bounds() -> None:
    for scene in scenes():
        assert 1 <= len(scene.groups) <= 3
        assert sum(g.count for g in scene.groups) <= MAX_INSTANCES
        assert len({g.noun for g in scene.groups}) == len(scene.groups)
        assert bool(scene.time) == (scene.background in OUTDOOR)


def test_a_caption_names_every_object_and_the_background() -> None:
    rng = np.random.default_rng(1)
    for scene in scenes():
        for text in (caption_scene(scene, rng), describe_scene(scene)):
            assert nouns_in(text) == {g.noun for g in scene.groups}, text
            assert background_in(text) == scene.background, text


def test_a_full_caption_says_counts_colours_and_sizes() -> None:
    scene = Scene((ObjectGroup("dog", 2, "red", "small"), ObjectGroup("umbrella")), "snow", "night")
    assert describe_scene(scene) == "two small red dogs and an umbrella in the snow at night"


@pytest.mark.parametrize(
    ("phrase", "expected"), [("owl", "an owl"), ("dog", "a dog"), ("ice cream", "an ice cream")]
)
def test_articles(phrase: str, expected: str) -> None:
    assert with_article(phrase) == expected


def test_two_drawings_of_the_same_content_have_the_same_key() -> None:
    a = Scene((ObjectGroup("dog"), ObjectGroup("cat")), "beach", "day", layout_seed=1)
    b = Scene((ObjectGroup("cat"), ObjectGroup("dog")), "beach", "day", layout_seed=2)
    assert a.key == b.key
    assert a.is_held_out == b.is_held_out


def test_about_one_content_in_twenty_is_held_out() -> None:
    share = np.mean([scene.is_held_out for scene in scenes(4000)])
    assert 0.03 < share < 0.075


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_changes_what_its_kind_says_and_nothing_else(kind: str) -> None:
    rng = np.random.default_rng(3)
    seen = 0
    for scene in scenes(300, seed=5):
        edit = sample_edit(scene, rng, kind=kind)
        if edit is None:
            continue
        seen += 1
        before, after = {g.noun for g in scene.groups}, {g.noun for g in edit.target.groups}
        assert edit.kind == kind
        assert edit.target.key != scene.key, edit.text
        if kind == "replace":
            assert len(before - after) == len(after - before) == 1
            assert (after - before) <= nouns_in(edit.text)
        elif kind == "add":
            assert before < after
        elif kind == "remove":
            assert after < before
            assert (before - after) <= nouns_in(edit.text)
        elif kind != "compound":
            assert before == after
        if kind == "background":
            assert background_in(edit.text) == edit.target.background
        if kind in ("count", "colour", "size", "time"):
            assert edit.target.background == scene.background
    assert seen > 30


def test_records_come_back_the_same() -> None:
    for scene in scenes(50):
        assert scene_from_record(scene_to_record(scene)) == scene


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_phrase_of_a_background_is_read_back(background: str) -> None:
    for phrase in BACKGROUNDS[background]:
        assert background_in(f"two dogs {phrase} at night") == background
