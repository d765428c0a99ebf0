"""The options of `evaluate` and `tables`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from cir import commands
from cir.commands.command_parser import CommandParser, add_models_option, add_report_option, command
from cir.commands.values import add_values
from cir.errors import BadQuery
from cir.evaluation.datasets.query_fields import described

DATASETS = ("world", "cirr", "circo", "fashioniq", "jsonl")
SPLITS = {"circo": ("val", "test"), "cirr": ("train", "val", "test1"), "fashioniq": ("train", "val")}
# What a dataset's options are when they are not given; no other options have a meaning for it.
OWN_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "world": {},
    "cirr": {"root": None, "split": "val"},
    "circo": {"root": None, "split": "val"},
    "fashioniq": {
        "root": None,
        "split": "val",
        "category": "all",
        "order": "forward",
        "searched_images": "original",
    },
    "jsonl": {"queries": None, "gallery": None, "keep_reference": False},
}
ALL_OWN = sorted({name for own in OWN_OPTIONS.values() for name in own})


def add_evaluate(group) -> None:
    """`evaluate`, with a command for each benchmark."""
    sub = command(group, "evaluate", lambda _: 0, "Measure methods on a benchmark.")
    datasets = sub.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    world = command(
        datasets,
        "world",
        commands.evaluate_world,
        "The embedded models and every method on the world benchmark.",
        ["methods"],
    )
    add_models_option(world)
    world.add_argument("--captions", type=int, default=1, help="captions of each reference, N (default: 1)")
    world.add_argument(
        "--gallery-captions", type=int, default=3, help="captions of each gallery image (default: 3)"
    )
    world.add_argument("--methods", help="measure only these, by name, separated by commas")
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
    _add_evaluate_datasets(datasets)


def _add_evaluate_datasets(group) -> None:
    said = "Score predictions for {} (--annotations, --predictions), or run a method over it (--root)."
    circo = command(group, "circo", commands.evaluate_dataset, said.format("CIRCO"), ["methods"])
    cirr = command(group, "cirr", commands.evaluate_dataset, said.format("CIRR"), ["methods"])
    fashioniq = command(group, "fashioniq", commands.evaluate_dataset, said.format("FashionIQ"), ["methods"])
    text = "Run a method over queries of your own: JSON lines over an indexed gallery."
    own = command(group, "jsonl", commands.evaluate_dataset, text, ["methods", "galleries"])
    for name, sub in (("circo", circo), ("cirr", cirr), ("fashioniq", fashioniq)):
        sub.add_argument("--annotations", type=Path, help="the annotation file that the predictions answer")
        sub.add_argument("--predictions", type=Path, help="JSON: query id -> ranked image ids")
        _add_place(sub, SPLITS[name])
    cirr.add_argument("--subset-predictions", type=Path, help="JSON: pair id -> ranked images of its set")
    cirr.add_argument(
        "--labels",
        choices=("target_hard", "target_soft"),
        default="target_hard",
        help="what counts as found when predictions are scored (default: target_hard)",
    )
    _add_captions_of_fashioniq(fashioniq)
    fashioniq.add_argument(
        "--gallery",
        dest="searched_images",
        choices=("original", "VAL"),
        default="original",
        help="search the original split, or its references and targets alone (default: original)",
    )
    own.description = f"{text} {described()}"
    _add_own_queries(own, required=True)
    own.add_argument("--gallery", help="a gallery's name, or the folder that it was indexed from")
    for sub in (circo, cirr, fashioniq, own):
        _add_run_options(sub)


def _add_place(sub: argparse._ActionsContainer, splits: Sequence[str]) -> None:
    sub.add_argument("--root", type=Path, help="the benchmark's folder, laid out as it was published")
    sub.add_argument("--split", choices=splits, default="val", help="default: val")


def _add_captions_of_fashioniq(sub: argparse._ActionsContainer) -> None:
    sub.add_argument("--category", choices=("dress", "shirt", "toptee", "all"), default="all")
    sub.add_argument(
        "--order",
        choices=("forward", "reversed", "both"),
        default="forward",
        help="of the two captions (default: forward, as CVSI; SEARLE and LinCIR: both; Pic2Word: reversed)",
    )


def _add_own_queries(sub: argparse._ActionsContainer, *, required: bool) -> None:
    sub.add_argument(
        "--queries",
        type=Path,
        required=required,
        help="JSON lines of queries; their fields: evaluate jsonl --help",
    )
    sub.add_argument("--keep-reference", action="store_true", help="rank the reference, too")


def _add_batch_size(sub: argparse._ActionsContainer) -> None:
    sub.add_argument("--batch-size", type=int, default=32, help="images that are encoded at once")


def _add_run_options(sub: CommandParser) -> None:
    sub.add_argument("--method", default="cvsi", help="a method's name (default: cvsi)")
    add_models_option(sub)
    add_values(sub, "the paper's")
    sub.add_argument(
        "--captions", type=int, default=2, help="captions of each reference, N (default: 2; paper: 15)"
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
    sub.add_argument(
        "table",
        choices=("methods", "ablation", "language-models", "efficiency", "hyperparameters", "all"),
    )
    add_models_option(sub)
    sub.add_argument(
        "--clip",
        type=Path,
        help="folder of another CLIP than the set's; methods with a mapping network are left out",
    )
    sub.add_argument("--limit", type=int, help="only the first queries")
    sub.add_argument(
        "--methods", help="compose, or time, only these; the others' rows come from what is kept"
    )
    sub.add_argument("--kept-only", action="store_true", help="compose nothing; use what is kept")
    sub.add_argument(
        "--ask",
        action="store_true",
        help="world: ask the language model for answers that are missing (on a dataset it is always asked)",
    )
    sub.add_argument("--fresh", action="store_true", help="compose everything again")
    sub.add_argument("--captions", type=int, default=1, help="captions of each reference, N (default: 1)")
    sub.add_argument("--gallery-captions", type=int, default=3, help="captions of each image (default: 3)")
    sub.add_argument("--timed", type=int, default=20, help="queries that are timed (default: 20)")
    sub.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_report_option(sub)
    own = sub.add_argument_group("on a dataset, as for `evaluate`")
    own.add_argument("--dataset", choices=DATASETS, default="world", help="default: world")
    _add_place(own, sorted({split for splits in SPLITS.values() for split in splits}))
    _add_captions_of_fashioniq(own)
    _add_own_queries(own, required=False)
    own.add_argument(
        "--gallery", help="FashionIQ: original (default) or VAL; jsonl: a gallery's name, or its folder"
    )
    _add_batch_size(own)
    # What is None was not given: `settle` sees by it what has no meaning for the dataset.
    sub.set_defaults(**dict.fromkeys(ALL_OWN))


def settle(options: argparse.Namespace) -> argparse.Namespace:
    """The options of `tables`, those of its dataset filled in.

    Raises:
        BadQuery: an option that belongs to another dataset, or one that this dataset needs is missing.
    """
    dataset, found = options.dataset, argparse.Namespace(**vars(options))
    if dataset == "fashioniq":
        found.searched_images, found.gallery = found.gallery, None
    own = OWN_OPTIONS[dataset]
    for name in ALL_OWN:
        given = getattr(found, name)
        if given is not None and name not in own:
            raise BadQuery(
                f"--{name.replace('_', '-')} has no meaning on {dataset}.",
                f"Leave it out, or name another dataset: --dataset {', '.join(DATASETS)}",
            )
        setattr(found, name, own.get(name) if given is None else given)
    if "root" in own and found.root is None:
        raise BadQuery(f"Where {dataset} lies was not said.", "Give its folder: --root FOLDER")
    if dataset == "jsonl" and found.queries is None:
        raise BadQuery("There are no queries.", "Give a file of JSON lines: --queries FILE")
    return found
