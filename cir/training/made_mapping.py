"""The mapping network that a set's CLIP is given on this computer, where nobody publishes one.

A quarter of an hour at the first time; stopped, it goes on; made, it lies in the models folder with the fingerprint of the
CLIP that it was made for. Joins the texts (`cir.training.plain_captions`) with what learns from them
(`cir.training.text_phi`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cir.cache_keys import keyed_folder
from cir.models.catalog import is_here, made_file
from cir.models.clip import ClipModel
from cir.models.mapping import save_mapping
from cir.models.model_set import Models
from cir.training.hycir import HycirSettings, training_inputs
from cir.training.plain_captions import (
    plain_captions,
    plain_nouns,
    plain_words,
    words_of,
    world_captions,
)
from cir.training.text_phi import Say, TextPhiTraining

Texts = Literal["plain", "world"]
MINUTES = 15.0
# Of few and long steps: on one core, a ViT-B/16's text tower makes about a hundred of them in a quarter of an hour.
BATCH, RATE, SAVED_EVERY = 128, 1e-3, 10


@dataclass(frozen=True, slots=True)
class Source:
    """Texts to learn from, and the words whose embeddings are known."""

    captions: list[str]
    words: list[str]


def source_of(texts: Texts, seed: int = 0) -> Source:
    """Captions of our own: of the things of ImageNet, or of the illustrated world."""
    if texts == "world":
        captions = world_captions(seed=seed)
        return Source(captions, words_of(captions))
    return Source(plain_captions(plain_nouns(), seed=seed), plain_words())


def make_mapping(
    clip: ClipModel,
    out: Path,
    *,
    model_set: str,
    runs: Path,
    texts: Texts = "plain",
    minutes: float = MINUTES,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Path:
    """Make a network for a CLIP and write it, as safetensors of half precision.

    Args:
        clip: whose words it says.
        out: where it goes.
        model_set: whose CLIP this is.
        runs: the training's checkpoint is kept below it, and gone on with.
        texts: what is learned from.
        minutes: of LinCIR's steps after the closed form; 0 for the closed form alone.
        seed: of the texts and the steps.
        say: told how far it is.

    Raises:
        CirError: the tokenizer has hardly any of the words.
    """
    say("making captions")
    source = source_of(texts, seed)
    settings = HycirSettings(
        tokens=1,
        images=BATCH,
        rate=RATE,
        steps=10**9,
        minutes=max(minutes, 1e-9),
        hidden=(2 * clip.dim, 2 * clip.dim),
        seed=seed,
        save_every=SAVED_EVERY,
    )
    inputs = training_inputs(clip, settings, source.captions, source.words)
    del inputs["minutes"], inputs["steps"]  # a training may become longer
    folder = keyed_folder(runs, f"mapping-texts-{model_set}", inputs)
    training = TextPhiTraining(clip, source.captions, source.words, settings, folder, say)
    for row in training.run() if minutes > 0 else ():
        left = 60.0 * minutes - row["seconds"]
        say(f"step {row['step']:.0f}, loss {row['loss']:.3f}, {max(0.0, left) / 60:.1f} minutes left")
    record = {
        "recipe": "lincir",
        "normalise_input": True,
        "model_set": model_set,
        "trained_for": clip.fingerprint,
        "texts": texts,
        "captions": len(source.captions),
        "words": len(source.words),
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "settings": asdict(training.settings),
        "date": time.strftime("%Y-%m-%d"),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_mapping(training.trained().cpu().half(), out, record)
    return out


def make_missing(
    models: Models, folder: Path, *, minutes: float = MINUTES, say: Callable[[str], None]
) -> list[str]:
    """Make the networks of a set that can be made and are not here.

    Args:
        models: the set's.
        folder: the models folder.
        minutes: for each.
        say: told how far it is.

    Returns:
        Names of what was made now.

    Raises:
        MissingModel: the set's CLIP is not here.
    """
    wanted = [part for part in models.set.mapping.values() if part.made and not is_here(part, folder)]
    for part in wanted:
        out = made_file(part, folder)
        make_mapping(models.tower, out, model_set=models.name, runs=out.parent, minutes=minutes, say=say)
    return [part.name for part in wanted]
