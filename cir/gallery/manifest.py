"""What a gallery on disk says about itself, and how galleries are called.

The manifest is written last: what it names is whole. It knows neither sqlite nor features.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from cir.errors import GalleryError, OtherModels
from cir.files import display_name, name_of
from cir.pixels import READER_VERSION
from cir.places import sample_called
from cir.whole_files import write_whole

SCHEMA = 1
# the layout of a gallery's folder
MANIFEST, ROWS, FEATURES, THUMBNAILS = "manifest.json", "rows.sqlite", "features", "thumbnails"
SPACES = "spaces"  # what engines keep of features by other encoders
SOURCE = "source"  # the folder of the images, for a run that ended before there was a manifest
LOCK, LOCK_HOLDER = "lock", "lock.pid"
MOST_CHARACTERS, MOST_BYTES = 79, 255  # of a name
# What the program keeps beside the galleries. One of such a name would mix with it, and be deleted with it.
PROGRAMS_FOLDERS = ("benchmark", "evaluations", "networks", "served", "triplets")


@dataclass(frozen=True, slots=True)
class Models:
    """The fingerprints of the models that made a gallery; "" for one that took no part."""

    image_encoder: str
    text_encoder: str = ""
    captioner: str = ""
    captions_per_image: int = 0

    @property
    def fingerprints(self) -> dict[str, str]:
        """Model -> fingerprint."""
        return {
            "image_encoder": self.image_encoder,
            "text_encoder": self.text_encoder,
            "captioner": self.captioner,
        }

    @property
    def image_key(self) -> str:
        """Under which image features are kept."""
        return image_key(self.image_encoder)

    @property
    def captions_key(self) -> str:
        """Under which captions are kept: not the encoder, so changing CLIP loses none of them."""
        return _key("captions", self.captioner, self.captions_per_image)

    @property
    def caption_features_key(self) -> str:
        """Under which mean caption features are kept."""
        return _key("caption features", self.text_encoder, self.captions_key)


def moment() -> str:
    """Now, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One gallery, as far as it is finished.

    Attributes:
        name: what it is called.
        source_root: the folder of its images; a relative path begins at the gallery's own folder.
        models: who made it.
        images, captioned: how many images have features, and how many of them caption features.
        dim: D, the length of a feature row.
        packed: whether it is shipped: read only, one shard of each kind, images beside it.
        preprocess: how images were read.
        schema: version of the layout.
        written: UTC, ISO 8601.
        former_names: what it was called before it was renamed, the first one first.
    """

    name: str
    source_root: str
    models: Models
    images: int
    captioned: int
    dim: int
    packed: bool = False
    preprocess: str = READER_VERSION
    schema: int = SCHEMA
    written: str = field(default_factory=moment)
    former_names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class GallerySummary:
    """A gallery that is on disk, without its features.

    Attributes:
        name: what it is called.
        folder: where it is kept.
        images, captioned: how many images have features, and how many of them caption features.
        fingerprints: model -> what made it.
        problem, remedy: why it cannot be opened, and what to do on the command line; or "".
        root: the folder of its images, where it is known.
        former_names: what it was called before.
    """

    name: str
    folder: Path
    images: int = 0
    captioned: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    root: Path | None = None
    remedy: str = ""
    former_names: Sequence[str] = ()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of the gallery in `folder`, whole or not at all."""
    text = json.dumps(asdict(manifest), indent=1)  # ASCII: a root that is not UTF-8 survives as escapes
    write_whole(folder / MANIFEST, text.encode("ascii"))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the gallery in `folder`.

    Raises:
        GalleryError: there is none, or it is damaged, or of another version.
    """
    name = name_of(folder)
    again = "Index it again: python -m cir index PHOTOS"
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    except FileNotFoundError as error:
        if (folder / ROWS).exists():
            message = f"The indexing of {name} was not finished."
            root = noted_source(folder)
            photos = "PHOTOS" if root is None else quote(display_name(os.fsencode(root)))
            raise GalleryError(message, f"Go on with it: python -m cir index {photos}") from error
        raise GalleryError(f"There is no gallery {name}.", "Make it: python -m cir index PHOTOS") from error
    except (OSError, ValueError) as error:
        raise GalleryError(f"The manifest of {name} cannot be read.", again) from error
    try:
        schema = data["schema"]
        manifest = Manifest(**{**data, "models": Models(**data["models"])})
    except (KeyError, TypeError) as error:
        raise GalleryError(f"The manifest of {name} is damaged.", again) from error
    if schema != SCHEMA:
        raise GalleryError(f"{name} was made by another version of this program.", again)
    return manifest


def source_root_of(folder: Path, manifest: Manifest) -> Path:
    """The folder of a gallery's images."""
    return folder / manifest.source_root  # an absolute source root replaces the folder


def remember_source(folder: Path, root: Path) -> None:
    """Note where the images are while there is no manifest, so that a run that was cut off can go on."""
    if not (folder / MANIFEST).exists():
        write_whole(folder / SOURCE, os.fsencode(as_source_root(folder, root)))


def refuse_other_models(manifest: Manifest, image_encoder: str, text_encoder: str | None) -> None:
    """See to it that a gallery was made by these models.

    Raises:
        OtherModels: other models made it.
        GalleryError: its images were read in another way.
    """
    made, again = manifest.models, "Index it again: python -m cir index PHOTOS"
    other = "Search it with the set that made it, or index it again with this one: python -m cir index PHOTOS --models NAME"
    if made.image_encoder != image_encoder:
        message = f"{manifest.name} was made with {made.image_encoder}, but the app now uses {image_encoder}."
        raise OtherModels(message, other)
    if manifest.captioned and text_encoder is not None and made.text_encoder != text_encoder:
        message = (
            f"The captions of {manifest.name} were encoded with {made.text_encoder}, not with {text_encoder}."
        )
        raise OtherModels(message, other)
    if manifest.preprocess != READER_VERSION:
        raise GalleryError(f"{manifest.name} was made when images were read in another way.", again)


def as_source_root(folder: Path, root: Path) -> str:
    """How the manifest names `root`: relative inside the gallery's folder, so that both can be moved."""
    if root.is_relative_to(folder):
        return root.relative_to(folder).as_posix()
    return os.fspath(root)


def gallery_folder(cache_root: Path, name: str) -> Path:
    """The folder of gallery `name`.

    Raises:
        GalleryError: a name that could lead out of the cache, or to what the program keeps there.
    """
    if len(name) > MOST_CHARACTERS or len(name.encode("utf-8", "replace")) > MOST_BYTES:
        raise GalleryError(
            f"{name[:40]!r} ... is too long for the name of a gallery.",
            f"Use at most {MOST_CHARACTERS} letters.",
        )
    begins_well = name[:1].isalnum() or name[:1] == "_"
    if not (begins_well and all(map(_may_stand, name))) or name.endswith((".", " ")):
        remedy = "Use letters, digits, spaces and . - _ ( ) +, beginning with a letter or digit."
        raise GalleryError(f"{name[:40]!r} cannot be the name of a gallery.", remedy)
    if is_programs_own(name) and not any((cache_root / name / mark).is_file() for mark in (MANIFEST, ROWS)):
        why = (
            "one that comes with the program is called so"
            if sample_called(name)
            else "the program keeps other things in that folder"
        )
        raise GalleryError(f"{name!r} cannot be the name of a gallery: {why}.", "Choose another name.")
    return cache_root / name


def is_programs_own(name: str) -> bool:
    """Whether a gallery that comes with the program is called so, or a folder beside the galleries, on a disk without capitals."""
    return name.casefold() in PROGRAMS_FOLDERS or sample_called(name) is not None


def gallery_name(root: Path) -> str:
    """A name for the gallery of this folder: the folder's own, as far as it can be one, else "gallery"."""
    path = Path(os.path.realpath(root))
    name = unicodedata.normalize("NFC", name_of(path)) if path.name else ""  # "/" has none
    plain = "".join(character if _may_stand(character) else " " for character in name)
    plain = re.sub(r"^\W+|_+$", "", " ".join(plain.split())).lstrip("_")
    if "(" not in plain:  # it may have lost one at its beginning
        plain = plain.replace(")", "")
    return plain[:60].rstrip("-. ") or "gallery"


def _may_stand(character: str) -> bool:
    """Whether a character may stand in a name: letters and their marks, digits, and some that no disk minds."""
    return character.isalnum() or character in "_ .()+-" or unicodedata.category(character) in ("Mn", "Mc")


def list_galleries(cache_root: Path) -> list[GallerySummary]:
    """The galleries below `cache_root`, by name; also those that cannot be opened, with the reason."""
    if not cache_root.is_dir():
        return []
    # Not the hidden ones: they are being deleted.
    folders = {path.parent for mark in (MANIFEST, ROWS) for path in cache_root.glob(f"[!.]*/{mark}")}
    return [_summary(folder) for folder in sorted(folders)]


def _summary(folder: Path) -> GallerySummary:
    try:
        manifest = read_manifest(folder)
    except GalleryError as error:
        return GallerySummary(
            folder.name, folder, problem=error.message, root=noted_source(folder), remedy=error.remedy
        )
    empty = None if manifest.images else refusal_of_none(manifest.name)
    return GallerySummary(
        manifest.name,
        folder,
        manifest.images,
        manifest.captioned,
        manifest.models.fingerprints,
        problem=empty.message if empty else "",
        root=source_root_of(folder, manifest),
        remedy=empty.remedy if empty else "",
        former_names=manifest.former_names,
    )


def refusal_of_none(name: str) -> GalleryError:
    """What is said of a gallery of a folder in which no picture could be read."""
    return GalleryError(
        f"There are no images in {name} that can be searched.",
        "Put pictures into its folder, then index it again: python -m cir index PHOTOS",
    )


def noted_source(folder: Path) -> Path | None:
    """The folder of the images of a gallery that has no manifest yet, where that was noted."""
    try:
        noted = os.fsdecode((folder / SOURCE).read_bytes())
    except OSError:  # begun by an earlier version, or not by indexing: then nobody knows
        return None
    return folder / noted if noted else None  # earlier versions may have been killed while they wrote it


def image_key(encoder: str) -> str:
    """Under which the image features of an encoder are kept: its fingerprint, and how its images were read."""
    return _key("images", encoder, READER_VERSION)


def _key(*parts: str | int) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


def renamed(cache_root: Path, name: str) -> Path | None:
    """The folder of the gallery that was called so before; None where a gallery is called so now, or none or several were."""
    if (cache_root / name).exists():
        return None
    found = [one.folder for one in list_galleries(cache_root) if name in one.former_names]
    return found[0] if len(found) == 1 else None


def locate_gallery(name_or_folder: str | Path, cache_root: Path) -> Path:
    """A gallery's folder: by name, also one that it had before, by itself, or by the folder of its images. Whether it is there is not looked at.

    Raises:
        GalleryError: no gallery was made from that folder, or a name that could lead out of `cache_root`.
    """
    given = Path(name_or_folder)
    is_name = isinstance(name_or_folder, str) and given.name == name_or_folder
    if is_name and not (cache_root / given).is_dir() and (sample := sample_called(given.name)):
        return sample
    if is_name and (not given.is_dir() or (cache_root / given).is_dir()):
        folder = gallery_folder(cache_root, given.name)
        return (renamed(cache_root, given.name) or folder).absolute()
    if (given / MANIFEST).is_file() or not given.is_dir():
        return given.absolute()
    for summary in list_galleries(cache_root):
        if not summary.problem and _is_made_from(summary.folder, given):
            return summary.folder.absolute()
    raise GalleryError(f"{given.name} is not indexed yet.", "Index it first: python -m cir index PHOTOS")


def _is_made_from(folder: Path, root: Path) -> bool:
    return os.path.realpath(source_root_of(folder, read_manifest(folder))) == os.path.realpath(root)
