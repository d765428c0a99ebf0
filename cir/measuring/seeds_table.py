"""What networks owe to their seeds, as a section of docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cir.evaluation.results_file import write_section
from cir.measuring.ablation_tables import Runs, mean, spread
from cir.text import counted

COLUMNS = ("R@1", "R@5", "R@10")


def write_seeds(
    path: Path, rows: Mapping[str, Runs], record: Mapping[str, Any], *, options: str = ""
) -> None:
    """Write the table.

    Args:
        path: of the results.
        rows: method -> the measures of every seed, the shipped network first.
        record: what all rows share, and of each network its steps, pictures and seconds.
        options: of the command that makes it again, beside the table.
    """
    said = (
        "## Seeds of shipped networks\n\n"
        f"On the world benchmark: {counted(record['queries'], 'query', 'queries')} over {counted(record['gallery'], 'scene')}, the reference "
        f"left out; mean ± standard deviation over {counted(record['seeds'], 'seed')}. The first is the shipped network, the others were trained anew "
        "for as many steps, on as many pictures as the table says. Minutes are those of one training by the clock of a machine that did "
        "other things as well: first the shipped one's."
    )
    command = f"python -m cir ablate --tables seeds{options}"
    write_section(
        path, "seeds", f"{said}\n\n{seeds_table(rows, record['networks'])}\n", {"command": command, **record}
    )


def seeds_table(rows: Mapping[str, Runs], networks: Mapping[str, list[dict[str, Any]]]) -> str:
    """One line for each method: mean ± standard deviation over seeds, the R@1 of each, and what the networks have had."""
    lines = [
        f"| method | {' | '.join(COLUMNS)} | R@1 of each seed | steps | pictures | minutes |",
        "|" + "---|" * (len(COLUMNS) + 5),
    ]
    for name, runs in rows.items():
        cells = [f"{mean(runs, m):.1f} ± {spread(runs, m):.1f}" for m in COLUMNS]
        each = ", ".join(f"{run['R@1']:.1f}" for run in runs)
        had = networks[name]
        pictures = ", ".join(dict.fromkeys(f"{pictures_of(one):,}" for one in had))
        minutes = ", ".join(f"{one['seconds'] / 60:.1f}" for one in had)
        lines.append(
            f"| {name} | {' | '.join(cells)} | {each} | {had[0]['steps']} | {pictures} | {minutes} |"
        )
    return "\n".join(lines)


def pictures_of(facts: Mapping[str, Any]) -> int:
    """How many pictures a network has learnt from; a pair is two."""
    return facts["pictures"] if "pictures" in facts else 2 * facts["pairs"]
