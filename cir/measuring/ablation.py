"""HyCIR's ablations: every row of a table trained with every seed, and measured on the world benchmark."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cir import __version__
from cir.cache_keys import keyed_folder
from cir.errors import CirError
from cir.measuring.bench import say
from cir.measuring.training_bench import SOURCES, TrainingBench, kept_measures
from cir.text import counted
from cir.training.hycir import HycirSettings, composed_rows, train_hycir, training_inputs
from cir.training.on_gallery import unlabelled

if TYPE_CHECKING:
    from cir.models.mapping import MappingNetwork

STEPS, RATE = 100, 1e-3
# Row name -> what differs from the default (hybrid, 4 words, filtered, near pairs). Source: HyCIR, Tables 3, 4
# and 5; the rows of near pairs are ours, that of SPN's templates is of its Table 1, which has no numbers.
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "3": {
        "no synthetic data": {"loss": "zs-cir"},
        "SynCir without filter": {"unfiltered": True, "far": True},
        "SynCir with filter": {"far": True},
        "SynCir with filter, near pairs": {},
        "SPN's templates, near pairs": {"templates": True},
    },
    "4": {f"{n} word{'s' if n > 1 else ''}": {"tokens": n} for n in range(1, 9)},
    "5": {"L_ZS-CIR": {"loss": "zs-cir"}, "L_triplet": {"loss": "triplet"}, "L_hybrid": {}},
}


def _applies(change: dict[str, Any], source: str) -> bool:
    """True edits need no filter and have texts of their own, and without triplets there is no source of them."""
    without = change.get("far") or change.get("templates") or change.get("loss") == "zs-cir"
    return source == "syncir" or not without


class Ablation:
    """What was measured already, and what is measured now: runs/ablation/*.json, by settings."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.bench = options, TrainingBench(options)
        self.clip, self._triplets = self.bench.clip, self.bench.triplets
        self.pool = unlabelled(options.pictures, self.bench.gallery, self.clip)
        self.steps, self.rate = options.steps or STEPS, options.rate or RATE

    def rows(self, table: str) -> dict[str, dict[str, list[dict[str, float]]]]:
        """Row -> source of triplets -> the measures of every seed, of one of the paper's tables.

        Raises:
            CirError: there is no such table.
        """
        if table not in TABLES:
            raise CirError(f"HyCIR has no table {table} of this kind.", f"Choose from {', '.join(TABLES)}.")
        return {
            row: {source: list(self.runs(change, source)) for source in SOURCES if _applies(change, source)}
            for row, change in TABLES[table].items()
        }

    def runs(self, change: dict[str, Any], source: str) -> Iterator[dict[str, float]]:
        """The measures of every seed."""
        for seed in range(self.options.seeds):
            yield self._measured(change, source, seed)

    def record(self) -> dict[str, Any]:
        """What all rows share."""
        options = self.options
        return {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "seeds": options.seeds,
            "steps": self.steps,
            "batch": f"{counted(options.batch_images, 'image')} and {counted(options.batch_triplets, 'triplet')}",
            "rate": self.rate,
            "unlabelled_images": len(self.pool),
            "min_similarity_of_near_pairs": options.min_similarity,
            "triplets": {name: len(self._triplets(name)) for name in ("syncir-all", "syncir-far", "syncir")},
            "true_edits": len(self._triplets("syncir")),
            "clip": self.clip.fingerprint,
        }

    def _measured(self, change: dict[str, Any], source: str, seed: int) -> dict[str, float]:
        options = self.options
        settings = HycirSettings(
            tokens=change.get("tokens", 4),
            loss=change.get("loss", "hybrid"),
            images=options.batch_images,
            triplets=options.batch_triplets,
            rate=self.rate,
            steps=self.steps,
            seed=seed,
            save_every=10**9,
        )
        kind = "-all" if change.get("unfiltered") else "-far" if change.get("far") else ""
        kind = "-templates" if change.get("templates") else kind
        data = "none" if settings.loss == "zs-cir" else source + kind
        triplets = None if data == "none" else self._triplets(data)
        inputs = {
            **training_inputs(self.clip, settings, self.pool, *(triplets.contents if triplets else ())),
            "benchmark": self.bench.digest,
        }
        folder = keyed_folder(options.runs / "ablation", "run", inputs)

        def told(sentence: str) -> None:
            say(f"{data}, {change}, {seed}: {sentence}")

        return kept_measures(
            folder, lambda: self.measure(train_hycir(self.clip, self.pool, triplets, settings, folder, told))
        )

    def measure(self, network: MappingNetwork) -> dict[str, float]:
        """See `TrainingBench.measured`."""
        asked = self.bench.asked
        return self.bench.measured(composed_rows(self.clip, network, asked.references, asked.texts))
