"""`python -m cir tables`: each table of docs/results.md, in words and numbers."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from cir.commands.console import announce
from cir.commands.options import settle
from cir.composers import cvsi_removal
from cir.composers.composer import Composer
from cir.composers.cvsi import PARAMETERS
from cir.composers.method_card import SUPERVISED
from cir.composers.order_by_order import orders_in
from cir.composers.parameters import in_symbols
from cir.composers.registry import METHODS
from cir.errors import BadQuery
from cir.evaluation import hyperparameters, tables
from cir.evaluation.composed import Witness
from cir.evaluation.efficiency import WatchedCaptioner, cost_of, cost_table
from cir.evaluation.rank_measures import Ranked
from cir.evaluation.results_file import write_section
from cir.measuring.bench import Bench, models_for, say
from cir.measuring.dataset_bench import DatasetBench
from cir.measuring.datasets import opened
from cir.measuring.paraphrases import paraphrases_table
from cir.measuring.world_bench import WorldBench
from cir.models.model_set import Models
from cir.models.protocols import Captioner
from cir.places import report_path
from cir.ranking.retriever import Retriever
from cir.text import counted

SUPERVISED_METHODS = {card.name for card in METHODS if card.family == SUPERVISED}


def methods_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table I."""
    if not any(bench.is_wanted(name) for name in bench.methods):
        raise BadQuery(
            f"There is no method {bench.options.methods!r} here.", f"Choose from: {', '.join(bench.methods)}."
        )
    found = bench.ranked()
    best = tables.best_first({name: row for name, row in found.items() if row}, bench.measure)
    supervised = {name: row for name, row in best.items() if name in SUPERVISED_METHODS}
    rows = {name: row for name, row in best.items() if name not in supervised}
    if (oracle := bench.true_captions()) is not None:
        rows["*the target's true caption as a text query*"] = oracle
    said = (
        f"## All methods{bench.heading}\n\nEach method with its own weights, on one shared CLIP, captioner and language model "
        "(the form of CVSI's Table I). "
    )
    if len({len(row) for row in (*rows.values(), *supervised.values())}) > 1:
        said += "Rows with fewer queries are measured on those that the language model has answered so far. "
    if absent := [name for name, row in found.items() if not row]:
        said += f"Not measured yet: {', '.join(absent)}. "
    markdown = f"{said}{bench.protocol}".strip() + f"\n\n{bench.table(rows, 'method')}"
    if supervised:
        markdown += (
            "\n\n### Supervised methods\n\nThey have learnt from triplets whose edits are known; those above, from none.\n\n"
            f"{bench.table(supervised, 'method')}"
        )
        rows |= supervised
    if bench.kinds:
        markdown += (
            f"\n\n### {bench.measure.by_kind} by {bench.kinds_are}\n\nThe number of queries of each kind is in brackets.\n\n"
            f"{tables.kinds_table(rows, bench.kinds, bench.measure)}"
        )
    if shortcuts := tables.shortcuts_table(rows, bench.measure, seed=bench.options.seed):
        markdown += f"\n\n### Shortcuts\n\n{shortcuts}"
    if bench.near_misses_are:
        composed = {
            name: bench.composed(name, composer, bench.witness, compose=False)
            for name, composer in bench.methods.items()
        }
        misses = {name: bench.near_misses(name, composed[name]) for name in rows if composed.get(name)}
        markdown += (
            f"\n\n### Hard negatives in the first place\n\n{bench.near_misses_are} In percent of the queries.\n\n"
            f"{tables.near_misses_table(misses)}"
        )
    return markdown, {"queries": {name: len(row) for name, row in rows.items()}}


def ablation_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table III."""
    weights = bench.weights(bench.cvsi_composer)
    rows = tables.ablated(bench.gallery, bench.queries, bench.cvsi, weights, bench.measure)
    said = (
        f"## What each component of CVSI brings{bench.heading}\n\nThe rows of CVSI's Table III. What is left out weighs 0 and the "
        f"rest keeps its ratio; the weights are {in_symbols(PARAMETERS, weights)}. "
        "Where the reference look has no weight, leaving it out changes nothing, as in the paper's own column for "
        f"CIRCO. {bench.protocol}"
    )
    markdown = f"{said.strip()}\n\n{bench.table(rows, 'variant')}{_ours_over_cvsi(bench)}"
    return markdown, {"queries": len(rows["CVSI"]), "weights": dict(weights)}


def _ours_over_cvsi(bench: Bench) -> str:
    """What CVSI+removal's two changes bring, of what is kept of it: on all its queries, and on those whose edit has several orders."""
    name, composer = cvsi_removal.CARD.name, bench.methods.get(cvsi_removal.CARD.name)
    composed = bench.composed(name, composer, bench.witness, compose=False) if composer else {}
    if composer is None or not composed:
        return ""
    weights = bench.weights(composer)
    rows = tables.shared(
        {
            "CVSI": bench.ranks(bench.cvsi, bench.weights(bench.cvsi_composer)),
            "+ its orders one by one": bench.ranks(composed, {**weights, cvsi_removal.DELTA.name: 0.0}),
            f"+ objects removed: {name}": bench.ranks(composed, weights),
        }
    )
    several = {q.query_id for q in bench.queries if len(orders_in(q.modification_text)) > 1}
    found = f"\n\n### What {name} brings\n\n{bench.table(rows, 'variant')}"
    if several.isdisjoint(rows["CVSI"]):
        return found
    of_these = {row: {q: r for q, r in ranked.items() if q in several} for row, ranked in rows.items()}
    return f"{found}\n\nOf these, the edits of several orders:\n\n{bench.table(of_these, 'variant')}"


def language_models_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table IV: one row for each language model whose answers are here, on the queries that all answered."""
    rows: dict[str, Ranked] = {}
    for name, book in bench.books().items():
        witness = bench.witness if book is bench.book else Witness(book)
        composer = bench.composers(witness)["CVSI"]
        if composed := bench.composed("CVSI", composer, witness):
            rows[name] = bench.ranks(composed, bench.weights(composer))
    most = max(map(len, rows.values()), default=0)
    without = bench.composers(None)["CVSI"]
    rows["none: image word and captions of gallery images alone"] = bench.ranks(
        bench.composed("CVSI", without, None), bench.weights(without)
    )
    whole = {name: row for name, row in rows.items() if len(row) >= most}
    shared = tables.shared(rows)
    said = (
        f"## Language models{bench.heading}\n\nCVSI with each language model, all else equal, on the queries that all of them have "
        f"answered (the form of CVSI's Table IV). {bench.protocol}"
    )
    found = [
        said.strip(),
        bench.table(tables.best_first(tables.shared(whole), bench.measure), "language model"),
    ]
    if len(whole) < len(rows):
        fewer = ", ".join(name for name in rows if name not in whole)
        count = counted(len(next(iter(shared.values()))), "query", "queries")
        found += [
            f"Fewer were answered by {fewer}. On the {count} that all rows have:",
            bench.table(tables.best_first(shared, bench.measure), "language model"),
        ]
    return "\n\n".join(found), {"queries": {name: len(row) for name, row in rows.items()}}


def efficiency_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Table V, live."""
    queries = bench.all_queries[: bench.options.timed + 1]
    if len(queries) < 2:
        raise BadQuery(
            "No query is left to be timed: the first one warms the models up.", "Give --timed 1 or more."
        )
    costs, training = {}, {}
    for name in bench.methods:
        if not bench.is_wanted(name):
            continue
        captioner = WatchedCaptioner(cast(Captioner, bench.models.captioner))
        model = None if bench.models.language_model is None else Witness(bench.models.language_model)
        composers = bench.composers(model, captioner)  # anew, so that nothing is remembered
        getattr(bench.models.language_model, "forget", lambda: None)()  # methods share questions
        bench.models.forget_references()
        retriever = Retriever(bench.gallery_of(composers[name]), {name: composers[name]})
        costs[name] = cost_of(
            retriever, name, queries, bench.picture, captioner, model, partial(bench.texts, method=name)
        )
        seconds = training_seconds(bench.models, composers[name])
        if seconds is not None:
            training[name] = seconds
        say(f"{name}: {costs[name].whole:.2f} s a query")
    first, second = bench.measure.brief
    found = {
        name: bench.measure.means(row.values()) for name, row in bench.ranked(compose=False).items() if row
    }
    measures = {name: (values[first], values[second]) for name, values in found.items()}
    said = (
        f"## What a query costs{bench.heading}\n\nMedians over single queries, nothing remembered, one thread each (the form of "
        "CVSI's Table V). Training is that of the method's network; what is encoded and captioned of the gallery beforehand "
        f"does not count, as in the paper. {bench.protocol}"
    )
    markdown = f"{said.strip()}\n\n{cost_table(costs, training, measures, bench.measure.brief)}"
    return markdown, {
        "timed_queries": len(queries) - 1,
        "whole_query_seconds": {n: c.whole for n, c in costs.items()},
    }


def training_seconds(models: Models, composer: Composer) -> float | None:
    """How long the network of a method was trained, from its file; None where it has none, or that is not said."""
    networks = (getattr(composer, part, None) for part in ("phi", "fusion", "gallery_encoder"))
    records = (models.record_of(network.fingerprint) for network in networks if network)
    return next((record["seconds"] for record in records if "seconds" in record), None)


def hyperparameters_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """CVSI's Figure 4."""
    weights, measure = bench.weights(bench.cvsi_composer), bench.measure
    found = hyperparameters.surface(bench.gallery, bench.queries, bench.cvsi, measure)
    first, second = found.columns
    by_count = {}
    for count in range(bench.most_captions + 1):
        ranked = bench.ranks(bench.cvsi, weights, bench.with_captions(count))
        values = measure.means(ranked.values())
        by_count[count] = (values[first], values[second])
    drawn = {
        f"simplex{bench.suffix}": hyperparameters.simplex_figure(found, weights),
        f"gamma{bench.suffix}": hyperparameters.gamma_figure(found, weights),
        f"captions{bench.suffix}": hyperparameters.captions_figure(by_count, found.columns),
    }
    figures = bench.options.results.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        (figures / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    simplex, gamma, captions = (f"figures/{name}.svg" for name in drawn)
    best = found.best
    g, w = found.at(best)
    said = (
        f"## Weights{bench.heading}\n\nThe form of CVSI's Figure 4, on {counted(found.queries, 'query', 'queries')}, from what was composed once. The best of "
        f"the {counted(len(hyperparameters.POINTS) * len(hyperparameters.GAMMAS), 'setting')} on these queries is {in_symbols(PARAMETERS, best)}"
        f" with {first} {found.first[g, w]:.1f}; the weights in use, {bench.weights_are}, are "
        f"{in_symbols(PARAMETERS, weights)} with {first} {found.first[found.at(weights)]:.1f}. "
        f"{bench.protocol}"
    )
    kind = "Recall" if first.startswith("R@") else "mAP"
    markdown = (
        f"{said.strip()}\n\n"
        f"{first} over α and β at γ {weights['gamma']:g}; the ring is the best, the dashed ring the weights in use:\n\n"
        f"![{first} over alpha and beta]({simplex})\n\n"
        f"{first} and {second} over γ:\n\n![{kind} over gamma]({gamma})\n\n"
        f"{first} and {second} over the number of captions of each gallery image:\n\n"
        f"![{kind} over the number of captions]({captions})"
    )
    return markdown, {"queries": found.queries, "best": dict(best), "in_use": dict(weights)}


TABLES: dict[str, Callable[[Bench], tuple[str, dict[str, object]]]] = {
    "methods": methods_table,
    "ablation": ablation_table,
    "language-models": language_models_table,
    "efficiency": efficiency_table,
    "hyperparameters": hyperparameters_table,
    "paraphrases": paraphrases_table,
}


def make_tables(options: argparse.Namespace) -> int:
    """Make the tables that were asked for, and write each into its section; of FashionIQ, one for each category."""
    options = settle(options)
    options.results = report_path(options.results)
    models = models_for(options)
    announce(models)
    try:
        for bench in _benches(options, models):
            for name in _all_of(bench) if options.table == "all" else [options.table]:
                since = time.time()
                markdown, more = TABLES[name](bench)
                manifest = bench.manifest(**more, seconds=round(time.time() - since, 1))
                write_section(options.results, f"{name}{bench.suffix}", markdown, manifest)
                sys.stderr.write("\n")
                sys.stdout.write(f"{markdown}\n\nWritten to {options.results}.\n")
    finally:
        models.close()
    return 0


def _all_of(bench: Bench) -> list[str]:
    return [name for name in TABLES if name != "paraphrases" or isinstance(bench, WorldBench)]


def _benches(options: argparse.Namespace, models: Models) -> Iterator[Bench]:
    if options.dataset == "world":
        yield WorldBench(options, models)
        return
    for dataset, gallery in opened(options, models, needs_targets=True):
        yield DatasetBench(options, models, dataset, gallery)
