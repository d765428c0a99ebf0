"""`python -m cir train`."""

from __future__ import annotations

import argparse
import sys


def train(options: argparse.Namespace) -> int:
    """Run one stage. Its log is `runs/STAGE/log.jsonl`."""
    from cir.training.recipes import STAGES, Stage

    weights = options.trunk_weights
    if options.stage == "crops" and weights is None:
        from cir.models.catalog import pull_trunk

        weights = pull_trunk()
    stage = Stage(
        options.runs, options.minutes, options.ranks, options.seed, weights, options.recipe, options.words
    )
    STAGES[options.stage](stage)
    sys.stdout.write(f"{options.stage} is done; its log is in {options.runs}.\n")
    return 0
