"""Galleries of the world, drawn as picture files: the sample, and a dense pool to make triplets from.

A family is a scene and edits of it. In the sample a third of the scenes have one, so that a person who starts with any
picture and a plain edit finds something. In the pool every scene is of a family of six, as many as a subgroup of SynCir's
has: there the near neighbours of a picture share much with it, as they do among millions of photographs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cir.evaluation.benchmark import PICTURE_PX, Benchmark, draw_benchmark
from cir.world.captions import describe_scene
from cir.world.edits import sample_edit
from cir.world.records import scene_to_record
from cir.world.render import HELD_OUT_VARIANTS, TRAINING_VARIANTS, render_scene
from cir.world.scene import Scene, sample_scene

QUALITY = 82
FAMILY = 6  # scenes, as many as a subgroup of `cir.syncir.pairs`
TRIES = 200  # for one more scene of a family: small scenes of few kinds run out of new ones


def draw_sample(folder: Path, *, count: int = 1800, seed: int = 20_261) -> Iterator[int]:
    """Draw `count` scenes as WebP files below `folder/images`, and write what they show to `folder/scenes.jsonl`.

    Yields:
        How many are drawn.
    """
    sample: Benchmark = draw_benchmark(queries=count // 3, gallery=count, seed=seed)
    yield from _drawn(folder, list(sample.scenes.values()), HELD_OUT_VARIANTS)
    numbers = {image_id: f"{i:04d}.webp" for i, image_id in enumerate(sample.scenes, start=1)}
    queries = [
        {
            "reference": numbers[q.reference_id],
            "text": q.modification_text,
            "target": numbers[q.target_ids[0]],
            "kind": q.kind,
        }
        for q in sample.queries
    ]
    (folder / "queries.json").write_text(json.dumps(queries, indent=0) + "\n", encoding="utf-8")


def draw_pool(folder: Path, *, count: int, seed: int) -> Iterator[int]:
    """Draw `count` scenes as `draw_sample` does, without queries: families of six of what training may draw.

    Yields:
        How many are drawn.
    """
    yield from _drawn(folder, pool_scenes(count, seed), TRAINING_VARIANTS)


def pool_scenes(count: int, seed: int) -> list[Scene]:
    """`count` scenes that all say something different and are not held out, in families whose members are edits of another.

    The edits are not kept: what leads from one to another is for SynCir to say.
    """
    rng = np.random.default_rng((seed, count))
    known: set[object] = set()
    scenes: list[Scene] = []
    while len(scenes) < count:
        for scene in _family(rng, known)[: count - len(scenes)]:
            known.add(scene.key)
            scenes.append(scene)
    return [scenes[int(i)] for i in rng.permutation(count)]


def _family(rng: np.random.Generator, known: set[object]) -> list[Scene]:
    """A new scene and edits of it, or of edits of it."""
    family: list[Scene] = []
    taken = set(known)
    for _ in range(TRIES):
        found = sample_edit(family[int(rng.integers(len(family)))], rng) if family else None
        scene = sample_scene(rng) if not family else found.target if found else None
        if scene is not None and scene.key not in taken and not scene.is_held_out:
            taken.add(scene.key)
            family.append(scene)
        if len(family) == FAMILY:
            break
    return family


def _drawn(folder: Path, scenes: list[Scene], variants: tuple[int, ...]) -> Iterator[int]:
    """Scenes as pictures below `folder/images`, and what they show in `folder/scenes.jsonl`."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, scene in enumerate(scenes, start=1):
        name = f"{number:04d}.webp"
        picture = render_scene(scene, PICTURE_PX, variants=variants).image
        picture.save(images / name, "WEBP", quality=QUALITY, method=6)
        rows.append({"file": name, "shows": describe_scene(scene), **scene_to_record(scene)})
        if number % 100 == 0:
            yield number
    (folder / "scenes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
