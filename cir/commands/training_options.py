"""The options of the commands that make models and what they learn from: `train`, `ablate`, `world`, `synthesize`, `triplets`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cir import commands
from cir.commands.command_parser import add_models_option, add_report_option, command
from cir.places import SHIPPED_TRIPLETS

TOKEN_LEARNERS = ("palavra", "context-i2w", "isa", "keds")  # each for its own method, on the shipped CLIP
MAPPING_RECIPES = ("pic2word", "lincir", "searle", "hycir", *TOKEN_LEARNERS)
# The names of `cir.training.fusion.RECIPES`, which brings torch.
FUSION_RECIPES = ("tirg", "combiner", "clip4cir", "blip4cir-bi", "case", "covr", "sprc", "compodiff")
SAMPLE_TRIPLETS = SHIPPED_TRIPLETS / "sample.jsonl"


def add_train(group) -> None:
    """`train`."""
    sub = command(
        group,
        "train",
        commands.train,
        "Make the embedded models from nothing, stage by stage.",
        ["galleries"],
    )
    sub.add_argument(
        "stage",
        choices=(
            "crops",
            "scenes",
            "pictures",
            "world-clip",
            "world-blip",
            "places",
            "captioner",
            "delta",
            "mapping",
            "fusion",
            "photographs",
            "tat",
        ),
    )
    sub.add_argument("--minutes", type=float, help="wall time, after which training ends")
    sub.add_argument("--ranks", type=int, default=1, help="processes that share the work")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints and logs go")
    sub.add_argument(
        "--trunk-weights", type=Path, help="ImageNet weights for the first stage (default: fetched)"
    )
    sub.add_argument(
        "--recipe",
        choices=(*MAPPING_RECIPES, *FUSION_RECIPES),
        default="pic2word",
        help=f"mapping: {', '.join(MAPPING_RECIPES)} (default: pic2word); fusion, a supervised method: {', '.join(FUSION_RECIPES)}",
    )
    sub.add_argument(
        "--from",
        choices=("world", "syncir"),
        default="world",
        help="fusion: learn from the true edits of encoded pictures of the world (default), or from SynCir's triplets of a gallery",
    )
    sub.add_argument("--tokens", type=int, help="pseudo-words for one image (default: 1; hycir: 4)")
    sub.add_argument(
        "--composed-share",
        type=float,
        help="world-clip: share of targets that are described as an edit of their reference (default: 0.5)",
    )
    sub.add_argument("--photographs", type=Path, help="photographs: a folder of any, without any texts")
    sub.add_argument(
        "--wordnet", type=Path, help="photographs: WordNet's folder (default: /usr/share/wordnet)"
    )
    add_models_option(sub)
    own = sub.add_argument_group(
        "mapping: hycir, or pic2word or lincir with --gallery, on any pictures and model set"
    )
    own.add_argument("--gallery", help="a gallery's name, or its folder; also of tat, for any model set")
    own.add_argument(
        "--texts",
        choices=("plain", "world"),
        help="lincir without a gallery: learn from captions of our own, of ImageNet's things or of the world's "
        "(begins in closed form; --minutes 0: that alone)",
    )
    own.add_argument(
        "--triplets",
        type=Path,
        default=SAMPLE_TRIPLETS,
        help="made by: python -m cir synthesize; or the JSON of CIRR, LaSCo or Laion-CIR, whose pictures --gallery has by name",
    )
    own.add_argument("--unlabelled", type=Path, help="encoded pictures for L_ZS-CIR (default: the gallery's)")
    own.add_argument("--loss", choices=("hybrid", "zs-cir", "triplet"), default="hybrid")
    own.add_argument(
        "--steps",
        type=int,
        help="default: 2000, or as many as --minutes allows; of the other stages: after so many, however long they take",
    )
    own.add_argument(
        "--rate", type=float, help="of Adam (default: 1e-4, as in HyCIR's paper; fusion: the recipe's)"
    )
    own.add_argument("--batch-images", type=int, help="default: 512, or all where there are fewer")
    own.add_argument(
        "--batch-triplets", type=int, help="default: 256, or all where there are fewer; fusion: the recipe's"
    )
    own.add_argument(
        "--min-similarity",
        type=float,
        default=-1.0,
        help="use only triplets whose two images have at least this cosine (default: all)",
    )
    own.add_argument("--mixed-precision", choices=("no", "fp16", "bf16"), default="no")
    own.add_argument(
        "--out",
        type=Path,
        help="also write the network to this file, .safetensors; the folder of world-clip, world-blip and photographs",
    )


def add_ablate(group) -> None:
    """`ablate`."""
    text = "HyCIR's ablations, what noise costs supervised methods, and what networks owe to their seeds, on the world benchmark."
    sub = command(group, "ablate", commands.ablate, text)
    sub.add_argument(
        "--tables",
        default="3,4,5",
        help="of the paper, separated by commas (default: 3,4,5); fusion: supervised methods trained on true edits and on as many of SynCir's triplets; "
        "seeds: shipped networks trained again with other seeds",
    )
    sub.add_argument(
        "--recipes", help="fusion, seeds: only these, separated by commas (default: all of the set)"
    )
    sub.add_argument(
        "--models", default="embedded", help="model set: embedded or embedded-blip (default: embedded)"
    )
    sub.add_argument(
        "--gallery", help="the triplets' pictures, indexed with that set (default: the sample gallery)"
    )
    sub.lists += ["model sets"]
    sub.add_argument("--triplets", type=Path, default=SAMPLE_TRIPLETS)
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="where measures are kept")
    sub.add_argument(
        "--pictures", type=Path, default=Path("runs/pictures"), help="made by: python -m cir train pictures"
    )
    add_report_option(sub)
    sub.add_argument("--seeds", type=int, default=3)
    sub.add_argument("--steps", type=int, help="default: 100; fusion: 300; seeds: the shipped network's")
    sub.add_argument("--rate", type=float, help="default: 1e-3; fusion: the recipe's")
    sub.add_argument("--batch-images", type=int, default=256)
    sub.add_argument("--batch-triplets", type=int, default=128)
    sub.add_argument(
        "--min-similarity",
        type=float,
        default=-1.0,
        help="leave out SynCir's pairs that are farther apart (default: -1, none)",
    )


def add_world(group) -> None:
    """`world`, with its actions."""
    sub = command(group, "world", lambda _: 0, "Draw what is made of the illustrated world.")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    command(actions, "benchmark", commands.world_benchmark, "Draw the benchmark's queries and gallery.")
    command(actions, "gallery", commands.world_gallery, "Draw, index and pack the sample gallery.")
    pool = command(
        actions, "pool", commands.world_pool, "Draw a dense pool of pictures to make triplets from."
    )
    pool.add_argument(
        "--out",
        type=Path,
        required=True,
        help="its folder: pictures in images/, and what they show in scenes.jsonl",
    )
    pool.add_argument(
        "--count", type=int, default=6480, help="how many pictures, in families of six (default: 6480)"
    )
    pool.add_argument("--seed", type=int, default=2027)
    families = command(
        actions,
        "families",
        commands.world_families,
        "Make the sample of families: a part of a pool's triplets, and the pictures that it needs.",
    )
    families.add_argument("--triplets", type=Path, required=True, help="all of them, JSON lines")
    families.add_argument("--gallery", help="that they were made from (default: as their file says)")
    families.add_argument("--count", type=int, default=1200, help="how many triplets (default: 1200)")


def add_synthesize(group) -> None:
    """`synthesize`."""
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
        help="who writes the texts: captions (the language model), templates (SPN's sentences around both captions, no model), "
        "delta (VDG's generator: looks at both drawings, embedded models), or a multimodal model's folder",
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


def add_triplets(group) -> None:
    """`triplets`, with its actions."""
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
