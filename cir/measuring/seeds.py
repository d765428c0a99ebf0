"""What a shipped network owes to its seed: networks that are learnt from pictures of the world, trained again with other seeds.

The shipped network is seed 0; each of the others has had as many steps. A network stands among the shipped models in a folder
of links, so that the set takes it as its own, and what is kept goes by its content.
"""

from __future__ import annotations

import argparse
import time
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from cir import __version__
from cir.application import build_composers
from cir.cache_keys import file_digest, keyed_folder
from cir.composers.composer import Composer, gallery_encoder_of
from cir.composers.parameters import defaults
from cir.composers.registry import METHODS
from cir.errors import BadQuery
from cir.evaluation import tables, world
from cir.evaluation.benchmark import Benchmark, read_benchmark
from cir.evaluation.encoders import Encoders
from cir.evaluation.method_code import method_code
from cir.evaluation.rank_measures import RECALLS
from cir.gallery.gallery import Gallery
from cir.measuring.bench import say
from cir.measuring.training_bench import kept_measures
from cir.models.catalog import SHIPPED
from cir.models.mapping_files import facts_in
from cir.models.model_set import WITHOUT, Models
from cir.models.protocols import Captioner
from cir.places import gallery_cache
from cir.training.recipes import STAGES, Stage
from cir.training.token_learners import MODULES

TAT = "tat"
LEARNERS = (TAT, *MODULES)
Facts = dict[str, Any]


class SeedsTable:
    """What was measured already, and what is measured now.

    Args:
        options: of `ablate`.

    Attributes:
        recipes: of the networks, in their order.

    Raises:
        BadQuery: a set whose networks are learnt from something else.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        if options.models != "embedded":
            raise BadQuery(
                "The networks of the set embedded alone are learnt from pictures of the world.",
                "Leave --models out.",
            )
        self.options = options
        self.recipes = options.recipes.lower().split(",") if options.recipes else list(LEARNERS)

    def rows(self) -> dict[str, list[dict[str, float]]]:
        """Method -> the measures of every seed, the shipped network first."""
        return {
            name: [self._measured(recipe, name, seed) for seed in self._seeds]
            for recipe, name in self._methods.items()
        }

    def record(self) -> Facts:
        """What all rows share, and what each network has had."""
        return {
            "version": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "seeds": self.options.seeds,
            "queries": len(self._benchmark.queries),
            "gallery": len(self._benchmark.scenes),
            "networks": {
                name: [self._facts(recipe, seed) for seed in self._seeds]
                for recipe, name in self._methods.items()
            },
        }

    @property
    def _seeds(self) -> range:
        return range(self.options.seeds)

    @property
    def _methods(self) -> dict[str, str]:
        named = {need.split()[-1]: card.name for card in METHODS for need in card.needs}
        return {recipe: named[recipe] for recipe in self.recipes}

    @cached_property
    def _benchmark(self) -> Benchmark:
        return read_benchmark("world")

    def _facts(self, recipe: str, seed: int) -> Facts:
        found = facts_of(self._file(recipe, seed))
        return {key: found[key] for key in ("seed", "steps", "pairs", "pictures", "seconds") if key in found}

    def _file(self, recipe: str, seed: int) -> Path:
        return self._models_folder(seed) / "methods" / f"{recipe}.safetensors"

    def _models_folder(self, seed: int) -> Path:
        return self.options.runs / "seeds" / f"seed-{seed}" if seed else SHIPPED

    def _measured(self, recipe: str, name: str, seed: int) -> dict[str, float]:
        if seed:
            self._train(recipe, seed)
        network = file_digest(self._file(recipe, seed))
        inputs = {"network": network, "benchmark": self._benchmark.digest, "program": method_code(name)}
        folder = keyed_folder(self.options.runs / "ablation", f"seed-{recipe}", inputs)
        return kept_measures(folder, lambda: self._measure(name, seed))

    def _train(self, recipe: str, seed: int) -> None:
        """Train a network for as many steps as the shipped one, unless it is there."""
        out, steps = self._file(recipe, seed), self.options.steps or facts_of(self._file(recipe, 0))["steps"]
        if out.is_file() and not out.is_symlink() and facts_of(out)["steps"] == steps:
            return
        out.unlink(missing_ok=True)  # a link to the shipped one
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Stage(
            self.options.runs, seed=seed, recipe=recipe, out=out, version=__version__, steps=steps, say=say
        )
        STAGES[TAT if recipe == TAT else "mapping"](stage)

    def _measure(self, name: str, seed: int) -> dict[str, float]:
        models = Models("embedded", llm=WITHOUT, shipped=linked(self._models_folder(seed)))
        composer, benchmark = build_composers(models, only=[name])[name], self._benchmark
        composed = world.compose_all(
            benchmark, benchmark.queries, composer, lambda said: say(f"{said}, seed {seed}")
        )
        by_id = {query.query_id: one for query, one in zip(benchmark.queries, composed, strict=True)}
        gallery = self._gallery(models, composer)
        ranked = tables.method_ranks(gallery, benchmark.queries, by_id, defaults(composer.parameters))
        return RECALLS.means(ranked.values())

    def _gallery(self, models: Models, composer: Composer) -> Gallery:
        encoder, scenes, picture = (
            gallery_encoder_of(composer) or models.clip,
            self._benchmark.scenes,
            self._benchmark.picture,
        )
        encoders = Encoders(
            encoder, models.text_encoder, cast(Captioner, models.captioner), gallery_cache() / "benchmark"
        )
        raw = encoders.images("world", self._benchmark.drawn, lambda: map(picture, scenes))
        return Gallery.from_features("world", tuple(scenes), raw)


def facts_of(path: Path) -> Facts:
    """What the training of a network wrote down."""
    return facts_in(path, "mapping") or facts_in(path, "tuned")


def linked(folder: Path) -> Path:
    """The folder itself, with a link to every shipped file that it does not have."""
    for file in SHIPPED.rglob("*") if folder != SHIPPED else ():
        place = folder / file.relative_to(SHIPPED)
        if file.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)
    return folder
