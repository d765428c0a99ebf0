"""`python -m cir synthesize` and `python -m cir triplets`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from shlex import quote

import numpy as np
from PIL import Image

from cir.application import build_models, ingredients, open_for
from cir.cache_keys import code_digest, digest_of
from cir.commands.console import announce, print_json
from cir.composers.parameters import defaults
from cir.composers.registry import build_methods
from cir.durations import duration
from cir.errors import BadQuery, CirError, MissingModel
from cir.evaluation.method_code import method_code
from cir.files import display_name
from cir.gallery.gallery import Gallery
from cir.images import read_image
from cir.models.catalog import SHIPPED, sentence_encoder_folder
from cir.models.model_set import Models
from cir.models.protocols import SentenceEncoder, Spoter
from cir.models.server.address import Asking
from cir.ranking.retriever import Retriever
from cir.surroundings import ELSEWHERE, REMEDIES
from cir.syncir.candidates import unit_rows
from cir.syncir.consistency import Thresholds
from cir.syncir.exchange import pictures_of, read_foreign, to_cirr, with_places, write_cirr
from cir.syncir.judgements import apply_judgements, read_judgements
from cir.syncir.picture_names import pictures_of_triplets
from cir.syncir.pipeline import Progress, SynCirSettings
from cir.syncir.pipeline import synthesize as run_syncir
from cir.syncir.query_text import CaptionSpoter, TemplateSpoter
from cir.syncir.records import (
    Funnel,
    manifest_path,
    read_triplets,
    write_triplets,
)
from cir.text import counted
from cir.types import Features, Query, Triplet
from cir.whole_files import replacing, write_whole

PATIENCE_SECONDS = 120.0  # for one answer: nobody waits for it, and other work may share the machine
IMAGES_AT_A_TIME = 32


def synthesize(options: argparse.Namespace) -> int:
    """Make triplets; progress goes to standard error, the funnel to standard output."""
    settings = settings_of(options)
    models = build_models(options.models, llm=options.llm, device=options.device, asking=Asking.of(options))
    if options.spoter == "captions":
        announce(models)
    try:
        gallery = open_for(models, options.gallery)
        progress: Progress | None = None
        shown = 0.0
        for progress in run_syncir(
            gallery,
            build_spoter(models, options.spoter, options.template),
            build_sentence_encoder(options.sentence_encoder, options.pooling),
            options.out,
            settings=settings,
            limit=options.limit,
            resume=options.resume,
            target_ranker=build_target_ranker(models, gallery, options.engine_check),
            ranked_with=ranked_with(models, options.engine_check),
            features=_other_features(gallery, options.image_encoder),
        ):
            if time.monotonic() - shown > 1.0 or progress.done == progress.total:
                sys.stderr.write(f"\r{_line(progress):<79}")
                sys.stderr.flush()
                shown = time.monotonic()
        sys.stderr.write("\n")
    finally:
        models.close()
    assert progress is not None, "a run reports at least once"
    _print(progress.funnel, options.out, as_json=options.json)
    return 0


def triplets_export(options: argparse.Namespace) -> int:
    """Write a triplets file, as people judged it, as a data set in CIRR's layout, or its annotations alone."""
    alone = options.out.suffix == ".json"
    if alone:
        _refuse_existing(options.out)
    elif (options.out / "cirr" / "captions" / f"cap.rc2.{options.split}.json").exists():
        raise CirError(
            f"{options.out} has a split {options.split} already.", "Choose another --split, or folder."
        )
    judged = apply_judgements(read_triplets(options.file), read_judgements(options.file))
    _refuse_none(judged, options.file)
    root, places = pictures_of_triplets(options.file, judged, options.gallery)
    named = with_places(judged, places)
    rows = to_cirr(named, everything=options.everything)
    if named and not rows:
        raise CirError(
            f"None of the {counted(len(named), 'triplet')} is kept, so there is nothing to export.",
            "Those that were dropped are exported, too, with --everything.",
        )
    said = [f"{len(rows)} of {counted(len(judged), 'triplet')} written to {options.out}"]
    if len(named) < len(judged):
        lost = counted(len(judged) - len(named), "triplet")
        said.append(f"Left out, since their pictures are no longer in the gallery: {lost}")
    if alone:
        write_whole(options.out, json.dumps(rows).encode() + b"\n")
    else:
        copied = _copy_pictures(root, options.out, pictures_of(rows))
        write_cirr(options.out, rows, options.split)
        said.append(f"{counted(copied, 'picture')} copied from {root}")
        said.append(
            f"It is read by: python -m cir evaluate cirr --root {quote(str(options.out))} --split {options.split}"
        )
    sys.stdout.write("\n".join(said) + "\n")
    return 0


def _copy_pictures(root: Path, out: Path, names: Sequence[str]) -> int:
    """Copy pictures, under their paths, unless they are there already; gives how many were copied.

    Raises:
        CirError: one cannot be read, or written, or its name leads out of the folder.
    """
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CirError(
                f"{display_name(os.fsencode(name))} leads out of the folder of pictures.",
                "Name the gallery that the triplets were made from: --gallery NAME",
            )
    missing = [name for name in names if not (out / name).exists()]
    for name in missing:
        try:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            _copy_whole(root / name, out / name)
        except OSError as error:
            gone = "Bring its gallery up to date (python -m cir index PHOTOS), then export again."
            raise CirError(
                f"{display_name(os.fsencode(name))} cannot be copied: {(error.strerror or 'unknown').lower()}.",
                gone if isinstance(error, FileNotFoundError) else REMEDIES.get(error.errno or 0, ELSEWHERE),
            ) from error
    return len(missing)


def _copy_whole(picture: Path, place: Path) -> None:
    """Copy a picture whole or not at all: half of one would count as there the next time."""
    with replacing(place, durable=False) as draft:
        shutil.copyfile(picture, draft)


def triplets_import(options: argparse.Namespace) -> int:
    """Read another project's triplets and write them as ours, to be looked at."""
    _refuse_existing(options.out)
    found = read_foreign(options.file)
    _refuse_none(found, options.file)
    count = write_triplets(options.out, found)
    sys.stdout.write(f"{counted(count, 'triplet')} written to {options.out}\n")
    return 0


def _refuse_none(found: Sequence[Triplet], file: Path) -> None:
    if not found:
        raise CirError(f"There is no triplet in {file.name}.", "Choose another file.")


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise CirError(f"{out.name} is there already.", "Choose another name, or remove it first.")
    if not out.parent.is_dir():
        raise CirError(f"There is no folder {out.parent}.", "Make it first, or choose another place.")


def settings_of(options: argparse.Namespace) -> SynCirSettings:
    """What the options ask for, checked before anything is loaded.

    Raises:
        CirError: a threshold that cannot be, or one that nothing is measured for.
    """
    if options.max_target_rank is not None and not options.engine_check:
        raise CirError(
            "A highest target rank was given, but no method to find the rank with.",
            "Name one as well: --engine-check CVSI",
        )
    thresholds = Thresholds(
        options.threshold, options.near_duplicate, options.gap, max_target_rank=options.max_target_rank
    )
    return SynCirSettings(thresholds, options.reading, options.combine, options.seed)


def build_spoter(models: Models, spoter: str = "captions", template: str = "examples") -> Spoter:
    """The writer of texts, as `--spoter` names it.

    "captions" asks the language model, "templates" none; "delta" and the multimodal model of a folder look at both pictures.

    Raises:
        MissingModel: the model is not here.
        BadQuery: "delta" was made for the captioner of another set.
    """
    if spoter == "templates":
        return TemplateSpoter()
    if spoter == "delta":
        return build_delta(models)
    if spoter != "captions":
        from cir.models.multimodal_spoter import load_multimodal_spoter

        return load_multimodal_spoter(Path(spoter).expanduser())
    if models.language_model is None:
        raise MissingModel(
            f"Texts are written by the language model. {models.why_no_language_model}",
            "Or let a multimodal model write them: --spoter FOLDER",
        )
    models.language_model.deadline_seconds = PATIENCE_SECONDS
    return CaptionSpoter(models.language_model, template)


def build_delta(models: Models) -> Spoter:
    """VDG's generator over the set's captioner. A photograph gets no text: the generator knows drawings.

    Raises:
        MissingModel: it is not here, or the captioner.
        BadQuery: it was made for another captioner.
    """
    from cir.models.delta_generator import load_delta

    captioner, photographs = models.captioner, models.photographs
    if captioner is None:
        raise MissingModel(
            f"Texts are written by the captioner. {models.missing['captioner']}",
            "Or let the captions be compared: leave --spoter out.",
        )

    def is_drawing(picture: Image.Image) -> bool:
        return photographs is None or float(photographs.shares([picture])[0]) < 0.5

    path = SHIPPED / "methods" / "delta.safetensors"
    return load_delta(path, getattr(captioner, "drawings", captioner), is_drawing=is_drawing)


def build_sentence_encoder(folder: str | None = None, pooling: str = "mean") -> SentenceEncoder:
    """The sentence encoder of a folder; all-MiniLM-L6-v2 by default.

    Raises:
        MissingModel: it is not here.
    """
    from cir.models.sentence_encoder import load_sentence_encoder

    place = Path(folder).expanduser() if folder else sentence_encoder_folder()
    return load_sentence_encoder(place, pooling=pooling)


def build_target_ranker(
    models: Models, gallery: Gallery, method: str | None
) -> Callable[[Triplet], int] | None:
    """Ranks a triplet's target by searching the gallery with a method's own weights; None for no method.

    Raises:
        BadQuery: no such method.
    """
    if not method:
        return None
    made = build_methods(ingredients(models, only=[method]), [method])
    if not made:
        names = ", ".join(build_methods(ingredients(models)))
        raise BadQuery(f"There is no method called {method!r} here.", f"Choose one of: {names}.")
    retriever, name = Retriever(gallery, made), next(iter(made))

    def rank(triplet: Triplet) -> int:
        image = read_image(gallery.image_path(triplet.reference_id))
        *_, composed = retriever.compose(Query(image, triplet.text), name)
        values = defaults(retriever.composers[name].parameters)
        return retriever.rank_of(composed, values, triplet.target_id, exclude=[triplet.reference_id])

    return rank


def ranked_with(models: Models, method: str | None) -> str:
    """What the ranks of targets depend on, beside the gallery: the method, the program and the models that are open for it."""
    if not method:
        return ""
    return f"{method.lower()} {digest_of(models.opened, method_code(method), code_digest('ranking'))}"


def _other_features(gallery: Gallery, image_encoder: str) -> tuple[str, Features] | None:
    """Features of another image encoder, made now; None for the gallery's own."""
    if image_encoder == "clip":
        return None
    from cir.models.resnet import load_resnet

    encoder = load_resnet(None if image_encoder == "resnet152" else Path(image_encoder).expanduser())
    rows = []
    for start in range(0, len(gallery), IMAGES_AT_A_TIME):
        ids = gallery.image_ids[start : start + IMAGES_AT_A_TIME]
        rows.append(encoder.encode_images([read_image(gallery.image_path(one)) for one in ids]))
        sys.stderr.write(f"\rreading images: {start + len(ids)} of {len(gallery)}   ")
        sys.stderr.flush()
    return encoder.fingerprint, unit_rows(np.concatenate(rows))


def _line(progress: Progress) -> str:
    left = f", {duration(progress.eta_seconds)} left" if progress.eta_seconds else ""
    return f"{progress.done} of {counted(progress.total, 'pair')}, {progress.kept} kept{left}"


def _print(funnel: Funnel, out: Path, *, as_json: bool) -> None:
    if as_json:
        answer = {"file": str(out), "manifest": str(manifest_path(out)), "funnel": asdict(funnel)}
        print_json(answer)
        return
    rows = [
        ("images", funnel.images, f"{funnel.uncaptioned} without a caption" if funnel.uncaptioned else ""),
        ("groups", funnel.groups, f"{counted(funnel.ungrouped, 'image')} found none"),
        ("pairs", funnel.pairs, f"{funnel.repeated} repeated ones left out"),
        ("done", funnel.done, ""),
        ("texts", funnel.texts, ""),
        ("kept", funnel.kept, ", ".join(f"{count} {reason}" for reason, count in funnel.dropped.items())),
    ]
    for name, count, note in rows:
        sys.stdout.write(f"{name:<7} {count:7d}  {note}".rstrip() + "\n")
