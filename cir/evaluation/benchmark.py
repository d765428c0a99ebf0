"""The world benchmark: composed queries over a gallery of held-out scenes with hard negatives.

The gallery holds every target, every reference, other edits of the same references (the hard negatives) and random
scenes. No two of its scenes say the same, so each query has one answer. Kept as JSON lines; pictures are drawn from
the records, before backgrounds that training never saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cir.cache_keys import code_digest, digest_of
from cir.errors import CirError
from cir.places import ASSETS
from cir.types import CirQuery
from cir.world.edits import sample_edit
from cir.world.records import scene_from_record, scene_to_record
from cir.world.render import HELD_OUT_VARIANTS, render_scene
from cir.world.scene import Scene, sample_scene

PICTURE_PX = 256
FOLDER = ASSETS / "benchmark"


def scenes_digest(scenes: Iterable[Scene]) -> str:
    """What stands for the pictures of scenes in a key: what they show, and the program that draws them."""
    return digest_of([scene_to_record(scene) for scene in scenes], PICTURE_PX, code_digest("world"))


@dataclass(frozen=True)
class Benchmark:
    """Scenes by id, and queries over them."""

    scenes: dict[str, Scene]
    queries: tuple[CirQuery, ...]

    @cached_property
    def drawn(self) -> str:
        """What stands for its pictures in a key, in their order."""
        return digest_of(list(self.scenes), scenes_digest(self.scenes.values()))

    @cached_property
    def digest(self) -> str:
        """What stands for all of it in a key: pictures and queries."""
        return digest_of(self.drawn, [asdict(query) for query in self.queries])

    def picture(self, image_id: str) -> Image.Image:
        """The scene of an id, drawn at 256 px."""
        return render_scene(self.scenes[image_id], PICTURE_PX, variants=HELD_OUT_VARIANTS).image


def held_out_scenes(rng: np.random.Generator) -> Iterator[Scene]:
    """Held-out scenes without end."""
    while True:
        scene = sample_scene(rng)
        if scene.is_held_out:
            yield scene


def _held_out_edit(
    reference: Scene, rng: np.random.Generator, known: set[Any]
) -> tuple[str, str, Scene] | None:
    for _ in range(80):  # one target in twenty is held out
        edit = sample_edit(reference, rng)
        if edit and edit.target.is_held_out and edit.target.key not in known:
            return edit.kind, edit.text, edit.target
    return None


def draw_benchmark(*, queries: int, gallery: int, seed: int) -> Benchmark:
    """Draw a benchmark of `queries` queries over `gallery` scenes; a fifth of them further edits of the references."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    known: set[Any] = set()
    rows: list[tuple[int, int, str, str]] = []

    def add(scene: Scene) -> int:
        known.add(scene.key)
        scenes.append(scene)
        return len(scenes) - 1

    draw = held_out_scenes(rng)
    while len(rows) < queries:
        reference = next(draw)
        if (
            reference.key in known
            or (found := _held_out_edit(reference, rng, known | {reference.key})) is None
        ):
            continue
        kind, text, target = found
        rows.append((add(reference), add(target), kind, text))
    for index in range(gallery // 5):
        other = _held_out_edit(scenes[rows[index % queries][0]], rng, known)
        if other is not None:
            add(other[2])
    while len(scenes) < gallery:
        scene = next(draw)
        if scene.key not in known:
            add(scene)
    order = rng.permutation(len(scenes))
    names = {int(old): f"scene-{new:05d}" for new, old in enumerate(order)}
    return Benchmark(
        {names[int(old)]: scenes[int(old)] for old in order},
        tuple(
            CirQuery(f"q{i:04d}", names[reference], text, (names[target],), kind)
            for i, (reference, target, kind, text) in enumerate(rows)
        ),
    )


def write_benchmark(benchmark: Benchmark, name: str, folder: Path = FOLDER) -> None:
    """Write `NAME.jsonl` (queries) and `NAME-gallery.jsonl` (scenes)."""
    folder.mkdir(parents=True, exist_ok=True)
    queries = [
        {
            "query_id": q.query_id,
            "kind": q.kind,
            "reference_id": q.reference_id,
            "text": q.modification_text,
            "target_ids": q.target_ids,
        }
        for q in benchmark.queries
    ]
    gallery = [
        {"image_id": image_id, **scene_to_record(scene)} for image_id, scene in benchmark.scenes.items()
    ]
    for path, rows in ((f"{name}.jsonl", queries), (f"{name}-gallery.jsonl", gallery)):
        (folder / path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_benchmark(name: str, folder: Path = FOLDER) -> Benchmark:
    """Read what `write_benchmark` wrote.

    Raises:
        CirError: a file that is missing or damaged.
    """
    try:
        lines = [
            (folder / f"{name}{part}.jsonl").read_text(encoding="utf-8").splitlines()
            for part in ("", "-gallery")
        ]
        queries, gallery = ([json.loads(line) for line in rows] for rows in lines)
        return Benchmark(
            {row["image_id"]: scene_from_record(row) for row in gallery},
            tuple(
                CirQuery(q["query_id"], q["reference_id"], q["text"], tuple(q["target_ids"]), q["kind"])
                for q in queries
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CirError(
            f"The benchmark {name} in {folder} cannot be read: {error!r}.",
            "Restore it from the repository, or draw it again: python -m cir world benchmark",
        ) from error
