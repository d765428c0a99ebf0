"""HyCIR's ablations as sections of docs/results.md: mean and spread over seeds beside the paper's own numbers.

What is said about agreement is computed from the numbers of the table, so that it cannot outlive them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cir.evaluation.results_file import write_section
from cir.text import counted

Runs = Sequence[Mapping[str, float]]  # one mapping of measures per seed
MEASURES = ("R@1", "R@5", "R@10", "R@50", "Avg")
TITLES = {
    "3": "HyCIR, Table 3: what synthetic triplets and their filter bring",
    "4": "HyCIR, Table 4: how many pseudo-words",
    "5": "HyCIR, Table 5: hybrid training and its halves",
    "sizes": "What more triplets bring",
    "filters": "Which filter of triplets is best",
}
# CIRR val, R@5: HyCIR, Tables 3 (BLIP, 1 word), 4 (BLIP) and 5 (CLIP; BLIP below). In Table 3 the first row is LaSCo's triplets,
# which is not our first row, and so has no number here.
PAPER_R5: Mapping[str, Mapping[str, float]] = {
    "3": {"SynCir without filter": 68.93, "SynCir with filter": 69.52},
    "4": dict(
        zip(
            ("1 word", *(counted(n, "word") for n in range(2, 9))),
            (69.52, 70.62, 71.17, 71.56, 71.34, 71.63, 70.77, 71.99),
            strict=True,
        )
    ),
    "5": {"L_ZS-CIR": 51.69, "L_triplet": 52.47, "L_hybrid": 55.80},
}
PAPER_R5_BLIP = {"L_ZS-CIR": 65.74, "L_triplet": 70.96, "L_hybrid": 71.56}  # CIRR val: HyCIR, Table 5
NOTE = (
    "On the world benchmark: 1,000 queries over 5,000 scenes; mean ± standard deviation over the seeds. SynCir's triplets "
    "are those that its filter keeps, where a row does not say otherwise."
)
NOTES = {
    "sizes": "Each loss has as much to learn from as the row says: so many triplets, and so many unlabelled images in "
    "L_ZS-CIR's part. The triplets are the first of their file, whose subgroups stand in an order that is drawn.",
    "filters": 'The engine\'s filter is beyond the paper, which names it in "Future work": a network that has learnt from unlabelled '
    "images alone searches the triplets' pictures for reference and text, and as many triplets as the language filter keeps are kept, "
    "those whose target it finds best.",
}
CLAIMS: Mapping[str, Sequence[tuple[str, str]]] = {
    "3": (
        ("SynCir with filter", "no synthetic data"),
        ("SynCir with filter", "SynCir without filter"),
        ("SynCir with filter", "SPN's templates"),
    ),
    "4": (("4 words", "1 word"), ("4 words", "8 words")),
    "5": (("L_hybrid", "L_ZS-CIR"), ("L_hybrid", "L_triplet"), ("L_triplet", "L_ZS-CIR")),
    "sizes": (
        ("L_triplet, all", "L_ZS-CIR, all"),
        *(
            (f"{loss}, {more}", f"{loss}, {less}")
            for loss in ("L_triplet", "L_hybrid")
            for less, more in ((300, 1000), (1000, 3000), (3000, "all"))
        ),
    ),
    "filters": tuple(
        (f"{loss}, {name}", f"{loss}, {other}")
        for loss in ("L_triplet", "L_hybrid")
        for name, other in (
            ("the language filter", "no filter"),
            ("the engine's filter", "no filter"),
            ("the engine's filter", "the language filter"),
            ("both filters", "the language filter"),
        )
    ),
}
SOURCE_TITLES = {"syncir": "SynCir's triplets", "world": "the world's true edits"}


def write_table(
    path: Path,
    table: str,
    rows: Mapping[str, Mapping[str, Runs]],
    manifest: Mapping[str, Any],
    *,
    encoder: str = "CLIP",
    options: str = "",
) -> None:
    """Write one table; `rows`: name -> source of triplets -> one set of measures for each seed.

    Args:
        path: of the results.
        table: of the paper, or one of ours.
        rows: see above.
        manifest: what all rows share.
        encoder: "CLIP" or "BLIP".
        options: of the command that makes it again, beside the table.
    """
    command = f"python -m cir ablate --tables {table}{options}"
    title, name = TITLES[table], f"hycir-table-{table}" if table in PAPER_R5 else f"hycir-{table}"
    if encoder != "CLIP":
        title, name = f"{title} ({encoder})", f"{name}-{encoder.lower()}"
    printed = markdown_table(table, rows, encoder)
    note = f"{NOTE} {NOTES[table]}" if table in NOTES else NOTE
    markdown = f"## {title}\n\n{note}\n\n{printed}\n\n{findings(table, rows, encoder)}\n"
    write_section(path, name, markdown, {"command": command, **manifest})


def _paper(table: str, encoder: str) -> Mapping[str, float]:
    """Row -> the paper's R@5. It has Tables 3 and 4 of BLIP alone: they stand beside either encoder's."""
    return PAPER_R5_BLIP if (table, encoder) == ("5", "BLIP") else PAPER_R5.get(table, {})


def markdown_table(table: str, rows: Mapping[str, Mapping[str, Runs]], encoder: str = "CLIP") -> str:
    """One line for each row and source, mean ± standard deviation over seeds, and the paper's R@5."""
    head = f"| row | triplets | {' | '.join(MEASURES)} | paper's R@5 (CIRR val) |"
    lines = [head, "|" + "---|" * (len(MEASURES) + 3)]
    for name, by_source in rows.items():
        for source, runs in by_source.items():
            cells = [f"{mean(runs, m):.1f} ± {spread(runs, m):.1f}" for m in MEASURES]
            paper = _paper(table, encoder).get(name)
            printed = f"{paper:.2f}" if paper and source == "syncir" else ""
            said = "none" if name.startswith(("no synthetic data", "L_ZS-CIR")) else SOURCE_TITLES[source]
            lines.append(f"| {name} | {said} | {' | '.join(cells)} | {printed} |")
    return "\n".join(lines)


def mean(runs: Runs, measure: str) -> float:
    """Over the seeds."""
    return float(np.mean([run[measure] for run in runs]))


def spread(runs: Runs, measure: str) -> float:
    """Standard deviation over the seeds (n - 1); 0 for a single one."""
    return float(np.std([run[measure] for run in runs], ddof=1)) if len(runs) > 1 else 0.0


def compare(better: Runs, worse: Runs, measure: str = "R@5") -> str:
    """ "above", "below" or "not apart": whether the difference of the means exceeds both spreads together."""
    gap = mean(better, measure) - mean(worse, measure)
    noise = float(np.hypot(spread(better, measure), spread(worse, measure)))
    return "not apart" if abs(gap) <= noise else ("above" if gap > 0 else "below")


def findings(table: str, rows: Mapping[str, Mapping[str, Runs]], encoder: str = "CLIP") -> str:
    """What the numbers say about the paper's claims, in sentences."""
    syncir = {name: by_source["syncir"] for name, by_source in rows.items()}
    world = {name: by_source["world"] for name, by_source in rows.items() if "world" in by_source}
    said = []
    for first, second in CLAIMS[table]:
        if first in syncir and second in syncir:
            said.append(sentence(_paper(table, encoder), first, second, syncir))
    prices = [name for name in world if name in syncir]
    for name in prices:
        gap = mean(world[name], "R@5") - mean(syncir[name], "R@5")
        said.append(
            f"The price of SynCir's noise, {name}: {gap:+.1f} points of R@5 between true edits and SynCir's "
            f"triplets, as many of each ({compare(world[name], syncir[name])} beyond the seeds' spread)."
        )
    return "\n".join(f"- {line}" for line in said)


def sentence(paper: Mapping[str, float], first: str, second: str, rows: Mapping[str, Runs]) -> str:
    """One claim of the paper, by its R@5 of each row, and what was found here."""
    gap = mean(rows[first], "R@5") - mean(rows[second], "R@5")
    verdict = compare(rows[first], rows[second])
    words = {"above": "above", "below": "below", "not apart": "not apart from"}[verdict]
    claim = ""
    if first in paper and second in paper:
        difference = paper[first] - paper[second]
        agrees = verdict == ("above" if difference > 0 else "below")
        claim = (
            f" The paper has {difference:+.2f}: our small world {'agrees' if agrees else 'does not agree'}."
        )
    return f"{first} is {words} {second} in R@5 ({gap:+.1f} points, SynCir's triplets).{claim}"
