"""A pool for SynCir is dense: scenes in families, all different, none that a benchmark asks for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from cir.__main__ import main
from cir.evaluation.benchmark import read_benchmark
from cir.evaluation.sample import pool_scenes
from cir.world.records import scene_from_record
from cir.world.scene import Scene


def shared(a: Scene, b: Scene) -> bool:
    """Whether two scenes have a thing or their place in common, as any two have of which one is an edit of the other."""
    return bool({g.noun for g in a.groups} & {g.noun for g in b.groups}) or a.background == b.background


def test_a_pool_repeats_no_scene_and_has_none_that_is_held_out() -> None:
    scenes = pool_scenes(600, seed=1)
    assert len({scene.key for scene in scenes}) == 600
    assert not any(scene.is_held_out for scene in scenes)
    asked = {scene.key for scene in read_benchmark("world").scenes.values()}
    assert not asked & {scene.key for scene in scenes}


def test_most_scenes_of_a_pool_have_another_that_shares_nearly_all_with_them() -> None:
    """Among as many scenes of the benchmark most have none that differs in one group or in the place alone."""

    def alike(a: Scene, b: Scene) -> bool:
        groups = Counter(map(repr, a.groups)), Counter(map(repr, b.groups))
        differing = sum(((groups[0] - groups[1]) + (groups[1] - groups[0])).values())
        places = (a.background, a.time) != (b.background, b.time)
        return differing + 2 * places <= 2

    def lonely(scenes: list[Scene]) -> float:
        return sum(not any(alike(a, b) for b in scenes if b is not a) for a in scenes) / len(scenes)

    assert lonely(pool_scenes(300, seed=2)) < 0.25  # a compound edit leads farther away
    assert lonely(list(read_benchmark("world").scenes.values())[:300]) > 0.5


def test_a_pool_that_ends_within_a_family_is_as_long_as_it_was_asked_for() -> None:
    assert len(pool_scenes(8, seed=3)) == 8
    assert all(
        any(shared(a, b) for b in scenes if b is not a) for scenes in [pool_scenes(6, seed=4)] for a in scenes
    )


def test_the_command_draws_pictures_and_says_what_they_show(tmp_path: Path) -> None:
    assert main(["world", "pool", "--out", str(tmp_path / "pool"), "--count", "7"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "pool" / "scenes.jsonl").read_text("utf-8").splitlines()]
    assert [row["file"] for row in rows] == sorted(p.name for p in (tmp_path / "pool" / "images").iterdir())
    assert [scene_from_record(row).key for row in rows] == [s.key for s in pool_scenes(7, seed=2027)]
    with Image.open(tmp_path / "pool" / "images" / rows[0]["file"]) as picture:
        assert picture.size == (256, 256)


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_pictures_are_not_drawn(count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "pool", "--out", str(tmp_path / "pool"), "--count", count]) != 0
    assert "cannot be drawn" in capsys.readouterr().err
    assert not (tmp_path / "pool").exists()


def test_a_folder_with_pictures_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["world", "pool", "--out", str(tmp_path), "--count", "6"]) != 0
    assert "There are files in" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["mine.txt"]
