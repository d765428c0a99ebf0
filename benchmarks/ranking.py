"""How long a slider move and a new query take, against the published way of scoring. `make bench`

The published way: fuse every gallery row with its captions, normalise (Eq. 10), multiply, sort everything. Ours: six dot
products for a new query, and arithmetic on them for a slider move. Both are run by turns in one process on the same
random rows; what counts is the ratio of their medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from cir.composers.cvsi import PARTS
from cir.gallery.gallery import Gallery
from cir.ranking.engines import open_engine
from cir.ranking.scoring import Linear


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def measure(images: int, dim: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of each way, and their ratios."""
    rng = np.random.default_rng(0)
    image, captions = unit(rng.normal(size=(images, dim))), unit(rng.normal(size=(images, dim)))
    engine = open_engine(
        Gallery.from_features("random", [str(i) for i in range(images)], image, caption_features=captions)
    )
    parts = {name: unit(rng.normal(size=dim)) for name in PARTS}
    weights, gamma = np.array([0.5, 0.3, 0.2]), 0.3
    scoring = Linear(dict(zip(PARTS, weights.tolist(), strict=True)), gamma)
    engine.top(parts, scoring, 50)

    def published() -> None:
        query = sum(w * parts[name] for w, name in zip(weights, PARTS, strict=True))
        fused = unit(gamma * captions + (1 - gamma) * image)
        np.argsort(-(fused @ (query / np.linalg.norm(query))))

    def slider() -> None:
        engine.top(parts, scoring, 50)

    def query() -> None:
        engine.top({name: unit(rng.normal(size=dim)) for name in PARTS}, scoring, 50)

    ways: dict[str, Callable[[], None]] = {"published": published, "slider_move": slider, "new_query": query}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1000 * (time.perf_counter() - start))
    medians = {name: float(np.median(rows)) for name, rows in times.items()}
    return {
        **{f"{name}_ms": round(value, 3) for name, value in medians.items()},
        "slider_move_ratio": round(medians["published"] / medians["slider_move"], 1),
        "new_query_ratio": round(medians["published"] / medians["new_query"], 1),
    }


def main() -> None:
    """Print one JSON object for each size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, nargs="+", default=[2000, 20_000, 123_403])
    options.add_argument("--dim", type=int, default=512)
    options.add_argument("--repeats", type=int, default=9)
    chosen = options.parse_args()
    for images in chosen.images:
        row = {
            "images": images,
            "dim": chosen.dim,
            "machine": platform.machine(),
            **measure(images, chosen.dim, chosen.repeats),
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
