"""The price of noise: every supervised method trained on true edits, and on as many of SynCir's triplets, with every seed."""

from __future__ import annotations

import argparse
import time
from typing import Any

from cir import __version__
from cir.cache_keys import keyed_folder
from cir.composers.registry import METHODS
from cir.errors import CirError
from cir.evaluation.encoders import unit
from cir.measuring.bench import say
from cir.measuring.noise_table import SUM
from cir.measuring.training_bench import SOURCES, TrainingBench, kept_measures
from cir.training.fusion import FusionTraining, fusion_inputs, fusion_settings, queries_of
from cir.training.hycir import run_to_end

STEPS = 300
Measures = dict[str, float]


class NoiseTable:
    """What was measured already, and what is measured now.

    Args:
        options: of `ablate`.

    Attributes:
        recipes: the networks, in their order.

    Raises:
        CirError: the set has no supervised methods, and none was named.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.bench = options, TrainingBench(options)
        self.recipes = (
            options.recipes.lower().split(",") if options.recipes else list(self.bench.models.set.fusion)
        )
        if not self.recipes:
            raise CirError(
                f"The set {options.models} comes without supervised methods.",
                "Name some: --recipes tirg,combiner",
            )
        self.steps = options.steps or STEPS

    def rows(self) -> dict[str, dict[str, list[Measures]]]:
        """Method -> source of triplets -> the measures of every seed; first what needs no training."""
        named = {need: card.name for card in METHODS for need in card.needs}
        trained = {
            named[f"network {recipe}"]: {
                source: [self._measured(recipe, source, seed) for seed in range(self.options.seeds)]
                for source in SOURCES
            }
            for recipe in self.recipes
        }
        return {SUM: {"none": [self._sum()]}, **trained}

    def record(self) -> dict[str, Any]:
        """What all rows share."""
        options = self.options
        return {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "seeds": options.seeds,
            "steps": self.steps,
            "triplets_of_a_batch": options.batch_triplets,
            "triplets": {source: len(self.bench.triplets(source)) for source in SOURCES},
            "min_similarity": options.min_similarity,
            "queries": len(self.bench.asked),
            "gallery": len(self.bench.raw),
            "clip": self.bench.clip.fingerprint,
        }

    def _sum(self) -> Measures:
        asked = self.bench.asked
        return self.bench.measured(unit(unit(asked.references) + self.bench.clip.encode_texts(asked.texts)))

    def _measured(self, recipe: str, source: str, seed: int) -> Measures:
        clip, options = self.bench.clip, self.options
        triplets = self.bench.triplets(source, recipe)
        settings = fusion_settings(
            recipe,
            len(triplets),
            triplets=min(options.batch_triplets, len(triplets)),
            rate=options.rate,
            steps=self.steps,
            seed=seed,
        )
        inputs = {**fusion_inputs(recipe, clip, triplets, settings), "benchmark": self.bench.digest}
        folder = keyed_folder(options.runs / "ablation", f"fusion-{recipe}-{source}", inputs)

        def measure() -> Measures:
            training = FusionTraining(recipe, clip, triplets, settings, folder)
            run_to_end(training, lambda said: say(f"{recipe}, {source}, seed {seed}: {said}"))
            found = self.bench.measured(queries_of(training.fusion, clip, self.bench.asked))
            return {**found, "seconds": training.seconds}

        return kept_measures(folder, measure)
