"""`python -m cir ablate`."""

from __future__ import annotations

import argparse
import sys

from cir.application import report_path
from cir.measuring.ablation import Ablation
from cir.measuring.ablation_tables import write_table
from cir.measuring.bench import say


def ablate(options: argparse.Namespace) -> int:
    """Train every row of a table with every seed, measure it on the world benchmark, and write the table."""
    ablation = Ablation(options)
    out = report_path(options.results)
    for name in options.tables.split(","):
        write_table(out, name, ablation.rows(name), ablation.record())
        say("")
        sys.stdout.write(f"Table {name} is written to {out}.\n")
    return 0
