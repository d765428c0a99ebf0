"""The options of the commands that serve, search, index and keep: `serve`, `search`, `index`, `galleries`, `models`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cir import commands
from cir.commands.command_parser import (
    CommandParser,
    add_asking_options,
    add_device_option,
    add_engine_option,
    add_models_option,
    add_network_option,
    add_server_options,
    command,
)
from cir.commands.serving import add_options
from cir.commands.values import add_values
from cir.environment import setting


def add_serve(group) -> None:
    """`serve`."""
    sub = command(group, "serve", commands.serve, "Serve the page, without opening a browser.")
    add_options(sub)


def add_search(group) -> None:
    """`search`."""
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
    add_network_option(sub)
    sub.add_argument(
        "--rerank",
        choices=("local-concepts",),
        help="look at the 100 best again: do they show what is added?",
    )
    sub.add_argument("--top-k", type=int, default=10, help="how many results (default: 10)")
    sub.add_argument(
        "--captions",
        type=int,
        default=2,
        help="captions of the reference, N (default: 2; paper: 15; LDRE: 3)",
    )
    sub.add_argument(
        "--released-code", action="store_true", help="one joint call and dot products, as the released code"
    )
    add_engine_option(sub)
    add_server_options(sub, searched=True)
    add_models_option(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--explain", action="store_true", help="add every term of every score")
    add_narrowing(sub)


def add_index(group) -> None:
    """`index`."""
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
    sub.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="read and encode on the Ray cluster at this address; without one, on all processors or GPUs of this computer",
    )
    sub.add_argument(
        "--also",
        action="append",
        metavar="METHOD",
        help="encode the pictures for this method as well, which compares with features of its own (Slerp+TAT)",
    )
    add_engine_option(sub)
    add_models_option(sub)
    sub.add_argument("--json", action="store_true", help="print one JSON object at the end")


def add_galleries(group) -> None:
    """`galleries`, with its actions."""
    text = "List the galleries; delete, rename or move one; bring one to a Qdrant server."
    sub = command(group, "galleries", commands.galleries_list, text, ["galleries"], aliases=["gallery"])
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
    text = "Encode the pictures for a method that compares with features of its own, such as Slerp+TAT."
    features = command(actions, "features", commands.galleries_features, text, ["galleries", "methods"])
    features.add_argument("--method", required=True, help="the method's name")
    add_models_option(features)
    features.add_argument("--json", action="store_true", help="print one JSON object")
    text = "Bring a gallery to a Qdrant server. Done again, it sends what has changed."
    push = command(actions, "push", commands.galleries_push, text, ["galleries"])
    text = (
        "Compare a gallery with what is on a Qdrant server: the number of pictures, and 200 of them wholly."
    )
    verify = command(actions, "verify", commands.galleries_verify, text, ["galleries"])
    pull = command(actions, "pull", commands.galleries_pull, "Make a gallery of one on a Qdrant server.")
    for action in (push, verify, pull):
        add_server_options(action)
    push.add_argument("--shards", type=int, default=1, help="pieces of a new collection (default: 1)")
    push.add_argument("--replicas", type=int, default=1, help="copies of each piece (default: 1)")
    for action in (delete, rename, move, features, push, verify, pull):
        action.add_argument("name", metavar="NAME")
    rename.add_argument("new_name", metavar="NEW")
    move.add_argument("folder", type=Path, metavar="FOLDER")


def add_models(group) -> None:
    """`models`, with its actions."""
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
    minutes = setting("CIR_MAPPING_MINUTES", "15")
    pull.add_argument(
        "--minutes",
        type=float,
        default=minutes,
        help=f"for a mapping network that is made here (default: {minutes})",
    )
    text = "then index a dozen photographs that come with the program, so that a page has something to begin with"
    pull.add_argument("--first-gallery", action="store_true", help=text)
    add_device_option(pull)
    pull.add_argument("--json", action="store_true", help="tell how far it is as lines of JSON, for programs")
    pull.add_argument("--best-effort", action="store_true", help="say what could not be fetched, and succeed")
    text = "Write networks that a training left again, their large matrices in eight bits a number."
    shrink = command(actions, "shrink", commands.models_shrink, text)
    shrink.add_argument("network_files", nargs="+", type=Path, metavar="FILE")
    text = "Load a set, time it, and ask it what is known of a dozen pictures. Exit status 1: something is wrong."
    check = command(actions, "check", commands.models_check, text, ["model sets"])
    check.add_argument("name", nargs="?", default="embedded")
    check.add_argument("--llm", help="another language model, or none to do without")
    add_asking_options(check)
    check.add_argument("--clip", type=Path, help="the folder of another CLIP than the set's")
    add_device_option(check)
    check.add_argument("--json", action="store_true", help="print the table as JSON")


def add_narrowing(sub: CommandParser) -> None:
    """Where to look, and what more and less is wanted: the arguments of the call `/search`, by the same names."""
    own = sub.add_argument_group("where to look, and what more and less is wanted (as in docs/api.md)")
    own.add_argument(
        "--folder",
        dest="inside",
        metavar="FOLDER",
        help="only in this folder, by its path below the gallery's; / for no folder",
    )
    own.add_argument("--since", metavar="DAY", help="only from this day on: 2024, 2024-05 or 2024-05-17")
    own.add_argument("--until", metavar="DAY", help="only up to this day")
    own.add_argument("--with-undated", action="store_true", help="also pictures of an unknown day")
    own.add_argument("--without", action="append", metavar="TEXT", help="what should not be there")
    for name in ("more", "less"):
        text = f"{name} of what a gallery image looks like, by its image_id"
        own.add_argument(f"--{name}", action="append", metavar="ID", help=text)
    own.add_argument("--at-least", type=float, default=0.0, help="the score that results have to reach")
    own.add_argument(
        "--keep-reference",
        action="store_true",
        help="the reference may be a result, too, where the gallery has that very file (default: it is left out)",
    )
