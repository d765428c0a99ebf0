"""Indexing a folder in one process and on Ray, and where the time goes: `python benchmarks/ingestion.py --pictures 300`.

Pictures are JPEGs of 1600 x 1200 made from the sample galleries'. Both ways index the same folder by turns, with the embedded
models; captions are left out unless they are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cir.application import build_encoders
from cir.files import WalkedFile, content_hash, read_bytes
from cir.gallery.cache import open_cache, write_thumbnail
from cir.gallery.encoding import Encoders, Workers
from cir.gallery.indexing import index_folder
from cir.gallery.ray_cluster import connected
from cir.images import make_thumbnail, read_dated_image
from cir.places import SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS

SIZE, QUALITY, BATCH = (1600, 1200), 88, 32


def make_folder(folder: Path, count: int) -> None:
    """Write that many JPEGs, half of them photographs."""
    drawn, taken = (
        sorted(path for path in place.rglob("*") if path.suffix in (".webp", ".jpg"))
        for place in (SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS)
    )
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        source = (drawn, taken)[number % 2]
        with Image.open(source[number // 2 % len(source)]) as picture:
            large = np.asarray(picture.convert("RGB").resize(SIZE), np.int16)
        noise = rng.integers(-6, 7, (SIZE[1], SIZE[0], 1), np.int16)
        pixels = (large + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.jpg", quality=QUALITY)


def stages(folder: Path, cache: Path, encoders: Encoders) -> dict[str, float]:
    """Milliseconds of a processor for a picture, by what they are spent on, however busy the computer is."""
    spent: dict[str, float] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        since = time.process_time()
        result = work()
        spent[what] = spent.get(what, 0.0) + time.process_time() - since
        return result

    paths = sorted(folder.iterdir())[:96]
    encoders.images.encode_images([Image.new("RGB", SIZE)])  # what is done once
    with open_cache(cache / "stages", "stages") as made:
        for start in range(0, len(paths), BATCH):
            part = paths[start : start + BATCH]
            data = timed("read and hash", lambda part=part: [read_bytes(path)[0] for path in part])
            hashes = timed("read and hash", lambda data=data: [content_hash(one) for one in data])
            images = timed("decode", lambda data=data: [read_dated_image(one)[0] for one in data])
            small = timed("thumbnail", lambda images=images: [make_thumbnail(one) for one in images])
            rows = timed("encode", lambda images=images: encoders.images.encode_images(images))
            files = [(WalkedFile(path.name.encode()), one) for path, one in zip(part, hashes, strict=True)]

            def write(hashes=hashes, rows=rows, files=files, small=small) -> None:
                for content, thumbnail in zip(hashes, small, strict=True):
                    write_thumbnail(made.folder, content, thumbnail)
                made.store_images("measured", hashes, rows, files)

            timed("write", write)
    return {what: round(1000 * seconds / len(paths), 2) for what, seconds in spent.items()}


def rates(
    folder: Path, cache: Path, encoders: Encoders, workers: Workers | None, *, captions: int
) -> dict[str, float]:
    """Images a second of a whole run, and of the second half of its pictures, when everything is warm."""
    since = time.perf_counter()
    marks: list[tuple[int, float]] = []
    for progress in index_folder(
        folder,
        name="measured",
        image_encoder=encoders.images,
        text_encoder=encoders.texts,
        captioner=encoders.captioner if captions else None,
        captions_per_image=captions,
        cache_root=cache,
        batch_size=BATCH,
        workers=workers,
    ):
        if progress.stage == "images":
            marks.append((progress.done, time.perf_counter()))
    total, end = marks[-1][0], time.perf_counter()
    half = next(mark for mark in marks if mark[0] >= total / 2)
    last = next(mark for mark in marks if mark[0] == total)
    return {
        "images_per_second": round(total / (end - since), 1),
        "when_warm": round((total - half[0]) / max(last[1] - half[1], 1e-9), 1),
    }


def main() -> None:
    """Print one JSON object: milliseconds of each stage, and images a second of both ways, round by round."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=300)
    options.add_argument("--captions", type=int, default=0, help="of each picture (default: none)")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    encoders = build_encoders("embedded", captions=bool(chosen.captions))
    build = partial(build_encoders, "embedded", captions=bool(chosen.captions))
    with tempfile.TemporaryDirectory(prefix="ingestion-") as temporary:
        top = Path(temporary)
        make_folder(top / "pictures", chosen.pictures)
        found: dict[str, Any] = {"pictures": chosen.pictures, "load": round(os.getloadavg()[0], 1)}
        found["processor_ms_by_stage"] = stages(top / "pictures", top / "cache", encoders)
        measure = partial(rates, top / "pictures", encoders=encoders, captions=chosen.captions)
        found["one_process"], found["ray"] = [], []
        for number in range(chosen.rounds):
            found["one_process"].append(measure(cache=top / f"here{number}", workers=None))
            since = time.perf_counter()
            with connected():
                from cir.gallery.on_ray import RayWorkers

                workers = RayWorkers(build, encoders.fingerprints)
                started = time.perf_counter() - since
                found["ray"].append(measure(cache=top / f"ray{number}", workers=workers))
            found["ray"][-1]["start_s"] = round(started, 1)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
