"""The sample gallery: held-out scenes that belong together in families, drawn as picture files.

A family is a reference and edits of it, so that a person who starts with any picture and a plain edit finds
something; the rest are scenes of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from cir.evaluation.benchmark import PICTURE_PX, Benchmark, draw_benchmark
from cir.world.captions import describe_scene
from cir.world.records import scene_to_record
from cir.world.render import HELD_OUT_VARIANTS, render_scene

QUALITY = 82


def draw_sample(folder: Path, *, count: int = 1800, seed: int = 20_261) -> Iterator[int]:
    """Draw `count` scenes as WebP files below `folder/images`, and write what they show to `folder/scenes.jsonl`.

    Yields:
        How many are drawn.
    """
    sample: Benchmark = draw_benchmark(queries=count // 3, gallery=count, seed=seed)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (_, scene) in enumerate(sample.scenes.items(), start=1):
        name = f"{number:04d}.webp"
        picture = render_scene(scene, PICTURE_PX, variants=HELD_OUT_VARIANTS).image
        picture.save(images / name, "WEBP", quality=QUALITY, method=6)
        rows.append({"file": name, "shows": describe_scene(scene), **scene_to_record(scene)})
        if number % 100 == 0:
            yield number
    (folder / "scenes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
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
