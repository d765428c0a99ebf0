"""`python -m cir train mapping --recipe hycir|pic2word|lincir --gallery ...`: a network for any pictures and model set."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from cir import __version__
from cir.application import build_models, drawn_gallery, open_for
from cir.cache_keys import keyed_folder, what_else_there_is
from cir.commands.training import next_command, say
from cir.measuring.bench import say as progress
from cir.models.mapping import save_mapping
from cir.models.mapping_files import MAPPING_FILE
from cir.models.model_set import Models
from cir.text import counted
from cir.training.hycir import HycirSettings, HycirTraining, run_to_end, training_inputs
from cir.training.lincir import LincirTraining
from cir.training.made_mapping import MINUTES, make_mapping
from cir.training.on_gallery import about, features_of, kept_of_gallery, unlabelled


def train_general(options: argparse.Namespace) -> int:
    """Train a mapping network on a gallery, and for HyCIR on its triplets; write it as safetensors.

    It is kept in a folder of its own for everything that it depends on, so the same command goes on with it, or finds
    it done, and any other begins anew.
    """
    models = build_models(options.models, llm="none", device=options.device)
    clip, recipe = models.tower, options.recipe
    gallery = drawn_gallery(models, open_for(models, options.gallery), say)
    triplets, images, captions = None, np.zeros((0, clip.dim), np.float32), []
    if recipe == "lincir":
        captions = [c for image_id in gallery.image_ids for c in gallery.captions(image_id)]
    elif recipe != "hycir" or options.loss != "triplet":
        images = unlabelled(options.unlabelled, gallery, clip)
    if recipe == "hycir" and options.loss != "zs-cir":
        triplets = features_of(kept_of_gallery(options.triplets, gallery, say), gallery).near(
            options.min_similarity
        )
    settings = settings_for(options, len(set(captions)) or len(images), len(triplets or ()))
    data = (captions,) if recipe == "lincir" else (images, *(triplets.contents if triplets else ()))
    name = f"mapping-{recipe}-{models.name}"
    folder = keyed_folder(
        options.runs,
        name,
        {**training_inputs(clip, settings, *data), "gallery": about(gallery)["gallery_content"]},
    )
    say(f"Works in {folder}. {what_else_there_is(folder, name)}".strip())
    if recipe == "lincir":
        training = LincirTraining(clip, captions, settings, folder)
        learned = {"captions": len(training.captions)}
    else:
        training = HycirTraining(clip, images, triplets, settings, folder)
        learned = {"unlabelled_images": len(images), "triplets": len(triplets) if triplets else 0}
    if training.step:
        say(
            f"{'It was trained before' if training.done else 'Goes on'}: {counted(training.step, 'step')} made."
        )
    network = run_to_end(training, progress)
    record = {
        "recipe": recipe,
        "normalise_input": recipe == "lincir",
        "model_set": models.name,
        "steps": training.step,
        **training_record(settings, models, {**learned, **about(gallery)}, training.seconds),
    }
    out = folder / MAPPING_FILE
    save_mapping(network.half(), out, record)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out, options.out)
    sys.stdout.write(
        f"\n{options.out or out} is written: {counted(settings.tokens, 'pseudo-word')}, {counted(training.step, 'step')} on "
        f"{gallery.name}, {training.seconds:.0f} s.\n{next_command(options.out or folder, models.name)}"
    )
    return 0


def train_from_texts(options: argparse.Namespace) -> int:
    """Train a mapping network by LinCIR from captions of our own; write it as safetensors."""
    models = build_models(options.models, llm="none", device=options.device)
    out = options.out or options.runs / f"mapping-texts-{models.name}.safetensors"
    make_mapping(
        models.tower,
        out,
        model_set=models.name,
        runs=options.runs,
        texts=options.texts,
        minutes=MINUTES if options.minutes is None else options.minutes,
        seed=options.seed,
        say=progress,
    )
    sys.stdout.write(f"\n{out} is written.\n{next_command(out, models.name)}")
    return 0


def training_record(
    settings: HycirSettings, models: Models, data: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What made a network, for its file; `data`: what it has learned from."""
    return {
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "trained_for": models.tower.fingerprint,
        "settings": asdict(settings),
        **data,
        "seconds": round(seconds, 1),
    }


def settings_for(options: argparse.Namespace, images: int, triplets: int) -> HycirSettings:
    """The recipe's numbers; a batch that was not asked for is as large as in the paper, or as there is data.

    Args:
        options: of the command.
        images: unlabelled ones, or captions, that there are.
        triplets: that there are.
    """
    recipe = options.recipe
    usual = HycirSettings()
    batches = {"images": options.batch_images, "triplets": options.batch_triplets}
    for name, there in (("images", images), ("triplets", triplets)):
        if batches[name] is None:
            batches[name] = min(getattr(usual, name), there) or 1
            if 0 < there < getattr(usual, name):
                say(f"There are {there} to learn from, so a batch has all of them: --batch-{name} {there}.")
    steps = options.steps or (usual.steps if options.minutes is None else sys.maxsize)
    return HycirSettings(
        **batches,
        tokens=options.tokens or (usual.tokens if recipe == "hycir" else 1),
        loss=options.loss if recipe == "hycir" else "zs-cir",
        rate=options.rate or usual.rate,
        steps=steps,
        minutes=options.minutes,
        seed=options.seed,
        mixed_precision=options.mixed_precision,
    )
