"""`python -m cir train fusion --recipe NAME --from world|syncir`: a supervised method's network for any model set."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict
from typing import Any

from cir import __version__
from cir.application import build_models, drawn_gallery, open_for
from cir.cache_keys import keyed_folder, what_else_there_is
from cir.commands.training import say
from cir.errors import CirError
from cir.images import read_image
from cir.measuring.bench import say as progress
from cir.models.fusion.facts import NETWORK_FILE
from cir.models.fusion.files import save_fusion
from cir.models.model_set import Models
from cir.text import counted
from cir.training.fusion import (
    RECIPES,
    FusionTraining,
    fusion_inputs,
    fusion_settings,
    gallery_triplets,
    held_out_recalls,
)
from cir.training.hycir import TripletFeatures
from cir.training.on_gallery import about, kept_of_gallery, world_triplets


def train_fusion(options: argparse.Namespace) -> int:
    """Train a network on triplets and write it as safetensors. The same command goes on with it, or finds it done.

    Raises:
        CirError: there are no triplets, or no encoded pictures of this set.
    """
    models = build_models(options.models, llm="none", device=options.device)
    triplets, learned = _triplets(options, models)
    clip, recipe = models.tower, options.recipe
    settings = fusion_settings(
        recipe,
        len(triplets),
        triplets=options.batch_triplets,
        rate=options.rate,
        seed=options.seed,
        minutes=options.minutes,
        mixed_precision=options.mixed_precision,
        steps=options.steps or (None if options.minutes is None else sys.maxsize),
    )
    name = f"fusion-{recipe}-{learned['from']}-{models.name}"
    folder = keyed_folder(options.runs, name, fusion_inputs(recipe, clip, triplets, settings))
    say(f"Works in {folder}. {what_else_there_is(folder, name)}".strip())
    training = FusionTraining(recipe, clip, triplets, settings, folder)
    if training.step:
        say(
            f"{'It was trained before' if training.done else 'Goes on'}: {counted(training.step, 'step')} made."
        )
    for row in training.run():
        if row["step"] % 10 == 0:
            progress(f"step {row['step']}, loss {row['loss']:.3f}, {row['seconds']:.0f} s")
    record = {
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "model_set": models.name,
        "trained_for": clip.fingerprint,
        "triplets": len(triplets),
        **learned,
        "seed": settings.seed,
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "settings": asdict(settings),
    }
    if learned["from"] == "world":
        record["held_out"] = held_out_recalls(training.fusion, clip, options.runs / "held_out")
    out = folder / NETWORK_FILE
    save_fusion(training.fusion, out, record)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out, options.out)
    found = f" Held-out pictures: {record['held_out']}." if "held_out" in record else ""
    sys.stdout.write(
        f"\n{options.out or out} is written: {counted(training.step, 'step')} on "
        f"{counted(len(triplets), 'triplet')}, {training.seconds:.0f} s.{found}\n"
        f"Search with it: python -m cir search --method NAME --image FILE --text EDIT --models {models.name} --network {options.out or out}\n"
    )
    return 0


def _triplets(options: argparse.Namespace, models: Models) -> tuple[TripletFeatures, dict[str, Any]]:
    """What is learned from, and what is written down about it."""
    if vars(options)["from"] == "syncir":
        gallery = drawn_gallery(models, open_for(models, options.gallery), say)
        kept = kept_of_gallery(options.triplets, gallery, say)
        found = gallery_triplets(
            options.recipe, kept, gallery, models.tower, read_image, options.runs, progress
        )
        return found.near(options.min_similarity), {"from": "syncir", **about(gallery)}
    if models.set.reads != "world":
        raise CirError(
            f"Pictures of the world are seen by the embedded sets' trunk alone, and this is the set {models.name}.",
            "Train on triplets of a gallery: --from syncir --gallery NAME --triplets FILE",
        )
    captions, pictures = RECIPES[options.recipe].captions_first, options.runs / "pictures"
    found = world_triplets(pictures, models.tower, sys.maxsize, options.seed, captions=captions)
    return found, {"from": "world"}
