"""python -m cir serve | search | index | galleries | models | evaluate | tables | train | world. Parsing and printing only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cir import __version__, commands
from cir.commands.checks import check_arguments
from cir.commands.console import any_console
from cir.commands.exclusions import given_options, refuse_conflicts
from cir.commands.options import (
    CommandParser,
    add_evaluate,
    add_models_option,
    add_narrowing,
    add_report_option,
    add_tables,
    command,
)
from cir.commands.serving import add_options, has_screen
from cir.commands.values import add_values
from cir.environment import set_defaults
from cir.errors import CirError
from cir.places import ASSETS

set_defaults()
SAMPLE_TRIPLETS = ASSETS / "triplets" / "sample.jsonl"


def parser(program: str = "python -m cir") -> CommandParser:
    """The command line."""
    top = CommandParser(prog=program, description="Search your pictures with a picture and a sentence.")
    top.add_argument("--version", action="version", version=f"recompose {__version__}")
    commands_ = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands_)
    _add_search(commands_)
    _add_index(commands_)
    _add_galleries(commands_)
    _add_models(commands_)
    add_evaluate(commands_)
    _add_train(commands_)
    add_tables(commands_)
    _add_ablate(commands_)
    _add_world(commands_)
    _add_synthesize(commands_)
    _add_triplets(commands_)
    return top


def _add_serve(group) -> None:
    sub = command(group, "serve", commands.serve, "Serve the page, without opening a browser.")
    add_options(sub)


def _add_search(group) -> None:
    text = "Search a gallery with a reference image and an edit."
    sub = command(group, "search", commands.search, text, ["methods", "galleries", "mapping networks"])
    image = {"dest": "image", "type": Path, "metavar": "FILE", "help": "the reference image"}
    sub.add_argument("--reference-image", "--image", **image)
    sub.add_argument(
        "--reference-id", metavar="ID", help="a gallery image as the reference, by the image_id of a result"
    )
    sub.add_argument("--text", default="", help="the edit")
    sub.add_argument(
        "--gallery", help="a gallery's name, or the folder that it was indexed from (default: the sample)"
    )
    sub.add_argument("--method", default="cvsi", help="a method's name (default: cvsi)")
    add_values(sub, "the method's own")
    sub.add_argument("--phi", help="CVSI's mapping network: any recipe of the model set (default: its first)")
    sub.add_argument(
        "--rerank",
        choices=("local-concepts",),
        help="look at the 100 best again: do they show what is added?",
    )
    sub.add_argument("--top-k", type=int, default=10, help="how many results (default: 10)")
    sub.add_argument(
        "--captions", type=int, default=2, help="captions of the reference, N (default: 2; paper: 15)"
    )
    sub.add_argument(
        "--released-code", action="store_true", help="one joint call and dot products, as the released code"
    )
    add_models_option(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--explain", action="store_true", help="add every term of every score")
    add_narrowing(sub)


def _add_index(group) -> None:
    sub = command(
        group, "index", commands.index, "Index a folder of pictures, or bring its gallery up to date."
    )
    sub.add_argument("folder", type=Path)
    sub.add_argument(
        "--name", help="the gallery's name (default: the one that the folder has, or the folder's)"
    )
    sub.add_argument(
        "--another", action="store_true", help="make another gallery of a folder that has one already"
    )
    sub.add_argument(
        "--captions-per-image", type=int, default=5, help="captions of each picture (default: 5)"
    )
    sub.add_argument("--no-captions", action="store_true", help="image features only")
    sub.add_argument("--batch-size", type=int, default=32)
    sub.add_argument(
        "--confirm-purge", action="store_true", help="forget vanished files even when they are most"
    )
    sub.add_argument("--rehash", action="store_true", help="read every file again")
    sub.add_argument(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="leave out, as in .gitignore: '*.png', 'Previews/', '2019/raw'; may be repeated, and is remembered "
        "for the next runs ('' for nothing any more)",
    )
    add_models_option(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _add_galleries(group) -> None:
    text = "List the galleries; delete, rename or move one."
    sub = command(group, "galleries", commands.galleries_list, text, ["galleries"])
    sub.add_argument("--json", action="store_true", help="print one JSON list")
    actions = sub.add_subparsers(dest="action", metavar="ACTION")
    listing = command(actions, "list", commands.galleries_list, "The same as without an action.")
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    text = "Delete what was made of a folder. The pictures stay, except those that were uploaded."
    delete = command(actions, "delete", commands.galleries_delete, text, ["galleries"])
    delete.add_argument("--yes", action="store_true", help="do not ask")
    rename = command(
        actions, "rename", commands.galleries_rename, "Give a gallery another name.", ["galleries"]
    )
    text = "Say which folder the pictures are in now, after it was renamed or moved."
    move = command(actions, "move", commands.galleries_move, text, ["galleries"])
    for action in (delete, rename, move):
        action.add_argument("name", metavar="NAME")
    rename.add_argument("new_name", metavar="NEW")
    move.add_argument("folder", type=Path, metavar="FOLDER")


def _add_models(group) -> None:
    sub = command(group, "models", lambda _: 0, "List or fetch models.")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = command(
        actions, "list", commands.models_list, "Every model of every set: size, licence, whether it is here."
    )
    listing.add_argument("--json", action="store_true")
    pull = command(actions, "pull", commands.models_pull, "Fetch what a set needs.")
    pull.add_argument("name", nargs="?", default="embedded")
    pull.add_argument("--llm", help="another language model")
    pull.add_argument(
        "--accept-noncommercial", action="store_true", help="also fetch weights for non-commercial use"
    )
    pull.add_argument("--best-effort", action="store_true", help="say what could not be fetched, and succeed")


def _add_train(group) -> None:
    sub = command(
        group,
        "train",
        commands.train,
        "Make the embedded models from nothing, stage by stage.",
        ["galleries"],
    )
    sub.add_argument(
        "stage", choices=("crops", "scenes", "pictures", "world-clip", "places", "captioner", "mapping")
    )
    sub.add_argument("--minutes", type=float, help="wall time, after which training ends")
    sub.add_argument("--ranks", type=int, default=1, help="processes that share the work")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints and logs go")
    sub.add_argument(
        "--trunk-weights", type=Path, help="ImageNet weights for the first stage (default: fetched)"
    )
    sub.add_argument("--recipe", choices=("pic2word", "lincir", "searle", "hycir"), default="pic2word")
    sub.add_argument("--tokens", type=int, help="pseudo-words for one image (default: 1; hycir: 4)")
    sub.add_argument(
        "--composed-share",
        type=float,
        help="world-clip: share of targets that are described as an edit of their reference (default: 0.5)",
    )
    add_models_option(sub)
    own = sub.add_argument_group(
        "mapping: hycir, or pic2word or lincir with --gallery, on any pictures and model set"
    )
    own.add_argument("--gallery", help="a gallery's name, or the folder that it was indexed from")
    own.add_argument(
        "--triplets", type=Path, default=SAMPLE_TRIPLETS, help="made by: python -m cir synthesize"
    )
    own.add_argument("--unlabelled", type=Path, help="encoded pictures for L_ZS-CIR (default: the gallery's)")
    own.add_argument("--loss", choices=("hybrid", "zs-cir", "triplet"), default="hybrid")
    own.add_argument("--steps", type=int, help="default: 2000, or as many as --minutes allows")
    own.add_argument("--rate", type=float, default=1e-4, help="of Adam (default: 1e-4, as in the paper)")
    own.add_argument("--batch-images", type=int, help="default: 512, or all where there are fewer")
    own.add_argument("--batch-triplets", type=int, help="default: 256, or all where there are fewer")
    own.add_argument(
        "--min-similarity",
        type=float,
        default=-1.0,
        help="use only triplets whose two images have at least this cosine (default: all)",
    )
    own.add_argument("--mixed-precision", choices=("no", "fp16", "bf16"), default="no")
    own.add_argument(
        "--out", type=Path, help="also write the network to this file, .safetensors; world-clip's folder"
    )


def _add_ablate(group) -> None:
    sub = command(group, "ablate", commands.ablate, "HyCIR's ablations on the world benchmark.")
    sub.add_argument("--tables", default="3,4,5", help="of the paper, separated by commas (default: 3,4,5)")
    sub.add_argument("--triplets", type=Path, default=SAMPLE_TRIPLETS)
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="where measures are kept")
    sub.add_argument(
        "--pictures", type=Path, default=Path("runs/pictures"), help="made by: python -m cir train pictures"
    )
    add_report_option(sub)
    sub.add_argument("--seeds", type=int, default=3)
    sub.add_argument("--steps", type=int, default=100)
    sub.add_argument("--rate", type=float, default=1e-3)
    sub.add_argument("--batch-images", type=int, default=256)
    sub.add_argument("--batch-triplets", type=int, default=128)
    sub.add_argument("--min-similarity", type=float, default=0.7, help="of near pairs (default: 0.7)")


def _add_world(group) -> None:
    sub = command(group, "world", lambda _: 0, "Draw what is made of the illustrated world.")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    command(actions, "benchmark", commands.world_benchmark, "Draw the benchmark's queries and gallery.")
    command(actions, "gallery", commands.world_gallery, "Draw, index and pack the sample gallery.")


def _add_synthesize(group) -> None:
    sub = command(
        group,
        "synthesize",
        commands.synthesize,
        "Make triplets from a gallery's pictures, as SynCir does.",
        ["galleries", "methods"],
    )
    sub.add_argument("--gallery", help="a gallery's name, or its folder of pictures (default: the sample)")
    sub.add_argument("--out", type=Path, required=True, help="the triplets file, JSON lines")
    sub.add_argument(
        "--limit", type=int, help="how many pairs the file shall have in all (default: every one)"
    )
    sub.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with the file that is there; otherwise it becomes .old",
    )
    sub.add_argument(
        "--spoter",
        default="captions",
        help="who writes the texts: captions (the language model), or a multimodal model's folder",
    )
    sub.add_argument(
        "--template",
        default="examples",
        choices=("examples", "figure3"),
        help="how the language model is asked: with examples, or word for word as the paper (Figure 3)",
    )
    sub.add_argument("--threshold", type=float, default=0.7, help="lowest consistency (default: 0.7)")
    sub.add_argument(
        "--near-duplicate", type=float, default=0.94, help="most alike that two may be (default: 0.94)"
    )
    sub.add_argument(
        "--gap", type=float, default=0.002, help="least step between two in a group (default: 0.002)"
    )
    sub.add_argument(
        "--reading", default="similarity", help="of the paper's distance: similarity or distance"
    )
    sub.add_argument("--combine", default="sum", help="caption + text: sum or concatenate")
    sub.add_argument("--sentence-encoder", metavar="FOLDER", help="default: all-MiniLM-L6-v2")
    sub.add_argument("--pooling", default="mean", help="of the sentence encoder: mean or cls")
    sub.add_argument(
        "--image-encoder", default="clip", help="to find pairs with: clip, resnet152, or a ResNet's folder"
    )
    sub.add_argument(
        "--engine-check", metavar="METHOD", help="also search with each triplet, and note the target's rank"
    )
    sub.add_argument("--max-target-rank", type=int, help="drop triplets whose target is found below this")
    sub.add_argument("--seed", type=int, default=0, help="order of the groups (default: 0)")
    add_models_option(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _add_triplets(group) -> None:
    sub = command(group, "triplets", lambda _: 0, "Write triplets in other layouts, or read those of others.")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = (
        "Write triplets as a data set in CIRR's layout: OUT becomes its folder, with cirr/captions, cirr/captions_ext, "
        "cirr/image_splits and copies of the pictures, named by their paths. OUT.json: the annotations alone."
    )
    export = command(actions, "export", commands.triplets_export, text, ["galleries"])
    export.add_argument("--everything", action="store_true", help="dropped ones as well")
    export.add_argument("--gallery", help="that they were made from (default: as their file says)")
    export.add_argument(
        "--split", choices=("train", "val"), default="val", help="how the files are called (default: val)"
    )
    foreign = "Read CIRR's, LaSCo's or Laion-CIR's JSON into a triplets file."
    for action in (export, command(actions, "import", commands.triplets_import, foreign)):
        action.add_argument("file", type=Path, metavar="IN")
        action.add_argument("out", type=Path, metavar="OUT")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of `python -m cir`; returns the exit status."""
    return run(parser(), arguments)


def recompose() -> int:
    """The command `recompose` of an installed package: without another command it serves the page."""
    arguments = sys.argv[1:]
    others = {"-h", "--help", "--version"}
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in others):
        arguments = ["serve", "--browser" if has_screen() else "--no-browser", *arguments]
    return run(parser("recompose"), arguments)


@any_console()
def run(top: CommandParser, arguments: Sequence[str] | None) -> int:
    """Run a command, once its arguments are checked. A CirError is one sentence and exit status 2."""
    options = top.parse_args(arguments)
    try:
        refuse_conflicts(options, given_options(top, arguments))
        check_arguments(options)
        return int(options.run(options))
    except CirError as error:
        sys.stderr.write(f"{error.message}\n")
        if error.remedy:
            sys.stderr.write(f"{error.remedy}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was done is kept.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
