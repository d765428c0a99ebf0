"""`python -m cir ablate`."""

from __future__ import annotations

import argparse
import shlex
import sys

from cir.application import report_path
from cir.measuring.ablation import Ablation
from cir.measuring.ablation_tables import write_table
from cir.measuring.bench import say


def ablate(options: argparse.Namespace) -> int:
    """Train every row of a table with every seed, measure it on the world benchmark, and write the table."""
    ablation = Ablation(options)
    out = report_path(options.results)
    given = "" if options.models == "embedded" else f" --models {options.models}"
    given += "" if options.gallery is None else f" --gallery {shlex.quote(options.gallery)}"
    for name in options.tables.split(","):
        rows, record = ablation.rows(name), ablation.record()
        write_table(out, name, rows, record, encoder=ablation.encoder, options=given)
        say("")
        sys.stdout.write(f"Table {name} is written to {out}.\n")
    return 0
