"""`python -m cir tables`: each table of docs/results.md, in words and numbers."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import cast

from cir.application import ROOT
from cir.commands.bench import BENCHMARK, Bench, say
from cir.composers.composer import Composer
from cir.errors import BadQuery
from cir.evaluation import hyperparameters, tables, world
from cir.evaluation.answers import AnswerBook
from cir.evaluation.benchmark import FOLDER
from cir.evaluation.composed import Witness
from cir.evaluation.efficiency import WatchedCaptioner, cost_of, cost_table
from cir.evaluation.results_file import write_section
from cir.models.catalog import Models
from cir.models.protocols import Captioner
from cir.retriever import Retriever
from cir.types import Weights


def methods_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table I on the world benchmark."""
    if not any(bench.is_wanted(name) for name in bench.methods):
        raise BadQuery(
            f"There is no method {bench.options.methods!r} here.", f"Choose from: {', '.join(bench.methods)}."
        )
    found = bench.ranked()
    rows = tables.best_first({name: row for name, row in found.items() if row})
    oracle = world.oracle_caption_ranks(bench.benchmark, bench.queries, bench.gallery, bench.models.clip)
    rows["*the target's true caption as a text query*"] = {
        q.query_id: rank for q, rank in zip(bench.queries, oracle, strict=True)
    }
    said = (
        "## All methods\n\nEach method with its own weights, on one shared CLIP, captioner and language model "
        "(the form of CVSI's Table I). "
    )
    if len({len(row) for row in rows.values()}) > 1:
        said += "Rows with fewer queries are measured on those that the language model has answered so far. "
    if absent := [name for name, row in found.items() if not row]:
        said += f"Not measured yet: {', '.join(absent)}. "
    markdown = (
        f"{said.strip()}\n\n{tables.recall_table(rows, first='method', seed=bench.options.seed)}\n\n"
        "### R@1 by kind of edit\n\nThe number of queries of each kind is in brackets.\n\n"
        f"{tables.kinds_table(rows, bench.queries)}"
    )
    return markdown, {"queries": {name: len(row) for name, row in rows.items()}}


def ablation_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table III."""
    weights = bench.cvsi_composer.default_weights
    rows = tables.ablated(bench.gallery, bench.queries, bench.cvsi, weights)
    markdown = (
        "## What each component of CVSI brings\n\nThe rows of CVSI's Table III. What is left out weighs 0 and the "
        f"rest keeps its ratio; the weights are α {weights.alpha:g}, β {weights.beta:g}, γ {weights.gamma:g}. "
        "Where the reference look has no weight, leaving it out changes nothing, as in the paper's own column for "
        f"CIRCO.\n\n{tables.recall_table(rows, first='variant', seed=bench.options.seed)}"
    )
    return markdown, {"queries": len(rows["CVSI"]), "weights": _as_row(weights)}


def language_models_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table IV: one row for each language model whose answers are here, on the queries that all answered."""
    rows = {}
    for path in sorted(FOLDER.glob(f"{BENCHMARK}-answers-*.jsonl")):
        witness = bench.witness if path == bench.book.path else Witness(AnswerBook(path, None))
        composer = bench.composers(witness)["CVSI"]
        composed = bench.composed("CVSI", composer, witness)
        name = path.stem.removeprefix(f"{BENCHMARK}-answers-").rsplit("_", 1)[0]
        if composed:
            rows[name] = tables.method_ranks(bench.gallery, bench.queries, composed, composer.default_weights)
    without = bench.composers(None)["CVSI"]
    rows["none: image word and captions of gallery images alone"] = tables.method_ranks(
        bench.gallery, bench.queries, bench.composed("CVSI", without, None), without.default_weights
    )
    rows = tables.best_first(tables.shared(rows))
    markdown = (
        "## Language models\n\nCVSI with each language model, all else equal, on the queries that all of them have "
        f"answered (the form of CVSI's Table IV).\n\n{tables.recall_table(rows, first='language model', seed=bench.options.seed)}"
    )
    return markdown, {"queries": len(next(iter(rows.values())))}


def efficiency_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table V, live."""
    asked = bench.options.timed
    queries = bench.benchmark.queries[: asked + 1]
    costs, training = {}, {}
    for name in bench.methods:
        if not bench.is_wanted(name):
            continue
        captioner = WatchedCaptioner(cast(Captioner, bench.models.captioner))
        model = None if bench.models.language_model is None else Witness(bench.models.language_model)
        composers = bench.composers(model, captioner)  # anew, so that nothing is remembered
        getattr(bench.models.language_model, "forget", lambda: None)()  # methods share questions
        retriever = Retriever(bench.gallery, {name: composers[name]})
        costs[name] = cost_of(retriever, name, queries, bench.benchmark.picture, captioner, model)
        seconds = training_seconds(bench.models, composers[name])
        if seconds is not None:
            training[name] = seconds
        say(f"{name}: {costs[name].whole:.2f} s a query")
    found = {name: tables.measure(row) for name, row in bench.ranked(compose=False).items() if row}
    recalls = {name: (m.recalls["R@1"], m.recalls["R@10"]) for name, m in found.items()}
    markdown = (
        "## What a query costs\n\nMedians over single queries, nothing remembered, one thread each (the form of "
        "CVSI's Table V). Training is that of the mapping network; what is encoded and captioned of the gallery beforehand "
        f"does not count, as in the paper.\n\n{cost_table(costs, training, recalls)}"
    )
    return markdown, {"timed_queries": asked, "whole_query_seconds": {n: c.whole for n, c in costs.items()}}


def training_seconds(models: Models, composer: Composer) -> float | None:
    """How long the mapping network of a method was trained, from its file; None where that is not said."""
    used = getattr(getattr(composer, "phi", None), "fingerprint", None)
    for recipe, part in models.set.mapping.items():
        network = models.phi(recipe) if used else None
        if network is None or network.fingerprint != used or not part.shipped:
            continue
        with (ROOT / "assets" / "models" / part.shipped).open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        facts = json.loads(header.get("__metadata__", {}).get("mapping", "{}"))
        return facts.get("seconds")
    return None


def hyperparameters_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Figure 4."""
    weights = bench.cvsi_composer.default_weights
    found = hyperparameters.surface(bench.gallery, bench.queries, bench.cvsi)
    by_count = {}
    for count in range(bench.options.gallery_captions + 1):
        gallery = hyperparameters.with_captions(bench.bare_gallery, bench.caption_rows, count)
        ranked = tables.method_ranks(gallery, bench.queries, bench.cvsi, weights)
        recalls = tables.measure(ranked).recalls
        by_count[count] = (recalls["R@1"], recalls["R@5"])
    figures = bench.options.results.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    drawn = {
        "simplex": hyperparameters.simplex_figure(found, weights),
        "gamma": hyperparameters.gamma_figure(found, weights),
        "captions": hyperparameters.captions_figure(by_count),
    }
    for name, svg in drawn.items():
        (figures / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    best = found.best
    g, w = found.at(best)
    markdown = (
        f"## Weights\n\nThe form of CVSI's Figure 4, on {found.queries:,} queries, from what was composed once. The best of "
        f"the {len(hyperparameters.POINTS) * len(hyperparameters.GAMMAS)} settings on these queries is α {best.alpha:g}, "
        f"β {best.beta:g}, γ {best.gamma:g} with R@1 {found.r1[g, w]:.1f}; the weights in use, found on validation queries, are "
        f"α {weights.alpha:g}, β {weights.beta:g}, γ {weights.gamma:g} with R@1 {found.r1[found.at(weights)]:.1f}.\n\n"
        f"R@1 over α and β at γ {weights.gamma:g}; the ring is the best, the dashed ring the weights in use:\n\n"
        "![R@1 over alpha and beta](figures/simplex.svg)\n\n"
        "R@1 and R@5 over γ:\n\n![Recall over gamma](figures/gamma.svg)\n\n"
        "R@1 and R@5 over the number of captions of each gallery image:\n\n"
        "![Recall over the number of captions](figures/captions.svg)"
    )
    return markdown, {"queries": found.queries, "best": _as_row(best), "in_use": _as_row(weights)}


def _as_row(weights: Weights) -> dict[str, float]:
    return {"alpha": weights.alpha, "beta": weights.beta, "gamma": weights.gamma}


TABLES: dict[str, Callable[[Bench], tuple[str, dict[str, object]]]] = {
    "methods": methods_table,
    "ablation": ablation_table,
    "language-models": language_models_table,
    "efficiency": efficiency_table,
    "hyperparameters": hyperparameters_table,
}


def make_tables(options: argparse.Namespace) -> int:
    """Make the tables that were asked for, and write each into its section."""
    bench = Bench(options)
    for name in TABLES if options.table == "all" else [options.table]:
        since = time.time()
        markdown, more = TABLES[name](bench)
        manifest = bench.manifest(**more, seconds=round(time.time() - since, 1))
        write_section(options.results, name, markdown, manifest)
        sys.stderr.write("\n")
        sys.stdout.write(f"{markdown}\n\n")
    bench.models.close()
    return 0
