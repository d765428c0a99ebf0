"""`python -m cir world`: the benchmark, the sample galleries, and a pool to make triplets from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cir.application import build_models, open_for
from cir.commands.features import make_features
from cir.errors import CirError
from cir.evaluation.benchmark import FOLDER, draw_benchmark, write_benchmark
from cir.evaluation.sample import draw_pool, draw_sample
from cir.gallery.indexing import index_folder
from cir.gallery.upkeep import pack_gallery
from cir.models.model_set import Models
from cir.places import (
    ROOT,
    SAMPLE_FAMILIES,
    SAMPLE_GALLERY,
    SAMPLE_PHOTOGRAPHS,
    SHIPPED_TRIPLETS,
    made_anew,
)
from cir.syncir.excerpt import excerpt, excerpt_manifest
from cir.syncir.library import settings_of
from cir.syncir.picture_names import pictures_of_triplets
from cir.syncir.records import read_manifest, read_triplets, write_manifest, write_triplets
from cir.text import counted
from cir.whole_files import write_whole

# Queries, gallery, seed. Both have the same make-up, so that weights found on one suit the other.
BENCHMARKS = {"world": (1000, 5000, 2026), "world-validation": (300, 1500, 11)}


def world_benchmark(options: argparse.Namespace) -> int:
    """Draw both splits into assets/benchmark. The same seeds draw the same."""
    folder = made_anew(FOLDER)
    for name, (queries, gallery, seed) in BENCHMARKS.items():
        write_benchmark(draw_benchmark(queries=queries, gallery=gallery, seed=seed), name, folder)
        sys.stdout.write(f"{name}: {counted(queries, 'query', 'queries')} over {counted(gallery, 'scene')}\n")
    return 0


def world_gallery(options: argparse.Namespace) -> int:
    """Draw the sample gallery, index it and the sample photographs with the embedded models, and pack both for shipping."""
    images = made_anew(SAMPLE_GALLERY) / "images"
    if not images.exists():
        for done in draw_sample(SAMPLE_GALLERY):
            sys.stderr.write(f"\rdrawn: {done}")
    models = build_models("embedded")
    for folder in (SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS):
        _index_and_pack(folder, models)
    return 0


def world_pool(options: argparse.Namespace) -> int:
    """Draw pictures for SynCir into a folder that has none yet. The same count and seed draw the same.

    Raises:
        CirError: the folder has pictures already, or fewer than one are asked for.
    """
    images = options.out / "images"
    if options.count < 1:
        raise CirError(
            f"{counted(options.count, 'picture')} cannot be drawn.", "Ask for at least one: --count 6480"
        )
    if images.exists() and any(images.iterdir()):
        raise CirError(f"There are files in {images} already.", "Name another folder, or delete that one.")
    for done in draw_pool(options.out, count=options.count, seed=options.seed):
        sys.stderr.write(f"\rdrawn: {done}")
    sys.stdout.write(f"\n{counted(options.count, 'picture')} in {images}\n")
    return 0


def world_families(options: argparse.Namespace) -> int:
    """The sample of scenes that are edits of each other: a part of a pool's triplets, and the pictures that it needs.

    Raises:
        CirError: the triplets' pictures are not here, or their ids would be others in the sample.
    """
    folder, file = made_anew(SAMPLE_FAMILIES), SHIPPED_TRIPLETS / "families.jsonl"
    part = excerpt(read_triplets(options.triplets), options.count)
    root, places = pictures_of_triplets(options.triplets, part, options.gallery)
    shown = sorted({one for row in part for one in (row.reference_id, row.target_id, *row.members)})
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for image_id in shown:
        write_whole(folder / "images" / places[image_id], (root / places[image_id]).read_bytes())
    models = build_models("embedded", llm="none")
    _index_and_pack(folder, models)
    whole, gallery = read_manifest(options.triplets), open_for(models, str(folder))
    write_triplets(file, part)
    write_manifest(file, excerpt_manifest(whole, part, gallery, settings_of(whole)))
    sys.stdout.write(f"{counted(len(part), 'triplet')} of {counted(len(shown), 'picture')}\n")
    return 0


def _index_and_pack(folder: Path, models: Models) -> None:
    """Make what is shipped of the pictures that lie in `images` of a folder."""
    for progress in index_folder(
        folder / "images",
        name=folder.name,
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=models.captioner,
        captions_per_image=5,
        cache_root=folder.parent,
        thumbnails=False,
    ):
        sys.stderr.write(f"\r{progress.stage}: {progress.done} of {progress.total}   ")
        sys.stderr.flush()
    own = [encoder for recipe in models.set.encoders if (encoder := models.encoder(recipe)) is not None]
    for encoder in own:
        make_features(folder, encoder)
    pack_gallery(
        folder, half=True, spaces=[one.fingerprint for one in own]
    )  # half the size to ship; no place in any result changes
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    sys.stdout.write(f"\n{folder.relative_to(ROOT)}: {size / 1e6:.1f} MB\n")
