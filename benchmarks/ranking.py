"""How long a slider move and a new query take, against the published way of scoring or another checkout. `make bench`

The published way: fuse every gallery row with its captions, normalise (Eq. 10), multiply, sort everything. Ours: six dot
products for a new query, and arithmetic on them for a slider move, both as `Retriever.rank` does them. With `--beside
PATH` the checkout there is measured too, in a process of its own. All are run by turns on the same random rows; what
counts is the ratio of their medians, with its 95 % bootstrap interval over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

HERE = Path(__file__).resolve().parents[1]
PARTS = ("modified_captions", "fine_grained", "reference_image")
GAMMA = 0.3

Way = Callable[[], float]  # does it once, and says how many milliseconds it took


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def timed(work: Callable[[], object]) -> Way:
    """The same, with a clock."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - start)

    return once


def random_rows(images: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """(K, D) rows of pictures and of captions, and what goes on drawing."""
    rng = np.random.default_rng(0)
    return unit(rng.normal(size=(images, dim))), unit(rng.normal(size=(images, dim))), rng


def published(images: int, dim: int) -> Way:
    """Eq. 10 word for word on all rows."""
    image, captions, rng = random_rows(images, dim)
    parts = [unit(rng.normal(size=dim)) for _ in PARTS]

    def score() -> None:
        query = sum(w * part for w, part in zip((0.5, 0.3, 0.2), parts, strict=True))
        fused = unit(GAMMA * captions + (1 - GAMMA) * image)
        np.argsort(-(fused @ (query / np.linalg.norm(query))))

    return timed(score)


def ours(checkout: Path, images: int, dim: int) -> dict[str, Way]:
    """What the checkout's own `Retriever.rank` does. It has to be the first of this process."""
    sys.path.insert(0, str(checkout))
    from cir.gallery.gallery import Gallery
    from cir.ranking.retriever import Retriever
    from cir.types import ComposedQuery

    try:
        from cir.composers.cvsi import scoring, weights

        more, first, second = {"scoring": scoring}, weights(0.5, 0.3, GAMMA), weights(0.3, 0.5, GAMMA)
    except ImportError:  # before methods had numbers of their own, CVSI's were a type
        from cir.types import Weights

        more, first, second = {}, Weights(0.5, 0.3, GAMMA), Weights(0.3, 0.5, GAMMA)
    image, captions, rng = random_rows(images, dim)
    ids = [str(i) for i in range(images)]
    retriever = Retriever(Gallery.from_features("random", ids, image, caption_features=captions), {})

    def query() -> ComposedQuery:
        return ComposedQuery({name: unit(rng.normal(size=dim)) for name in PARTS}, **more)

    kept = query()
    retriever.rank(kept, first, top_k=50)
    return {
        "slider_move": timed(lambda: retriever.rank(kept, second, top_k=50)),
        "new_query": lambda: timed(partial(retriever.rank, query(), first, top_k=50))(),
    }


def answer(checkout: Path, images: int, dim: int) -> None:
    """Measure what is asked for on standard input, line by line."""
    ways = ours(checkout, images, dim)
    print("ready", flush=True)
    for line in sys.stdin:
        print(ways[line.strip()](), flush=True)


@contextmanager
def checkout_ways(checkout: Path, images: int, dim: int) -> Iterator[dict[str, Way]]:
    """What a checkout does, in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--answer",
        str(checkout),
        "--images",
        str(images),
        "--dim",
        str(dim),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(
                f"{checkout} cannot be measured: it has no Retriever as this benchmark knows it."
            )

        def asked(name: str) -> Way:
            def once() -> float:
                process.stdin.write(f"{name}\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            return once

        yield {name: asked(name) for name in ("slider_move", "new_query")}
        process.stdin.close()


def by_turns(ways: dict[str, Way], rounds: int) -> dict[str, np.ndarray]:
    """(rounds,) milliseconds of each; every round has them in another order."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in rng.permutation(list(ways)):
            times[name].append(ways[name]())
    return {name: np.array(rows) for name, rows in times.items()}


def ratio(above: np.ndarray, below: np.ndarray) -> dict[str, float | list[float]]:
    """The ratio of the medians, with its interval over rounds."""
    rounds = np.random.default_rng(0).integers(0, len(above), (2000, len(above)))
    drawn = np.median(above[rounds], axis=1) / np.median(below[rounds], axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = float(np.median(above) / np.median(below))
    return {"ratio": round(found, 3), "interval": [round(float(low), 3), round(float(high), 3)]}


def measure(images: int, dim: int, rounds: int, beside: Path | None) -> dict[str, object]:
    """Median milliseconds of each way, and the ratios."""
    with checkout_ways(HERE, images, dim) as here:
        ways = {"published": published(images, dim), **here}
        if beside is None:
            times = by_turns(ways, rounds)
        else:
            with checkout_ways(beside, images, dim) as there:
                times = by_turns({**ways, **{f"{name}_beside": way for name, way in there.items()}}, rounds)
    found: dict[str, object] = {f"{name}_ms": round(float(np.median(row)), 3) for name, row in times.items()}
    for name in here:
        found[f"published / {name}"] = ratio(times["published"], times[name])
        if beside is not None:
            found[f"{name} / beside"] = ratio(times[name], times[f"{name}_beside"])
    return found


def main() -> None:
    """Print one JSON object for each size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, nargs="+", default=[2000, 20_000, 123_403])
    options.add_argument("--dim", type=int, default=512)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument(
        "--beside", type=Path, help="another checkout of this repository, measured in the same run"
    )
    options.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.answer is not None:
        answer(chosen.answer, chosen.images[0], chosen.dim)
        return
    for images in chosen.images:
        row = {
            "images": images,
            "dim": chosen.dim,
            "rounds": chosen.rounds,
            "machine": platform.machine(),
            **measure(images, chosen.dim, chosen.rounds, chosen.beside),
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
