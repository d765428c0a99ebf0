"""`python -m cir galleries features`, and what `index --also` does at its end: features for methods that have their own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cir.application import build_composers, build_models
from cir.commands.console import print_json
from cir.composers.composer import gallery_encoder_of
from cir.errors import BadQuery
from cir.gallery.manifest import locate_gallery, read_manifest, refuse_other_models
from cir.gallery.spaces import SpaceProgress, add_space
from cir.models.model_set import WITHOUT, Models
from cir.models.protocols import ImageEncoder
from cir.places import gallery_cache
from cir.text import counted

SKIPPED_SHOWN = 5


def galleries_features(options: argparse.Namespace) -> int:
    """Encode a gallery's pictures for a method; what is there already stays."""
    models = build_models(options.models, llm=WITHOUT, device=options.device)
    folder = locate_gallery(options.name, gallery_cache())
    refuse_other_models(read_manifest(folder), models.clip.fingerprint, None)
    method, encoder = encoder_for(options.method, models)
    found = make_features(folder, encoder)
    if options.json:
        skipped = [{"file": file, "reason": reason} for file, reason in found.skipped]
        answer = {"gallery": options.name, "method": method, "images": found.done, "skipped": skipped}
        print_json(answer)
    else:
        sys.stdout.write(said(method, found))
    return 0


def encoder_for(asked: str, models: Models) -> tuple[str, ImageEncoder]:
    """A method by its name, in capitals or not, and what encodes galleries for it.

    Raises:
        BadQuery: no such method here, or one that compares with the features that every gallery has.
    """
    found = build_composers(models, only=[asked])
    for name, one in found.items():
        if (encoder := gallery_encoder_of(one)) is not None:
            return name, encoder
    own = [name for name, one in build_composers(models).items() if gallery_encoder_of(one)]
    choice = f"Choose one of: {', '.join(own)}." if own else "The methods of this set need none."
    if found:
        raise BadQuery(f"{asked} compares with the features that every gallery has.", choice)
    lacking = ("image tower", "towers")
    why = " ".join(text for what, text in models.missing.items() if what.startswith(lacking))
    raise BadQuery(f"There is no method called {asked!r} here. {why}".strip(), choice)


def make_features(folder: Path, encoder: ImageEncoder) -> SpaceProgress:
    """Encode what is not encoded yet, saying how far it is on standard error."""
    progress = SpaceProgress(0, 0)
    for progress in add_space(folder, encoder):
        sys.stderr.write(f"\rfeatures: {progress.done:,} of {progress.total:,}")
        sys.stderr.flush()
    sys.stderr.write("\n")
    return progress


def said(method: str, found: SpaceProgress) -> str:
    """What came of it, for people."""
    if not found.skipped:
        return f"{counted(found.done, 'picture')}: {method} can search them.\n"
    names = ", ".join(f"{file} ({reason})" for file, reason in found.skipped[:SKIPPED_SHOWN])
    return (
        f"{counted(len(found.skipped), 'picture')} could not be encoded, so {method} cannot search the gallery yet: {names}.\n"
        "Index the folder again, then: python -m cir galleries features\n"
    )
