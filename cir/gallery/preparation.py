"""What an indexing run begins with: its folder, what is known from an earlier run, which models take part."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from cir.errors import GalleryError
from cir.exclusions import Patterns
from cir.gallery.cache import GalleryCache
from cir.gallery.left_out import LeftOut, LeftOutList, summary
from cir.gallery.manifest import MANIFEST, Manifest, Models, read_manifest
from cir.gallery.sources import refuse_other_pictures
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.walking import walk_images


def no_images(root: Path, left_out: Sequence[LeftOut] = ()) -> GalleryError:
    """The error for a folder without images, which says what was left out instead."""
    told = summary(left_out)
    message = f"There are no images in {root.name}." + (f" Left out: {told}." if told else "")
    return GalleryError(message, "Choose a folder that holds some.")


def refuse_without_images(root: Path, barred: Collection[Path], exclude: Sequence[str]) -> None:
    """See to it that there is something to index.

    Raises:
        GalleryError: no file below `root` may be an image.
    """
    left_out = LeftOutList()
    walked = walk_images(root, exclude=barred, patterns=Patterns(exclude), left_out=left_out.add)
    if all(file.skip_reason for file in walked):
        raise no_images(root, left_out.rows())


def earlier_manifest(cache: GalleryCache, root: Path) -> Manifest | None:
    """The manifest of an earlier run over the same folder, or over one that was moved to here.

    Raises:
        GalleryError: the gallery is another folder's.
    """
    refuse_other_pictures(cache.folder, root)
    if not (cache.folder / MANIFEST).exists():
        return None
    try:
        return read_manifest(cache.folder)
    except GalleryError:
        cache.notes.append("The manifest was damaged or outdated, and is written anew.")
        return None


def note_other_models(cache: GalleryCache, before: Manifest | None, image_encoder: ImageEncoder) -> None:
    """Say that the models change by which a gallery can be searched: a page with the former ones refuses it from now on."""
    if before is not None and before.models.image_encoder != image_encoder.fingerprint:
        cache.notes.append(
            f"{before.name} was made with {before.models.image_encoder}, and is searched with {image_encoder.fingerprint} "
            "from now on. What was made before is kept, and counts again once it is indexed with those models."
        )


def models_of_run(
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder | None,
    captioner: Captioner | None,
    captions_per_image: int,
    before: Manifest | None,
) -> Models:
    """The fingerprints of this run; what it was not given stays as it was, as long as that still fits."""
    models = Models(image_encoder.fingerprint)
    if captioner is not None:
        models = replace(models, captioner=captioner.fingerprint, captions_per_image=captions_per_image)
    elif before is not None:
        earlier = before.models
        models = replace(models, captioner=earlier.captioner, captions_per_image=earlier.captions_per_image)
    if text_encoder is not None:
        return replace(models, text_encoder=text_encoder.fingerprint)
    if before is not None and before.models.image_encoder == models.image_encoder:
        return replace(models, text_encoder=before.models.text_encoder)
    return models
