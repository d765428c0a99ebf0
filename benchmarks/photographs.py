"""How well the embedded CLIP names cut-out photographs, which it was not made for. Reported, not aimed at.

Takes a folder of PNG files, each with a text file beside it whose first line says what it shows (Debian's package
tuxpaint-stamps-default, unpacked). Photographs are larger than `--min-side`; those whose line names exactly one noun of the
world are put on white and named among all of the world's nouns, zero-shot.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from cir.application import build_models
from cir.errors import BadImage
from cir.images import read_image
from cir.world.captions import with_article
from cir.world.reading import nouns_in
from cir.world.vocabulary import load_nouns


def main() -> None:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--min-side", type=int, default=200, help="smaller pictures are drawings, mostly")
    chosen = options.parse_args()
    nouns = list(load_nouns())
    pictures, truth = [], []
    for path in sorted(chosen.folder.rglob("*.png")):
        note = path.with_suffix(".txt")
        if not note.is_file():
            continue
        said = nouns_in(note.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
        try:
            picture = read_image(path)
        except BadImage:
            continue
        if len(said) == 1 and min(picture.size) >= chosen.min_side:
            pictures.append(picture)
            truth.append(nouns.index(said.pop()))
    clip = build_models("embedded", llm="none").clip
    names = clip.encode_texts([f"a photo of {with_article(noun)}" for noun in nouns])
    scores = clip.encode_images(pictures) @ names.T
    order = np.argsort(-scores, axis=1)
    wanted = np.array(truth)[:, None]
    row = {
        "photographs": len(pictures),
        "nouns_among_them": len(set(truth)),
        "candidates": len(nouns),
        "top1": round(100 * float((order[:, :1] == wanted).any(axis=1).mean()), 1),
        "top5": round(100 * float((order[:, :5] == wanted).any(axis=1).mean()), 1),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
