"""The options of `evaluate` and `tables`. What belongs to one benchmark is asked of its card when the command is one of these."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cir import commands
from cir.commands.command_parser import (
    CommandParser,
    add_engine_option,
    add_models_option,
    add_network_option,
    add_report_option,
    command,
)
from cir.commands.values import add_values
from cir.errors import BadQuery

if TYPE_CHECKING:
    from cir.evaluation.datasets.dataset import Option


def add_evaluate(group) -> None:
    """`evaluate`, with a command for each benchmark."""
    sub = command(group, "evaluate", lambda _: 0, "Measure methods on a benchmark.")
    sub.later = _fill_evaluate


def _fill_evaluate(sub: CommandParser) -> None:
    datasets = sub.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    _add_world(datasets)
    _add_datasets(datasets)


def _add_world(datasets) -> None:
    world = command(
        datasets,
        "world",
        commands.evaluate_world,
        "The embedded models and every method on the world benchmark.",
        ["methods"],
    )
    add_models_option(world)
    world.add_argument(
        "--captions", type=int, default=1, help="captions of each reference, N (default: 1; LDRE: 3)"
    )
    world.add_argument(
        "--gallery-captions", type=int, default=3, help="captions of each gallery image (default: 3)"
    )
    world.add_argument("--methods", help="measure only these, by name, separated by commas")
    world.add_argument("--phi", help="a trained mapping network, its file or the folder of its training")
    add_network_option(world)
    world.add_argument("--limit", type=int, help="only the first queries")
    world.add_argument(
        "--kept-only",
        action="store_true",
        help="do not ask the language model: leave out the methods whose answers are not all kept",
    )
    world.add_argument(
        "--fresh", action="store_true", help="ask the language model again instead of reading its answers"
    )
    world.add_argument(
        "--tune", action="store_true", help="find CVSI's weights on the validation split first"
    )
    world.add_argument("--json", action="store_true", help="print one JSON object")


def _add_datasets(datasets) -> None:
    from cir.evaluation.datasets.registry import DATASETS

    for card in DATASETS.values():
        lists = ["methods", "galleries"] if card.searches_gallery else ["methods"]
        sub = command(datasets, card.name, commands.evaluate_dataset, card.summary, lists)
        sub.description = card.about or card.summary
        if card.score_files:
            sub.add_argument(
                "--annotations", type=Path, help="the annotation file that the predictions answer"
            )
            sub.add_argument("--predictions", type=Path, help="JSON: query id -> ranked image ids")
        if card.splits:
            _add_place(sub, card.splits)
        for option in card.options:
            sub.add_argument(option.flag, dest=option.dest, **option.settings)
        _add_run_options(sub)


def _add_place(sub: argparse._ActionsContainer, splits: Iterable[str]) -> None:
    sub.add_argument("--root", type=Path, help="the benchmark's folder, laid out as it was published")
    sub.add_argument("--split", choices=tuple(splits), default="val", help="default: val")


def _add_batch_size(sub: argparse._ActionsContainer) -> None:
    sub.add_argument("--batch-size", type=int, default=32, help="images that are encoded at once")


def _add_run_options(sub: CommandParser) -> None:
    sub.add_argument("--method", default="cvsi", help="a method's name (default: cvsi)")
    add_engine_option(sub)
    add_models_option(sub)
    add_values(sub, "the paper's")
    sub.add_argument(
        "--captions",
        type=int,
        default=2,
        help="captions of each reference, N (default: 2; paper: 15; LDRE: 3)",
    )
    sub.add_argument(
        "--gallery-captions",
        type=int,
        default=5,
        help="captions of each gallery image (default: 5; paper: 15)",
    )
    _add_batch_size(sub)
    sub.add_argument("--limit", type=int, help="only the first queries")
    sub.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    sub.add_argument(
        "--top-k", "--k", dest="k", type=int, default=50, help="places kept of each ranking, 50 to 100"
    )
    sub.add_argument("--out", type=Path, help="where results go (default: gallery_cache/evaluations)")
    sub.add_argument("--json", action="store_true", help="print one JSON object")


def add_tables(group) -> None:
    """`tables`, on the world benchmark or on a dataset."""
    text = "Measure a table in the form of docs/results.md, on the world benchmark or on a dataset."
    sub = command(group, "tables", commands.make_tables, text, ["methods", "galleries"])
    sub.later = _fill_tables


def _fill_tables(sub: CommandParser) -> None:
    from cir.evaluation.datasets.registry import DATASETS

    sub.add_argument(
        "table",
        choices=(
            "methods",
            "ablation",
            "language-models",
            "efficiency",
            "hyperparameters",
            "paraphrases",
            "all",
        ),
    )
    add_models_option(sub)
    sub.add_argument(
        "--clip",
        type=Path,
        help="folder of another CLIP than the set's; methods with a mapping network are left out",
    )
    add_network_option(sub)
    sub.add_argument("--limit", type=int, help="only the first queries")
    sub.add_argument(
        "--methods", help="compose, or time, only these; the others' rows come from what is kept"
    )
    sub.add_argument("--kept-only", action="store_true", help="compose nothing; use what is kept")
    sub.add_argument(
        "--as-typed",
        action="store_true",
        help="world: leave edits in other words than the models were taught",
    )
    sub.add_argument(
        "--ask",
        action="store_true",
        help="world: ask the language model for answers that are missing (on a dataset it is always asked)",
    )
    sub.add_argument("--fresh", action="store_true", help="compose everything again")
    sub.add_argument(
        "--captions", type=int, default=1, help="captions of each reference, N (default: 1; LDRE: 3)"
    )
    sub.add_argument("--gallery-captions", type=int, default=3, help="captions of each image (default: 3)")
    sub.add_argument("--timed", type=int, default=20, help="queries that are timed (default: 20)")
    sub.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_report_option(sub)
    own = sub.add_argument_group("on a dataset, as for `evaluate`")
    own.add_argument("--dataset", choices=("world", *DATASETS), default="world", help="default: world")
    _add_place(own, sorted({split for card in DATASETS.values() for split in card.splits}))
    for flag, options in _by_flag().items():
        settings: dict[str, Any] = {**options[0].settings}
        if len(options) > 1:  # one flag, of which each benchmark has its own meaning
            settings = {"help": "; ".join(str(option.settings["help"]) for option in options)}
        settings.pop("required", None)
        own.add_argument(flag, **settings)
    _add_batch_size(own)
    # What is None was not given: `settle` sees by it what has no meaning for the dataset.
    sub.set_defaults(**dict.fromkeys(_own_names()))


def _by_flag() -> dict[str, list[Option]]:
    """Flag -> the options that benchmarks have under it, of those that a run has."""
    from cir.evaluation.datasets.registry import DATASETS

    found: dict[str, list[Option]] = {}
    for card in DATASETS.values():
        for option in card.options:
            if option.only != "scores":
                found.setdefault(option.flag, []).append(option)
    return found


def _own_names() -> list[str]:
    return sorted({"root", "split", *(options[0].flag_name for options in _by_flag().values())})


def settle(options: argparse.Namespace) -> argparse.Namespace:
    """The options of `tables`, those of its dataset filled in under the names by which it finds them.

    Raises:
        BadQuery: an option that belongs to another dataset, or one that this dataset needs is missing.
    """
    from cir.evaluation.datasets.registry import DATASETS

    found = argparse.Namespace(**vars(options))
    card = DATASETS.get(options.dataset)
    given = {name: getattr(options, name) for name in _own_names() if getattr(options, name) is not None}
    own = [option for option in card.options if option.only != "scores"] if card else []
    has = {option.flag_name for option in own} | ({"root", "split"} if card and card.splits else set())
    for name in given:
        if name not in has:
            raise BadQuery(
                f"--{name.replace('_', '-')} has no meaning on {options.dataset}.",
                f"Leave it out, or name another dataset: --dataset world, {', '.join(DATASETS)}",
            )
    for option in own:
        if option.settings.get("required") and option.flag_name not in given:
            raise BadQuery(
                f"{option.flag} was not given, and {options.dataset} needs it.", f"{option.flag} FILE"
            )
        setattr(found, option.dest, given.get(option.flag_name, option.default))
    if "root" in has:
        found.split = given.get("split", "val")
        if found.root is None:
            raise BadQuery(f"Where {options.dataset} lies was not said.", "Give its folder: --root FOLDER")
    return found
