"""How long a slider move and a new query take, against the published way of scoring or another checkout. `make bench`

The published way: fuse every gallery row with its captions, normalise (Eq. 10), multiply, sort everything. Ours: what
`Retriever.rank` does with a new query, and with a known one under other numbers, drawn anew for each of ten moves. With `--beside
PATH` the checkout there is measured too, in a process of its own. All are run by turns; what counts is the ratio of their
medians, with its 95 % bootstrap interval over the rounds. The rows are drawn in clusters, as those of a CLIP are: about
3,000 of very different sizes, around a common mean, captions apart from images. Many images are put into shards on the disk.
`exact` is the share of top 50 lists that are those of Eq. 10 in float64, in order; `rss_gb` what our process holds of the
memory beside mapped files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery

HERE = Path(__file__).resolve().parents[1]
PARTS = ("modified_captions", "fine_grained", "reference_image")
GAMMA = 0.3
AT_ONCE = 65_536  # rows that are drawn at once, and those of a shard
STORED_FROM = 200_000  # images from which on rows are put on the disk
COMPILED = 20_000  # images, from which on the engine's compiled loops look at them
MOVES = 10  # of a slider, one after another, each to anywhere
CHECKED = 5  # queries that are compared with float64

CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}
clock = os.environ.get(
    "BENCH_CLOCK", "wall"
)  # "cpu" on a machine that others use as well: what they take does not count

Way = Callable[[], float]  # does it once, and says how many milliseconds it took


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def timed(work: Callable[[], object]) -> Way:
    """The same, with a clock."""

    def once() -> float:
        start = CLOCKS[clock]()
        work()
        return 1000 * (CLOCKS[clock]() - start)

    return once


def drawn(images: int, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(N, D) rows of pictures and of their captions, some at a time; a tenth of the pictures have no captions."""
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(48, dim)).astype(np.float32) / np.sqrt(48)
    centres = rng.normal(size=(3000, 48)).astype(np.float32)
    mean, apart = (rng.normal(size=dim).astype(np.float32) for _ in range(2))
    for start in range(0, images, AT_ONCE):
        count = min(AT_ONCE, images - start)
        own = centres[(100 * rng.pareto(1.2, count)).astype(int) % 3000]
        own = own + 0.5 * rng.normal(size=own.shape).astype(np.float32)
        image = unit(own @ spread + 0.8 * mean + 0.4 * rng.normal(size=(count, dim)).astype(np.float32))
        said = own + 0.5 * rng.normal(size=own.shape).astype(np.float32)
        captions = 0.8 * unit(
            said @ spread + 0.7 * apart + 0.4 * rng.normal(size=(count, dim)).astype(np.float32)
        )
        captions[rng.random(count) < 0.1] = 0.0
        yield image, captions.astype(np.float32)


def whole(images: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, D) rows of pictures and of their captions, in memory."""
    rows = np.empty((2, images, dim), np.float32)
    start = 0
    for both in drawn(images, dim):
        rows[:, start : start + len(both[0])] = both
        start += len(both[0])
    return rows[0], rows[1]


def published(images: int, dim: int) -> Way:
    """Eq. 10 word for word on all rows."""
    image, captions = whole(images, dim)
    rng = np.random.default_rng(1)
    parts = [unit(rng.normal(size=dim)) for _ in PARTS]

    def score() -> None:
        query = sum(w * part for w, part in zip((0.5, 0.3, 0.2), parts, strict=True))
        fused = unit(GAMMA * captions + (1 - GAMMA) * image)
        np.argsort(-(fused @ (query / np.linalg.norm(query))))

    return timed(score)


def made_gallery(images: int, dim: int, folder: Path) -> Gallery:
    """A gallery of drawn rows: in memory, or from shards on the disk where there are many."""
    from cir.gallery.gallery import Gallery

    if images < STORED_FROM:
        image, captions = whole(images, dim)
        ids = tuple(map(str, range(images)))
        return Gallery.from_features("drawn", ids, image, caption_features=captions)
    from cir.gallery.columns import Column
    from cir.gallery.shards import shard_path, write_shard
    from cir.gallery.stored_rows import StoredRows

    names, lengths, captioned = ([], []), [], []
    for both in drawn(images, dim):
        for side, rows in zip(names, both, strict=True):
            side.append(shard_path(folder, write_shard(folder, rows)))
        lengths.append(np.linalg.norm(both[0], axis=1))
        captioned.append(both[1].any(axis=1))
    shards, rows = (part.astype(np.int32) for part in divmod(np.arange(images), AT_ONCE))
    nothing, norms = np.zeros((0, dim), np.float32), np.concatenate(lengths)
    return Gallery(
        name="drawn",
        image_ids=Column.of(map(str, range(images)), str),  # as a stored gallery has them
        image_features=StoredRows(names[0], nothing, shards, rows, dim, norms),
        caption_features=StoredRows(names[1], nothing, shards, rows, dim),
        captioned=np.concatenate(captioned),
        norms=norms,
    )


def ours(checkout: Path, images: int, dim: int, folder: Path) -> dict[str, Way]:
    """What the checkout's own `Retriever.rank` does. It has to be the first of this process."""
    sys.path.insert(0, str(checkout))
    from cir.composers.cvsi import scoring, weights
    from cir.ranking.retriever import Retriever, rows_of, scoring_of
    from cir.types import ComposedQuery

    gallery, rng = made_gallery(images, dim, folder), np.random.default_rng(2)
    retriever = Retriever(gallery, {})
    engine = retriever.engine
    settle = getattr(engine, "settle", lambda: None)  # what is computed ahead is no part of the next turn

    def query() -> ComposedQuery:
        near = gallery.image_features[int(rng.integers(images))]
        rows = {
            name: unit(share * near + 0.03 * rng.normal(size=dim))
            for name, share in zip(PARTS, (0.8, 0.6, 1.0), strict=True)
        }
        return ComposedQuery(rows, scoring=scoring)

    def values() -> object:
        alpha, beta, gamma = rng.random(3)
        return weights(alpha, beta * (1 - alpha), 0.05 + 0.9 * gamma)

    def new_query() -> float:
        settle()
        took = timed(partial(retriever.rank, query(), weights(0.5, 0.3, GAMMA), top_k=50))()
        settle()
        return took

    def exact() -> float:
        asked = [(query(), values()) for _ in range(CHECKED)]
        found = [[r.image_id for r in retriever.rank(*one, top_k=50)] for one in asked]
        ways = [(rows_of(one), scoring_of(one, with_values)) for one, with_values in asked]
        truth = [[gallery.image_ids[i] for i in best] for best in by_equation_10(gallery, ways)]
        return float(np.mean([ours == true for ours, true in zip(found, truth, strict=True)]))

    def slider() -> float:
        moves = [partial(retriever.rank, kept, values(), top_k=50) for _ in range(MOVES)]
        return timed(lambda: [move() for move in moves])() / MOVES

    engine.prepare()  # as the program does before anybody asks
    new_query()
    kept = query()
    retriever.rank(kept, weights(0.5, 0.3, GAMMA), top_k=50)
    settle()
    return {
        "slider": slider,
        "new_query": new_query,
        "exact": exact,
        "rss_gb": own_memory,
    }


def by_equation_10(gallery: Gallery, ways: list) -> list[list[int]]:
    """The 50 best rows of some queries, word for word in float64: fuse, normalise, multiply, sort."""
    scores = np.empty((len(ways), len(gallery)))
    queries = [
        sum(w * rows[n].astype(np.float64) for n, w in s.weights.items() if n in rows) for rows, s in ways
    ]
    for start in range(0, len(gallery), 8192):
        at = slice(start, start + 8192)
        image, captions = (
            rows[at].astype(np.float64) for rows in (gallery.image_features, gallery.caption_features)
        )
        for score, q, (_, scoring) in zip(scores, queries, ways, strict=True):
            g = np.where(gallery.captioned[at], scoring.captions, 0.0)[:, None]
            fused = g * captions + (1 - g) * image
            score[at] = fused @ q / (np.linalg.norm(fused, axis=1) * np.linalg.norm(q))
    return [np.argsort(-row, kind="stable")[:50].tolist() for row in scores]


def own_memory() -> float:
    """GB of memory of this process that are no pages of mapped files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def answer(checkout: Path, images: int, dim: int) -> None:
    """Measure what is asked for on standard input, line by line."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        ways = ours(checkout, images, dim, Path(folder))
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

        yield {name: asked(name) for name in ("slider", "new_query", "exact", "rss_gb")}
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
    with checkout_ways(HERE, COMPILED, dim):
        pass  # loops are compiled once and kept, which takes 0.15 GB of the process that does it
    with checkout_ways(HERE, images, dim) as all_of_here:
        here = {name: all_of_here[name] for name in ("slider", "new_query")}
        ways = {"published": published(images, dim), **here}
        if beside is None:
            times = by_turns(ways, rounds)
        else:
            with checkout_ways(beside, images, dim) as there:
                times = by_turns({**ways, **{f"{name}_beside": there[name] for name in here}}, rounds)
        held = {name: round(all_of_here[name](), 3) for name in ("rss_gb", "exact")}
    found: dict[str, object] = {f"{name}_ms": round(float(np.median(row)), 3) for name, row in times.items()}
    found |= held
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
    options.add_argument("--json", action="store_true", help="one object a line, as it always is")
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
            "clock": clock,
            **measure(images, chosen.dim, chosen.rounds, chosen.beside),
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
