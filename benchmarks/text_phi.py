"""What a mapping network from texts is worth: in closed form, and after each further minute of LinCIR's steps.

    python -m benchmarks.text_phi                  # the table of docs/models.md: about 15 minutes of one core

One training on captions of the world, gone on with from row to row, as `train mapping --recipe lincir --texts world` makes
it; after each row LinCIR is asked the queries of the world benchmark, by the embedded CLIP alone. --benchmark
world-validation asks the smaller one. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.composers.composer import unit_row
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.bootstrap import interval
from cir.evaluation.encoders import Encoders
from cir.evaluation.measures import recalls
from cir.models.clip import ClipModel
from cir.models.mapping import load_mapping
from cir.models.protocols import ImageToWords
from cir.places import gallery_cache
from cir.prompts import lincir_template
from cir.scripting import open_models
from cir.training.made_mapping import make_mapping

MINUTES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
HEAD = "| minutes | steps | R@1 | 95 % | R@5 | R@10 |\n|---|---|---|---|---|---|\n"


def ranks_of(
    clip: ClipModel, phi: ImageToWords, benchmark: Benchmark, raw: NDArray[np.float32], limit: int | None
) -> list[int]:
    """The target's rank for each query, by LinCIR's sentence; the reference is left out.

    Args:
        clip: writes sentences with an image as a word.
        phi: says images as words.
        benchmark: queries over its scenes.
        raw: (N, D) CLIP's features of the scenes, in their order.
        limit: ask so many queries; None: all.
    """
    place = {image_id: i for i, image_id in enumerate(benchmark.scenes)}
    gallery = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    ranks = []
    for query in benchmark.queries[:limit]:
        reference, target = place[query.reference_id], place[query.target_ids[0]]
        prefix, suffix = lincir_template(query.modification_text)
        words = phi.map_features(raw[[reference]])
        scores = gallery @ unit_row(clip.encode_spliced(prefix, words, suffix))
        scores[reference] = -np.inf
        ranks.append(1 + int((scores > scores[target]).sum()))
    return ranks


def row_of(minutes: float, steps: int, ranks: Sequence[int]) -> str:
    """One line of the table."""
    found = recalls(ranks)
    low, high = interval([100.0 * (rank == 1) for rank in ranks], seed=0)
    return (
        f"| {minutes:g} | {steps} | {found['R@1']:.1f} | {low:.1f} to {high:.1f} | {found['R@5']:.1f} | "
        f"{found['R@10']:.1f} |\n"
    )


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.text_phi", description=__doc__.splitlines()[0]
    )
    options.add_argument("--minutes", type=float, nargs="+", default=MINUTES, help="a row for each")
    options.add_argument("--benchmark", choices=("world", "world-validation"), default="world")
    options.add_argument("--limit", type=int, help="only so many queries")
    options.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where networks and the training are kept"
    )
    chosen = options.parse_args()
    models = open_models("embedded", llm="none")
    clip, benchmark = models.tower, read_benchmark(chosen.benchmark)
    encoders = Encoders(clip, clip, models.captioner, gallery_cache() / "benchmark")
    raw = encoders.images(
        chosen.benchmark, benchmark.drawn, lambda: (benchmark.picture(i) for i in benchmark.scenes)
    )
    sys.stdout.write(f"{chosen.benchmark}, LinCIR, embedded CLIP\n\n{HEAD}")
    for minutes in sorted(chosen.minutes):
        out = chosen.runs / f"text-phi-{minutes:g}.safetensors"
        make_mapping(clip, out, model_set="embedded", runs=chosen.runs, texts="world", minutes=minutes)
        phi = load_mapping(out)
        ranks = ranks_of(clip, phi, benchmark, raw, chosen.limit)
        sys.stdout.write(row_of(minutes, int(phi.metadata["steps"]), ranks))
        sys.stdout.flush()
    models.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
