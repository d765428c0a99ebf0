"""`python -m cir train photographs`: what the embedded models know of photographs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from cir.commands.training import say
from cir.errors import MissingModel
from cir.images import read_image
from cir.models.catalog import SHIPPED, pull_trunk, sentence_encoder_folder
from cir.models.published import PHOTOGRAPH_TRUNK
from cir.models.sentence_encoder import load_sentence_encoder
from cir.places import SAMPLE_GALLERY
from cir.training.photographs import Sources, make_photograph_models
from cir.training.wordnet import FOLDER, read_nouns

EVERY_DRAWING = 2  # of the sample gallery's pictures: more teach the gate little
SIDE = 512  # pixels: the gate looks at less
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def make_photographs(options: argparse.Namespace) -> int:
    """Fetch the ImageNet weights, read WordNet, train the gate, and write all into a folder."""
    out = options.out or SHIPPED / "photographs"
    nouns = read_nouns(options.wordnet or FOLDER)
    photographs = _files(options.photographs) if options.photographs else []
    if not photographs:
        raise MissingModel(
            "The gate learns from photographs, and there are none.",
            "Give a folder of them: --photographs DIR",
        )
    drawings = _files(SAMPLE_GALLERY / "images")[::EVERY_DRAWING]
    sentences = load_sentence_encoder(sentence_encoder_folder(), device="cpu")
    weights = pull_trunk(PHOTOGRAPH_TRUNK)
    make_photograph_models(
        Sources(weights, nouns, sentences, map(_read, photographs), map(_read, drawings)), out, say
    )
    sys.stdout.write(f"{out} is written. Make the sample gallery anew: python -m cir world gallery\n")
    return 0


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def _read(path: Path) -> Image.Image:
    picture = read_image(path)
    picture.thumbnail((SIDE, SIDE))
    return picture
