"""The price of noise as a section of docs/results.md. What is said of it is computed from the numbers of the table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cir.evaluation.results_file import write_section
from cir.measuring.ablation_tables import SOURCE_TITLES, Runs, compare, mean, spread
from cir.text import counted

SUM = "Sum"
COLUMNS = ("R@1", "R@5", "R@10")


def write_noise(
    path: Path,
    rows: Mapping[str, Mapping[str, Runs]],
    manifest: Mapping[str, Any],
    *,
    encoder: str = "CLIP",
    options: str = "",
) -> None:
    """Write the table.

    Args:
        path: of the results.
        rows: method -> source of triplets -> one set of measures for each seed.
        manifest: what all rows share.
        encoder: "CLIP" or "BLIP".
        options: of the command that makes it again, beside the table.
    """
    title, name = "The price of noise: supervised methods", "fusion-noise"
    if encoder != "CLIP":
        title, name = f"{title} ({encoder})", f"{name}-{encoder.lower()}"
    count = manifest["triplets"]["syncir"]
    said = (
        f"On the world benchmark: {counted(manifest['queries'], 'query', 'queries')} over {counted(manifest['gallery'], 'scene')}, the reference left out; mean ± "
        f"standard deviation over {counted(manifest['seeds'], 'seed')}. Every network is trained anew for {counted(manifest['steps'], 'step')} of "
        f"{counted(manifest['triplets_of_a_batch'], 'triplet')}, far less than a shipped one, on {count:,} of SynCir's kept triplets and on as "
        "many true edits of other pictures of the world. Seconds are those of training, by the clock of a busy machine."
    )
    markdown = f"## {title}\n\n{said}\n\n{noise_table(rows)}\n\n{noise_findings(rows)}\n"
    write_section(
        path, name, markdown, {"command": f"python -m cir ablate --tables fusion{options}", **manifest}
    )


def noise_table(rows: Mapping[str, Mapping[str, Runs]]) -> str:
    """One line for each method and source: mean ± standard deviation over seeds, and the seconds of training."""
    lines = [f"| method | triplets | {' | '.join(COLUMNS)} | seconds |", "|" + "---|" * (len(COLUMNS) + 3)]
    for name, by_source in rows.items():
        for source, runs in by_source.items():
            cells = [
                f"{mean(runs, m):.1f}" + (f" ± {spread(runs, m):.1f}" if len(runs) > 1 else "")
                for m in COLUMNS
            ]
            seconds = f"{mean(runs, 'seconds'):.0f}" if "seconds" in runs[0] else ""
            lines.append(
                f"| {name} | {SOURCE_TITLES.get(source, source)} | {' | '.join(cells)} | {seconds} |"
            )
    return "\n".join(lines)


def noise_findings(rows: Mapping[str, Mapping[str, Runs]]) -> str:
    """What noise costs each method, in sentences; the dearest first."""
    both = {name: found for name, found in rows.items() if set(SOURCE_TITLES) <= set(found)}
    gaps = {name: mean(found["world"], "R@1") - mean(found["syncir"], "R@1") for name, found in both.items()}
    beyond = {
        name: compare(found["world"], found["syncir"], "R@1") != "not apart" for name, found in both.items()
    }
    return "\n".join(
        f"- {name}: {gaps[name]:+.1f} points of R@1 with true edits in the place of SynCir's triplets, as many of each "
        f"({'beyond' if beyond[name] else 'within'} the seeds' spread)."
        for name in sorted(gaps, key=lambda name: -gaps[name])
    )
