"""Rendered scenes: the same scene gives the same picture, and the boxes say truly where the objects are."""

from itertools import combinations

import numpy as np
import pytest

from cir.world.backgrounds import background_image
from cir.world.render import HELD_OUT_VARIANTS, TRAINING_VARIANTS, Box, render_scene
from cir.world.scene import ObjectGroup, Scene, sample_scene
from cir.world.sprites import ImageCache, sprite_image
from cir.world.vocabulary import BACKGROUNDS, COLOURS, OUTDOOR, load_nouns


def some_scenes(count: int, seed: int = 5) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng) for _ in range(count)]


def area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def shared_area(a: Box, b: Box) -> float:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, width) * max(0.0, height)


def a_noun() -> str:
    return next(noun.name for noun in load_nouns().values() if noun.colours)


def test_the_same_scene_gives_the_same_pixels_twice():
    for scene in some_scenes(10):
        first, second = render_scene(scene, 96), render_scene(scene, 96)
        assert first.image.size == (96, 96)
        assert first.image.mode == "RGB"
        assert first.image.tobytes() == second.image.tobytes()
        assert first.boxes == second.boxes


def test_drawing_a_scene_leaves_the_shared_background_as_it_was():
    before = background_image("field", "day", 0, 64).tobytes()
    render_scene(Scene((ObjectGroup(a_noun()),), "field", "day", 3), 64, variants=(0,))
    assert background_image("field", "day", 0, 64).tobytes() == before


def test_different_layout_seeds_give_different_pictures():
    scenes = [Scene((ObjectGroup(a_noun()),), "beach", "day", seed) for seed in range(12)]
    assert len({render_scene(scene, 64).image.tobytes() for scene in scenes}) == 12


def test_every_object_has_one_box_inside_the_picture():
    for scene in some_scenes(90):
        boxes = render_scene(scene, 64).boxes
        assert [b.group_index for b in boxes] == [
            i for i, g in enumerate(scene.groups) for _ in range(g.count)
        ]
        for box in boxes:
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1


def test_boxes_are_the_same_fractions_at_every_size():
    for scene in some_scenes(20):
        assert render_scene(scene, 64).boxes == render_scene(scene, 160).boxes


def test_the_pixels_of_an_object_lie_in_its_box():
    for seed in range(6):
        scene = Scene((ObjectGroup(a_noun()),), "underwater", "", seed)
        rendered = render_scene(scene, 128, variants=(0,))
        empty = np.asarray(background_image("underwater", "", 0, 128), int)
        changed = np.abs(np.asarray(rendered.image, int) - empty).sum(axis=2) > 30
        rows, columns = np.nonzero(changed)
        (box,) = rendered.boxes
        drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        expected = np.array((box.left, box.top, box.right, box.bottom)) * 128
        assert np.abs(np.array(drawn) - expected).max() <= 3.0


@pytest.mark.parametrize("count", [1, 2])
def test_areas_order_by_the_word_of_size(count: int):
    for seed in range(20):
        sizes = ("small", "normal", "large")
        scenes = [Scene((ObjectGroup(a_noun(), count, None, size),), "snow", "day", seed) for size in sizes]
        small, normal, large = (area(render_scene(scene, 48).boxes[0]) for scene in scenes)
        assert 1.2 * small < normal
        assert 1.05 * normal < large


def test_a_lone_small_object_stays_small_and_a_large_one_large():
    for seed in range(20):
        for noun in list(load_nouns())[:4]:
            sides = {}
            for size in ("small", "large"):
                (box,) = render_scene(
                    Scene((ObjectGroup(noun, 1, None, size),), "road", "day", seed), 48
                ).boxes
                sides[size] = max(box.right - box.left, box.bottom - box.top)
            assert sides["small"] <= 0.30
            assert sides["large"] >= 0.36


def test_objects_hardly_cover_one_another():
    for scene in some_scenes(140, seed=8):
        for a, b in combinations(render_scene(scene, 32).boxes, 2):
            assert shared_area(a, b) <= 0.12 * min(area(a), area(b))


def test_groups_stand_from_left_to_right():
    for scene in some_scenes(100, seed=9):
        boxes = render_scene(scene, 32).boxes
        for a, b in combinations(boxes, 2):
            if a.group_index < b.group_index:
                assert a.right <= b.left


def test_every_background_can_be_drawn_and_differs_between_times_and_variants():
    for name in BACKGROUNDS:
        times = ("day", "sunset", "night") if name in OUTDOOR else ("",)
        pictures = {
            background_image(name, t, v, 32).tobytes() for t in times for v in (0, HELD_OUT_VARIANTS[0])
        }
        assert len(pictures) == 2 * len(times)
    assert not set(TRAINING_VARIANTS) & set(HELD_OUT_VARIANTS)


def test_a_background_refuses_a_time_that_it_does_not_have():
    with pytest.raises(ValueError, match="kitchen"):
        background_image("kitchen", "night", 0, 32)


def test_the_tints_of_a_sprite_are_told_apart():
    noun = load_nouns()[a_noun()]
    means = []
    for colour in COLOURS:
        pixels = np.asarray(sprite_image(noun.sprites[0], 48, colour, False), float)
        means.append(np.median(pixels[pixels[..., 3] > 200][:, :3], axis=0))
    for a, b in combinations(means, 2):
        assert np.linalg.norm(a - b) > 55


def test_the_image_cache_forgets_the_least_recently_used():
    cache = ImageCache(max_bytes=2 * (16 * 16 * 4 + 1024))
    scene = Scene((ObjectGroup(a_noun()),), "field", "day", 1)
    picture = render_scene(scene, 16).image
    made = []
    for key in "abcba":
        cache.get(key, lambda key=key: made.append(key) or picture)
    assert made == ["a", "b", "c", "a"]
    assert cache.used_bytes <= cache.max_bytes
