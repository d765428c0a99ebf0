"""CIR methods under other wordings of the same edits: recall by wording, its spread, and the worst one.

Each query keeps its reference and its target; only the words change. Plain wordings are those of the world benchmark.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cached_property

from cir.errors import BadQuery
from cir.evaluation import tables
from cir.evaluation.answers import open_book
from cir.evaluation.paraphrases import WORDINGS, paraphrased, read_paraphrases
from cir.evaluation.rank_measures import RECALLS, Ranked
from cir.measuring.bench import Bench
from cir.measuring.world_bench import BENCHMARK, WorldBench
from cir.models.model_set import Models
from cir.text import counted
from cir.types import CirQuery

PLAIN = "plain"
Row = Mapping[str, Ranked]  # wording -> query id -> ranks


class ParaphraseBench(WorldBench):
    """The world benchmark's paraphrased queries, over its gallery."""

    key = "world-paraphrases"

    def __init__(self, options: argparse.Namespace, models: Models) -> None:
        super().__init__(options, models)
        plain = open_book(BENCHMARK, models.language_model, models.llm, ask=False)
        self.book.answers = {**plain.answers, **self.book.answers}
        by_id = {q.query_id: q for q in self.benchmark.queries}
        self.plain = [by_id[query_id] for query_id in self.paraphrases][: options.limit]

    @cached_property
    def paraphrases(self) -> Mapping[str, Mapping[str, str]]:
        """Query id -> kind of wording -> text."""
        return read_paraphrases()

    @cached_property
    def wordings(self) -> dict[str, list[CirQuery]]:
        """Kind of wording -> its queries, the plain one first."""
        return {PLAIN: self.plain, **paraphrased(self.plain, self.paraphrases)}

    @property
    def queries(self) -> Sequence[CirQuery]:
        """All wordings of a query, then those of the next: a run that is stopped has whole queries."""
        return [query for of_one in zip(*self.wordings.values(), strict=True) for query in of_one]

    @cached_property
    def all_queries(self) -> Sequence[CirQuery]:
        """Every wording: how these are read is a part of what is kept of them."""
        return self.queries

    def asked(self) -> dict[str, object]:
        """The scenes, and every wording."""
        return {**super().asked(), "paraphrases": self.paraphrases}


def _how_read(bench: ParaphraseBench) -> str:
    """How many of the other wordings the phrasebook reads, and how many stand in it."""
    rewording = bench.rewording
    if rewording is None:
        return "Edits are read as they are typed. "
    book = rewording.phrasebook
    if book is None:
        return ""
    asked = [q for name, queries in bench.wordings.items() if name != PLAIN for q in queries]
    other = [q for q in asked if not rewording.is_plain(q.modification_text)]
    read = sum(bool(bench.read_at_once(q)) for q in other)
    has = sum(book.has(q.modification_text) for q in other)
    return (
        f"Of {len(other):,} wordings that the models were not taught the phrasebook reads {read:,}; "
        f"{has:,} stand in it word for word, but for what they name. "
    )


def paraphrases_table(bench: Bench) -> tuple[str, dict[str, object]]:
    """R@1 of each method by wording, and by kind of edit.

    Raises:
        BadQuery: a benchmark whose edits have no paraphrases.
    """
    if not isinstance(bench, WorldBench):
        raise BadQuery("The edits of this dataset have no paraphrases.", "Leave --dataset out.")
    other = ParaphraseBench(bench.options, bench.models)
    rows = {name: _by_wording(found, other) for name, found in other.ranked().items()}
    rows = {name: row for name, row in rows.items() if row[PLAIN]}
    rows = dict(sorted(rows.items(), key=lambda item: -_mean(item[1])))
    count = {name: len(row[PLAIN]) for name, row in rows.items()}
    explained = "; ".join(f"**{wording}**: {what}" for wording, what in WORDINGS.items())
    markdown = (
        f"## Paraphrases{bench.heading}\n\nR@1 of the same {counted(len(other.plain), 'query', 'queries')} in other words, written by "
        f"hand and used for no training. {explained}. The mean is that of the six, the spread is best less worst. {_how_read(other)}{bench.protocol}"
        f"\n\n{wordings_table(rows)}\n\n### R@1 by {bench.kinds_are}: plain, and the mean of the six\n\n"
        f"{_kinds_table(rows, tables.kinds_of(other.plain))}"
    )
    return markdown.strip(), {"queries": count, "wordings": len(WORDINGS)}


def _by_wording(found: Ranked, bench: ParaphraseBench) -> dict[str, Ranked]:
    """The wordings of one method, on the queries that were composed in all of them."""
    whole = [
        i
        for i, q in enumerate(bench.plain)
        if all(row[i].query_id in found for row in bench.wordings.values())
    ]
    return {
        wording: {bench.plain[i].query_id: found[row[i].query_id] for i in whole}
        for wording, row in bench.wordings.items()
    }


def _first(ranked: Ranked) -> float:
    return RECALLS.means(ranked.values())["R@1"]


def _mean(row: Row) -> float:
    return sum(_first(row[wording]) for wording in WORDINGS) / len(WORDINGS)


def wordings_table(rows: Mapping[str, Row]) -> str:
    """R@1 of each method in the plain wording, with its interval, and in each other one; mean, spread and worst of those."""
    heads = ("method", PLAIN, *WORDINGS, "mean", "spread", "worst", "queries")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name, row in rows.items():
        plain = tables.measured(row[PLAIN])
        found = {wording: _first(row[wording]) for wording in WORDINGS}
        worst = min(found, key=found.__getitem__)
        cells = [
            name,
            f"{plain.values['R@1']:.1f} [{plain.low:.1f}, {plain.high:.1f}]",
            *(f"{value:.1f}" for value in found.values()),
            f"{_mean(row):.1f}",
            f"{max(found.values()) - found[worst]:.1f}",
            worst,
            str(plain.queries),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _kinds_table(rows: Mapping[str, Row], kinds: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "| method | " + " | ".join(f"{kind} ({len(ids)})" for kind, ids in kinds.items()) + " |",
        "|" + "---|" * (len(kinds) + 1),
    ]
    for name, row in rows.items():
        cells = []
        for ids in kinds.values():
            own = {wording: {i: ranked[i] for i in ids if i in ranked} for wording, ranked in row.items()}
            cells.append(f"{_first(own[PLAIN]):.0f} → {_mean(own):.0f}" if own[PLAIN] else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
