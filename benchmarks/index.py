"""What an index finds and how long it takes, beside the exact engine, over the rows that `ranking.py` draws.

    python benchmarks/index.py --images 100000 1000000 --engine faiss

Both engines are asked the same new queries in one process, by turns, for the 10 best; captions count for 0.1 to 0.5. What
counts is the ratio of the medians, with its 95 % bootstrap interval. `promised` is what was measured when the index was
built, on held queries of its own; `recall_at_10` is what these queries found. Many images are put into shards on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from ranking import HERE, PARTS, made_gallery, own_memory, ratio, timed, unit  # sets what OpenMP reads

sys.path.insert(0, str(HERE))

import numpy as np

from cir.ranking.engines import open_engine
from cir.ranking.engines.exact import ExactEngine
from cir.ranking.scoring import Linear

GAMMAS = (0.1, 0.2, 0.3, 0.5)
SHARES = dict(zip(PARTS, (0.5, 0.3, 0.2), strict=True))


def measure(images: int, dim: int, engine: str, rounds: int, folder: Path) -> dict[str, object]:
    """Seconds of building, median milliseconds of both engines, recall."""
    gallery, rng = made_gallery(images, dim, folder), np.random.default_rng(2)
    exact, indexed = ExactEngine(gallery), open_engine(gallery, engine)
    start = time.perf_counter()
    indexed.prepare(lambda *how_far: print(*how_far, file=sys.stderr))
    built = time.perf_counter() - start
    exact.prepare()
    asked, found = {}, {"exact": [], "index": []}

    def new_query() -> float:
        near = gallery.image_features[int(rng.integers(images))]
        asked["rows"] = {name: unit(0.8 * near + 0.03 * rng.normal(size=dim)) for name in PARTS}
        asked["scoring"] = Linear(SHARES, float(rng.choice(GAMMAS)))
        return 0.0

    def ask(name: str, one: object) -> float:
        took = timed(lambda: found[name].append(one.top(asked["rows"], asked["scoring"], 10)[0]))()
        exact.settle()  # what is computed ahead is no part of the next turn
        return took

    times: dict[str, list[float]] = {"exact": [], "index": []}
    for _ in range(rounds):
        new_query()
        for name in rng.permutation(["exact", "index"]):
            times[name].append(ask(name, exact if name == "exact" else indexed))
    hits = [np.isin(a, b).mean() for a, b in zip(found["exact"], found["index"], strict=True)]
    both = {name: np.array(row) for name, row in times.items()}
    return {
        "build_s": round(built, 1),
        "promised": round(indexed.recall, 4),
        "recall_at_10": round(float(np.mean(hits)), 4),
        **{f"{name}_ms": round(float(np.median(row)), 2) for name, row in both.items()},
        "exact / index": ratio(both["exact"], both["index"]),
        "rss_gb": round(own_memory(), 2),
    }


def main() -> None:
    """Print one JSON object for each size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, nargs="+", default=[100_000])
    options.add_argument("--dim", type=int, default=512)
    options.add_argument("--engine", choices=("faiss", "faiss-hnsw"), default="faiss")
    options.add_argument("--rounds", type=int, default=100)
    chosen = options.parse_args()
    for images in chosen.images:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            found = measure(images, chosen.dim, chosen.engine, chosen.rounds, Path(folder))
        row = {"images": images, "dim": chosen.dim, "engine": chosen.engine, "rounds": chosen.rounds}
        sys.stdout.write(json.dumps({**row, "machine": platform.machine(), **found}) + "\n")


if __name__ == "__main__":
    main()
