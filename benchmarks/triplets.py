"""How long the triplet tab takes for one page, a filter and a threshold, against doing it triplet by triplet.

Ours filters and sorts columns and makes the cards of one page. The plain way judges every triplet anew, filters
with a loop, sorts the list, and writes every card. Both are run by turns in one process on the same made-up
triplets; what counts is the ratio of their medians, and how ours grows with their number. The last row mines
subgroups with other thresholds from stored neighbours, against finding the neighbours again.
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

from cir.gallery.gallery import Gallery
from cir.ranking.engines.neighbours import find_neighbours
from cir.syncir.consistency import Thresholds, judge
from cir.syncir.pairs import mine_subgroups, pairs_of
from cir.syncir.table import Filters, TripletTable
from cir.types import Triplet
from cir.ui.triplets import render
from cir.ui.triplets.cards import FileView, Page

NOUNS = ("dog", "cat", "bus", "guitar", "whale", "robot", "teapot", "rocket")
PLACES = ("at night", "in the snow", "under the sea", "on a road", "in a kitchen")


def triplets_of(count: int) -> list[Triplet]:
    """Made-up triplets with captions, texts and scores."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 1.0, count).round(5).tolist()
    nouns, places = rng.integers(0, len(NOUNS), count), rng.integers(0, len(PLACES), count)
    made = []
    for n, (score, a, b) in enumerate(zip(scores, nouns, places, strict=True)):
        caption = f"a photo of a {NOUNS[a]} {PLACES[b]}"
        row = Triplet(
            f"{n:x}",
            f"i{n % 997}",
            f"i{n % 991}",
            f"make it {PLACES[(b + 1) % 5]}",
            caption,
            caption + " too",
        )
        made.append(judge(_scored(row, score), Thresholds()))
    return made


def _scored(row: Triplet, score: float) -> Triplet:
    return Triplet(
        row.triplet_id, row.reference_id, row.target_id, row.text, row.reference_caption, row.target_caption,
        consistency=score,
    )  # fmt: skip


def medians(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, run by turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(rows)) for name, rows in times.items()}


def measure_page(count: int, repeats: int) -> dict[str, float]:
    """One page under words, a moved threshold and an order: ours and the plain way."""
    rows = triplets_of(count)
    table = TripletTable(rows)
    gallery = Gallery.from_features("none", ["x"], np.ones((1, 4), np.float32))
    filters = Filters(verdict="kept", words="night dog")
    view = FileView(table, "file", gallery, 0.75, -1)

    def cards(wanted: list[int]) -> str:
        made = tuple(map(view.card, wanted))
        return render.cards(Page(made, 0, 1, len(made), count))

    def ours() -> str:
        return cards(table.find(filters, "doubtful", 0.75)[:24].tolist())

    def plain() -> str:
        limits, words, wanted = Thresholds(0.75), filters.words.split(), []
        for n, row in enumerate(rows):
            said = f"{row.text}\n{row.reference_caption}\n{row.target_caption}".lower()
            if judge(row, limits).verdict == "kept" and all(word in said for word in words):
                wanted.append(n)
        return cards(sorted(wanted, key=lambda n: abs((rows[n].consistency or 0.0) - 0.75)))

    took = medians({"page": ours, "plain": plain}, repeats)
    return {
        "page_ms": round(took["page"], 2),
        "plain_ms": round(took["plain"], 2),
        "ratio": round(took["plain"] / took["page"], 1),
    }


def measure_mining(images: int, dim: int, repeats: int) -> dict[str, float]:
    """Subgroups and pairs at other thresholds from stored neighbours, and with neighbours found anew."""
    raw = np.random.default_rng(0).normal(size=(images, dim)) + 0.6
    features = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    stored = find_neighbours(features)

    def ours() -> object:
        return pairs_of(mine_subgroups(stored, near_duplicate=0.9, gap=0.001).subgroups)

    def anew() -> object:
        return pairs_of(mine_subgroups(find_neighbours(features), near_duplicate=0.9, gap=0.001).subgroups)

    took = medians({"stored": ours, "anew": anew}, repeats)
    return {
        "mining_ms": round(took["stored"], 2),
        "anew_ms": round(took["anew"], 2),
        "ratio": round(took["anew"] / took["stored"], 1),
    }


def main() -> None:
    """Print one JSON object for each size."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--triplets", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options.add_argument("--images", type=int, nargs="+", default=[1800, 10_000])
    options.add_argument("--repeats", type=int, default=5)
    chosen = options.parse_args()
    for count in chosen.triplets:
        row = {"triplets": count, "machine": platform.machine(), **measure_page(count, chosen.repeats)}
        sys.stdout.write(json.dumps(row) + "\n")
    for images in chosen.images:
        row = {"images": images, "machine": platform.machine(), **measure_mining(images, 256, chosen.repeats)}
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
