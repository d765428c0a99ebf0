"""HyCIR's recipe on triplets of one's own: a network for one gallery, and what it is worth.

A newer network for a gallery takes the place of the one before. Triplets of some groups are held back: the network is
asked about them when it is made, and so is the set's own. Knows neither the page nor the methods.

Source: HyCIR, "Hybrid training"; what is smaller here is the batch, and the time.
"""

from __future__ import annotations

import copy
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cir.cache_keys import digest_of, keyed_folder
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.models.clip import ClipModel
from cir.models.mapping import MappingNetwork, save_mapping
from cir.models.own_networks import OwnNetworks
from cir.text import counted
from cir.training.hycir import HycirSettings, HycirTraining, composed_rows, training_inputs
from cir.training.on_gallery import about, features_of
from cir.types import TrainedNetwork, TrainingStep, Triplet

MINUTES = 4.0
IMAGES, TRIPLETS = 256, 128  # of a batch; all of them where there are fewer
LEAST = 16  # triplets to learn from: fewer teach nothing but themselves
ONE_IN, MOST_HELD = 10, 200  # groups whose triplets are held back, and triplets that are asked about at most
AMONG = 10  # the first results, in which a target counts as found


def train_on_triplets(
    networks: OwnNetworks,
    triplets: Sequence[Triplet],
    gallery: Gallery,
    title: str,
    *,
    minutes: float = MINUTES,
) -> Iterator[TrainingStep | TrainedNetwork]:
    """Train a network a step at a time, and keep it. Closed before its end, it is gone on with by the same call.

    Args:
        networks: where it goes, and whose CLIP it is for.
        triplets: kept ones, with their texts.
        gallery: that they were made from, with features of that CLIP.
        title: how people call it.
        minutes: of training.

    Raises:
        CirError: too few triplets, or pictures that are not in the gallery.
    """
    models, clip = networks.models, networks.models.tower
    _refuse_other_pictures(triplets, gallery)
    learn, held = held_back(triplets)
    learned = features_of(learn, gallery)
    images = raw_images(gallery)
    settings = HycirSettings(
        images=min(IMAGES, len(images)),
        triplets=min(TRIPLETS, len(learned)),
        steps=sys.maxsize,
        minutes=minutes,
        save_every=sys.maxsize,  # when it is stopped, and at its end
    )
    folder = keyed_folder(
        networks.folder, "unfinished", training_inputs(clip, settings, images, *learned.contents)
    )
    training = HycirTraining(clip, images, learned, settings, folder)
    row: dict[str, float] = {}
    try:
        for row in training.run():
            yield TrainingStep(training.step, row["loss"], max(0.0, 60.0 * minutes - row["seconds"]))
    finally:
        if row and not training.done:
            training.save(row)
    name, network = f"HyCIR on {title}", training.trained()
    found, own = found_among_first(clip, network, held, gallery), models.phi("hycir")
    before = (
        None
        if own is None
        else found_among_first(clip, copy.deepcopy(cast(MappingNetwork, own.network)), held, gallery)
    )  # a copy, as it may have to go to another device
    record = {
        "recipe": "hycir",
        "method": name,
        "normalise_input": False,
        "model_set": models.name,
        "trained_for": clip.fingerprint,
        "triplets": len(learned),
        "held_back": len(held),
        f"found_among_{AMONG}": round(found, 4),
        **about(gallery),
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "settings": asdict(settings),
        "date": time.strftime("%Y-%m-%d"),
    }
    save_mapping(network.cpu().half(), networks.path(name), record)
    shutil.rmtree(folder, ignore_errors=True)
    yield TrainedNetwork(name, len(learned), len(held), found, before)


def held_back(triplets: Sequence[Triplet]) -> tuple[Sequence[Triplet], Sequence[Triplet]]:
    """Triplets to learn from, and those to be asked about: whole groups, as the triplets of one share pictures.

    Raises:
        CirError: there are too few.
    """
    groups = [t.members[0] if t.members else t.reference_id for t in triplets]
    is_held = [int(digest_of(group), 16) % ONE_IN == 0 for group in groups]
    learn = [t for t, held in zip(triplets, is_held, strict=True) if not held]
    if len(learn) < LEAST:
        raise CirError(
            f"{counted(len(learn), 'triplet')} can be learned from, and {LEAST} are the least that teach anything.",
            "Make more, or lower the threshold.",
        )
    return learn, [t for t, held in zip(triplets, is_held, strict=True) if held][:MOST_HELD]


def raw_images(gallery: Gallery) -> NDArray[np.float32]:
    """(K, D) features of all images as the encoder gave them."""
    return np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids])


def found_among_first(
    clip: ClipModel, network: MappingNetwork, asked: Sequence[Triplet], gallery: Gallery
) -> float:
    """Share of triplets whose target is among the first ten, the reference left out; 0 of none."""
    if not asked:
        return 0.0
    features, each = features_of(asked, gallery), np.arange(len(asked))
    rows = composed_rows(clip, network.to(clip.device).float(), features.references, features.texts)
    images = raw_images(gallery)
    scores = rows @ (images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-12)).T
    scores[each, [gallery.find(t.reference_id) for t in asked]] = -np.inf
    better = (scores > scores[each, features.target_ids][:, None]).sum(axis=1)
    return float((better < AMONG).mean())


def _refuse_other_pictures(triplets: Sequence[Triplet], gallery: Gallery) -> None:
    there = set(gallery.image_ids)
    gone = sum(not {t.reference_id, t.target_id} <= there for t in triplets)
    if gone:
        raise CirError(
            f"The pictures of {counted(gone, 'triplet')} are not in {gallery.name}.",
            "Choose the gallery that they were made from.",
        )
