"""`python -m cir train tat --gallery ...`: the image tower of any model set, tuned towards the captions of a gallery."""

from __future__ import annotations

import argparse
import sys
import time

from cir import __version__
from cir.application import build_models, open_for
from cir.commands.training import say
from cir.errors import BadQuery, GalleryError
from cir.images import read_image
from cir.measuring.bench import say as progress
from cir.models.model_set import WITHOUT
from cir.models.tuned import save_tuned
from cir.text import counted
from cir.training.on_gallery import about
from cir.training.text_anchored import RECIPE, record_of, tune_on_pictures

STEPS, LEAST = 200, 16


def tune_on_gallery(options: argparse.Namespace) -> int:
    """Tune the set's image tower on pictures with captions, and put it where the set finds it.

    Raises:
        BadQuery: a set whose image tower comes with the program.
        GalleryError: few pictures of the gallery have captions.
    """
    models = build_models(options.models, llm=WITHOUT, device=options.device)
    if RECIPE in models.set.encoders:
        raise BadQuery(
            f"The image tower of the set {models.name} is tuned on the illustrated world, which its CLIP knows alone.",
            "Leave --gallery out, or take another set: --models base",
        )
    gallery = open_for(models, options.gallery)
    ids = [image_id for image_id in gallery.image_ids if gallery.captions(image_id)]
    if len(ids) < LEAST:
        raise GalleryError(
            f"{gallery.name} tells what {counted(len(ids), 'picture')} show, which is too little to tune a tower by.",
            "Index it with captions: python -m cir index FOLDER",
        )
    started, steps = time.monotonic(), options.steps or STEPS
    changes, losses = tune_on_pictures(
        models.tower,
        lambda number: read_image(gallery.image_path(ids[number])),
        [gallery.captions(image_id)[0] for image_id in ids],
        steps=steps,
        seed=options.seed,
        say=progress,
    )
    seconds = round(time.monotonic() - started, 1)
    figures = {"first loss": losses[0], "last loss": losses[-1]}
    facts = {
        "version": __version__,
        "steps": steps,
        "seconds": seconds,
        "model_set": models.name,
        **about(gallery),
    }
    out = options.out or models.tuned_file(RECIPE)
    save_tuned(changes, out, record_of(models.tower, options.seed, figures, facts))
    say("")
    sys.stdout.write(
        f"{out} is written: loss {losses[0]:.3f} to {losses[-1]:.3f} in {counted(steps, 'step')}.\n"
        f"Then encode galleries with it: python -m cir galleries features NAME --method Slerp+TAT --models {models.name}\n"
    )
    return 0
