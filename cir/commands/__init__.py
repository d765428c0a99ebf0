"""What each command does, one file for each. Each takes the parsed options and gives an exit status."""

from __future__ import annotations

import argparse


def search(options: argparse.Namespace) -> int:
    """See `cir.commands.searching`. Imported when it is run, so that `--help` is quick."""
    from cir.commands.searching import search as run

    return run(options)


def index(options: argparse.Namespace) -> int:
    """See `cir.commands.indexing`."""
    from cir.commands.indexing import index as run

    return run(options)


def galleries_list(options: argparse.Namespace) -> int:
    """See `cir.commands.galleries`."""
    from cir.commands.galleries import galleries_list as run

    return run(options)


def galleries_delete(options: argparse.Namespace) -> int:
    """See `cir.commands.galleries`."""
    from cir.commands.galleries import galleries_delete as run

    return run(options)


def galleries_rename(options: argparse.Namespace) -> int:
    """See `cir.commands.galleries`."""
    from cir.commands.galleries import galleries_rename as run

    return run(options)


def galleries_move(options: argparse.Namespace) -> int:
    """See `cir.commands.galleries`."""
    from cir.commands.galleries import galleries_move as run

    return run(options)


def galleries_features(options: argparse.Namespace) -> int:
    """See `cir.commands.features`."""
    from cir.commands.features import galleries_features as run

    return run(options)


def galleries_push(options: argparse.Namespace) -> int:
    """See `cir.commands.pushing`."""
    from cir.commands.pushing import galleries_push as run

    return run(options)


def galleries_verify(options: argparse.Namespace) -> int:
    """See `cir.commands.pushing`."""
    from cir.commands.pushing import galleries_verify as run

    return run(options)


def galleries_pull(options: argparse.Namespace) -> int:
    """See `cir.commands.pushing`."""
    from cir.commands.pushing import galleries_pull as run

    return run(options)


def models_list(options: argparse.Namespace) -> int:
    """See `cir.commands.models`."""
    from cir.commands.models import models_list as run

    return run(options)


def models_check(options: argparse.Namespace) -> int:
    """See `cir.commands.models`."""
    from cir.commands.models import models_check as run

    return run(options)


def models_shrink(options: argparse.Namespace) -> int:
    """See `cir.commands.models`."""
    from cir.commands.models import models_shrink as run

    return run(options)


def models_pull(options: argparse.Namespace) -> int:
    """See `cir.commands.models`."""
    from cir.commands.models import models_pull as run

    return run(options)


def evaluate_world(options: argparse.Namespace) -> int:
    """See `cir.commands.evaluating`."""
    from cir.commands.evaluating import evaluate_world as run

    return run(options)


def evaluate_dataset(options: argparse.Namespace) -> int:
    """See `cir.commands.evaluating_datasets`."""
    from cir.commands.evaluating_datasets import evaluate_dataset as run

    return run(options)


def train(options: argparse.Namespace) -> int:
    """See `cir.commands.training`."""
    from cir.commands.training import train as run

    return run(options)


def world_benchmark(options: argparse.Namespace) -> int:
    """See `cir.commands.drawing`."""
    from cir.commands.drawing import world_benchmark as run

    return run(options)


def world_gallery(options: argparse.Namespace) -> int:
    """See `cir.commands.drawing`."""
    from cir.commands.drawing import world_gallery as run

    return run(options)


def world_pool(options: argparse.Namespace) -> int:
    """See `cir.commands.drawing`."""
    from cir.commands.drawing import world_pool as run

    return run(options)


def world_families(options: argparse.Namespace) -> int:
    """See `cir.commands.drawing`."""
    from cir.commands.drawing import world_families as run

    return run(options)


def ablate(options: argparse.Namespace) -> int:
    """See `cir.commands.ablating`."""
    from cir.commands.ablating import ablate as run

    return run(options)


def serve(options: argparse.Namespace) -> int:
    """See `cir.commands.serving`."""
    from cir.commands.serving import serve as run

    return run(options)


def synthesize(options: argparse.Namespace) -> int:
    """See `cir.commands.synthesizing`."""
    from cir.commands.synthesizing import synthesize as run

    return run(options)


def triplets_export(options: argparse.Namespace) -> int:
    """See `cir.commands.synthesizing`."""
    from cir.commands.synthesizing import triplets_export as run

    return run(options)


def triplets_import(options: argparse.Namespace) -> int:
    """See `cir.commands.synthesizing`."""
    from cir.commands.synthesizing import triplets_import as run

    return run(options)


def make_tables(options: argparse.Namespace) -> int:
    """See `cir.commands.tabulating`."""
    from cir.commands.tabulating import make_tables as run

    return run(options)
