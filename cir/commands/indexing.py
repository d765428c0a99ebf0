"""`python -m cir index`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial
from shlex import quote

from cir.application import build_encoders, build_models, open_for
from cir.commands.console import IndexProgress, print_json
from cir.commands.features import encoder_for, make_features, said
from cir.errors import GalleryError
from cir.exclusions import read_patterns
from cir.gallery.encoding import Encoders, Workers
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.left_out import LeftOut
from cir.gallery.manifest import gallery_folder, refusal_of_none
from cir.gallery.opening import STORED_FROM
from cir.gallery.ray_cluster import connected
from cir.gallery.sources import name_gallery
from cir.places import gallery_cache
from cir.ranking.engines import DEFAULT, open_engine
from cir.ranking.scoring import Linear

NAMES_SHOWN = 5  # of each reason


def index(options: argparse.Namespace) -> int:
    """Index a folder; progress goes to standard error, the summary to standard output."""
    # On Ray the models are needed elsewhere: here it is enough to know which they are.
    models_of = cache(
        partial(
            build_models,
            options.models,
            llm=options.llm,
            device=options.device,
            deferred=options.ray is not None,
        )
    )
    naming = name_gallery(
        gallery_cache(),
        options.folder,
        options.name or "",
        another=options.another,
        image_encoder=lambda: models_of().clip.fingerprint,
    )
    name = naming.name
    for note in naming.notes:
        sys.stderr.write(f"{note}\n")
    exclude = None if options.exclude is None else read_patterns(options.exclude)
    models = models_of()
    captioner = None if options.no_captions else models.captioner
    encoders = Encoders(models.clip, models.text_encoder, captioner)
    others = dict(encoder_for(method, models) for method in options.also or ())
    progress: IndexingProgress | None = None
    shown = 0.0
    with _workers(options, encoders) as workers:
        for progress in index_folder(
            options.folder,
            name=name,
            image_encoder=encoders.images,
            text_encoder=encoders.texts,
            captioner=captioner,
            captions_per_image=options.captions_per_image,
            cache_root=gallery_cache(),
            batch_size=options.batch_size,
            confirm_purge=options.confirm_purge,
            rehash=options.rehash,
            exclude=exclude,
            workers=workers,
        ):
            if time.monotonic() - shown > 1.0 or progress.done == progress.total:
                sys.stderr.write(f"\r{_line(progress):<79}")
                sys.stderr.flush()
                shown = time.monotonic()
    sys.stderr.write("\n")
    assert progress is not None, "a run has at least one progress, or ends in an error"
    also = {
        method: make_features(gallery_folder(gallery_cache(), name), one) for method, one in others.items()
    }
    recall = _build_index(open_for(models, name), options.engine) if options.engine != DEFAULT else None
    if (
        options.engine == DEFAULT and progress.images >= STORED_FROM
    ):  # so that the first search need not wait for it
        open_engine(open_for(models, name)).prepare()
    if options.json:
        answer = {
            "gallery": name,
            "images": progress.images,
            "left_out": [asdict(row) for row in progress.left_out],
            "notes": list(progress.notes),
            "skipped": [{"file": file, "reason": reason} for file, reason in progress.skipped],
            "missing": dict(models.missing),
        }
        if also:
            answer["also"] = {method: found.done for method, found in also.items()}
        if recall is not None:
            answer["engine"] = {"name": options.engine, "recall_at_10": recall}
        print_json(answer)
        return _status(name, progress)
    for note in progress.notes:
        sys.stdout.write(f"{note}\n")
    for row in progress.left_out:
        sys.stdout.write(_left_out(row) + "\n")
    for method, found in also.items():
        sys.stdout.write(said(method, found))
    if recall is not None:
        sys.stdout.write(
            f"Its index finds {100 * recall:.1f} % of the true 10 best, measured on held queries.\n"
        )
    if status := _status(name, progress):
        return status
    chosen = "" if options.models == "embedded" else f" --models {quote(options.models)}"
    sys.stdout.write(
        f"{name} is ready. Search it: python -m cir search{chosen} --gallery {quote(name)} --image FILE --text EDIT\n"
    )
    return 0


def _status(name: str, progress: IndexingProgress) -> int:
    """0; 2, and a sentence, where no picture could be read: then there is nothing to search."""
    if progress.images:
        return 0
    refusal = refusal_of_none(name)
    sys.stderr.write(f"{refusal.message}\n{refusal.remedy}\n")
    return 2


@contextmanager
def _workers(options: argparse.Namespace, encoders: Encoders) -> Iterator[Workers | None]:
    """Who reads and encodes: this process (None), or a Ray cluster, as long as this lasts."""
    if options.ray is None:
        yield None
        return
    build = partial(build_encoders, options.models, device=options.device, captions=not options.no_captions)
    with connected(options.ray):
        from cir.gallery.on_ray import RayWorkers  # it brings ray

        yield RayWorkers(build, encoders.fingerprints, gpus=options.device != "cpu")


def _build_index(gallery: Gallery, engine_name: str) -> float:
    """Build what an engine needs of a gallery; how many of the true 10 best it then finds."""
    engine = open_engine(gallery, engine_name)
    engine.prepare(IndexProgress())
    promise = engine.promise(Linear({}))
    if promise.engine == DEFAULT:
        raise GalleryError(promise.note, "It can be searched without an index: --engine exact")
    return promise.recall


def _left_out(row: LeftOut) -> str:
    """One reason, how many files it left out, and which."""
    rest = ", ..." if len(row.names) > NAMES_SHOWN else ""
    word = "skipped" if row.is_problem else "left out"
    return f"{word} {row.pictures:,}: {row.reason}: {', '.join(row.names[:NAMES_SHOWN])}{rest}"


def _line(progress: IndexingProgress) -> str:
    eta = f", {progress.eta_seconds:.0f} s left" if progress.eta_seconds else ""
    speed = f", {progress.images_per_second:.1f} a second" if progress.images_per_second else ""
    return (
        f"{progress.stage}: {progress.done} of {progress.total}{speed}{eta}, {len(progress.skipped)} skipped"
    )
