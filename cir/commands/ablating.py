"""`python -m cir ablate`."""

from __future__ import annotations

import argparse
import shlex
import sys

from cir.commands.training_options import SAMPLE_TRIPLETS
from cir.measuring.ablation import Ablation
from cir.measuring.ablation_tables import write_table
from cir.measuring.bench import say
from cir.measuring.noise import NoiseTable
from cir.measuring.noise_table import write_noise
from cir.measuring.seeds import SeedsTable
from cir.measuring.seeds_table import write_seeds
from cir.places import report_path

FUSION, SEEDS = "fusion", "seeds"  # among --tables, beside those of HyCIR
# What a table depends on, and what stands for "as usual".
USUAL = {
    "models": "embedded",
    "gallery": None,
    "triplets": SAMPLE_TRIPLETS,
    "recipes": None,
    "seeds": 3,
    "steps": None,
    "rate": None,
    "batch_triplets": 128,
    "min_similarity": -1.0,
}


def ablate(options: argparse.Namespace) -> int:
    """Train every row of a table with every seed, measure it on the world benchmark, and write the table."""
    out, given = report_path(options.results), _given(options)
    wanted = options.tables.split(",")
    hycir = Ablation(options) if set(wanted) - {FUSION, SEEDS} else None
    for name in wanted:
        if name == FUSION:
            noise = NoiseTable(options)
            write_noise(out, noise.rows(), noise.record(), encoder=noise.bench.encoder, options=given)
        elif name == SEEDS:
            seeds = SeedsTable(options)
            write_seeds(out, seeds.rows(), seeds.record(), options=given)
        else:
            assert hycir is not None, "a table of HyCIR's is wanted"
            rows, record = hycir.rows(name), hycir.record()
            write_table(out, name, rows, record, encoder=hycir.bench.encoder, options=given)
        say("")
        sys.stdout.write(f"Table {name} is written to {out}.\n")
    return 0


def _given(options: argparse.Namespace) -> str:
    """The options of the command that makes the same table again."""
    found = {name: getattr(options, name) for name in USUAL if getattr(options, name) != USUAL[name]}
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in found.items())
