"""What a mapping network is trained on beside the illustrated world: a gallery's pictures, its captions, its triplets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.cache_keys import digest_of, folders_of, gallery_digest
from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.syncir.exchange import read_foreign
from cir.syncir.picture_names import in_gallery
from cir.syncir.records import read_triplets
from cir.text import counted
from cir.training.hycir import TripletFeatures
from cir.training.patches import TripletPatches, encoded_patches
from cir.training.pictures import CachedPictures
from cir.types import Triplet
from cir.world.captions import caption_scene

if TYPE_CHECKING:
    from cir.models.clip import ClipModel

POOL = 20_000  # unlabelled pictures of the world; more of them change nothing that can be measured here


def about(gallery: Gallery) -> dict[str, Any]:
    """What is trained on: the gallery's name and its content."""
    content = gallery_digest(gallery.image_ids, gallery.contents, gallery.texts)
    return {"gallery": gallery.name, "gallery_images": len(gallery), "gallery_content": content}


def read_kept(path: Path, *, unfiltered: bool = False) -> list[Triplet]:
    """The triplets of a file that training may use: the kept ones, or all that have a text.

    A `.json` file is one in the layout of CIRR, LaSCo or Laion-CIR.

    Raises:
        CirError: there is no such file, or nothing in it can be used.
    """
    if not path.is_file():
        raise CirError(f"There are no triplets at {path}.", "Make them: python -m cir synthesize --out FILE")
    rows = read_foreign(path) if path.suffix.lower() == ".json" else read_triplets(path)
    found = [t for t in rows if t.text and (unfiltered or t.verdict == "kept")]
    if not found:
        raise CirError(f"{path} has no triplet that can be trained on.", "Lower the threshold, or make more.")
    return found


def kept_of_gallery(
    path: Path,
    gallery: Gallery,
    say: Callable[[str], None] = lambda _: None,
    *,
    unfiltered: bool = False,
) -> list[Triplet]:
    """Those triplets of a file that training may use whose pictures a gallery has, by its ids or by the names of their files.

    Raises:
        CirError: there is no such file, or nothing in it can be used.
    """
    every = read_kept(path, unfiltered=unfiltered)
    found = in_gallery(every, gallery)
    if not found:
        raise CirError(
            f"{gallery.name} has the pictures of none of the {counted(len(every), 'triplet')} of {path.name}, such as "
            f"{every[0].reference_id[:80]}.",
            "Name the gallery that has them: --gallery NAME. Or index their folder: python -m cir index FOLDER",
        )
    if len(found) < len(every):
        lost = counted(len(every) - len(found), "triplet")
        say(f"Left out, since {gallery.name} has not both of their pictures: {lost} of {len(every)}.")
    return found


def features_of(triplets: Sequence[Triplet], gallery: Gallery) -> TripletFeatures:
    """Raw features of both images of every triplet.

    Raises:
        BadQuery: an image that the gallery does not have.
    """
    targets = [gallery.find(t.target_id) for t in triplets]
    return TripletFeatures(
        np.stack([gallery.raw_features(t.reference_id) for t in triplets]),
        np.stack([gallery.raw_features(t.target_id) for t in triplets]),
        [t.text for t in triplets],
        np.array(targets),
    )


def with_patches(
    found: TripletFeatures,
    triplets: Sequence[Triplet],
    gallery: Gallery,
    clip: ClipModel,
    read_image: Callable[[Path], Image.Image],
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> TripletFeatures:
    """The same with the patches of their pictures, which are encoded once.

    Args:
        found: `features_of` these triplets.
        triplets: which they are.
        gallery: that has their pictures.
        clip: encodes these.
        read_image: a file -> the picture in it.
        folder: where patches are kept.
        say: told how far it is.
    """
    rows = np.array([[gallery.find(t.reference_id), gallery.find(t.target_id)] for t in triplets])
    found_rows, numbers = np.unique(rows, return_inverse=True)
    numbers = numbers.reshape(rows.shape)
    used: list[int] = found_rows.tolist()
    key = digest_of(clip.fingerprint, [gallery.contents[i] for i in used])
    pictures = (read_image(gallery.image_path(gallery.image_ids[i])) for i in used)
    kept = encoded_patches(folder / f"patches-{key}.npy", clip, pictures, len(used), say)
    return replace(found, patches=TripletPatches(numbers[:, 0], numbers[:, 1], kept.__getitem__))


def with_captions(found: TripletFeatures, triplets: Sequence[Triplet], gallery: Gallery) -> TripletFeatures:
    """The same with the first caption of each target.

    Args:
        found: `features_of` these triplets.
        triplets: which they are.
        gallery: that has their pictures.

    Raises:
        CirError: a target has none.
    """
    captions = [next(iter(gallery.captions(t.target_id)), "") for t in triplets]
    if without := captions.count(""):
        raise CirError(
            f"{counted(without, 'target')} of {len(triplets)} in {gallery.name} have no caption, and this recipe learns captions first.",
            f"Caption its pictures: python -m cir index FOLDER --name {gallery.name}",
        )
    return replace(found, captions=captions)


def unlabelled(source: Path | None, gallery: Gallery, clip: ClipModel) -> NDArray[np.float32]:
    """(N, D) raw features for L_ZS-CIR: of the gallery, or of pictures that `train pictures` encoded."""
    if source is None:
        return np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids])
    pictures = CachedPictures(encoded_pictures(source))
    return pictures.features(clip.model.visual.head, np.arange(min(POOL, 2 * len(pictures))))


def encoded_pictures(source: Path) -> Path:
    """The folder of encoded pictures of this name that was made last: `train pictures` adds a key to the name.

    Raises:
        CirError: there is none.
    """
    for folder in folders_of(source.parent, source.name):
        if (folder / "pictures.json").is_file():
            return folder
    raise CirError(f"There are no encoded pictures in {source}.", "Make them: python -m cir train pictures")


def world_triplets(
    source: Path, clip: ClipModel, count: int, seed: int, *, captions: bool = False
) -> TripletFeatures:
    """True triplets: pairs of the world with the edit that was really made between them.

    Args:
        source: of encoded pictures.
        clip: whose image head reads them.
        count: how many at most.
        seed: of their order, and of captions.
        captions: whether each target is described as well.
    """
    pictures = CachedPictures(encoded_pictures(source))
    pairs: list[int] = []
    texts: list[str] = []
    shown: dict[object, int] = {}  # scenes, so that pictures that show the same have the same number
    ids: list[int] = []
    described: list[str] = []
    rng = np.random.default_rng(seed)
    for pair in rng.permutation(len(pictures)).tolist():
        _, target, edit = pictures.describe(pair)
        if edit is not None:
            pairs.append(pair)
            texts.append(edit.text)
            ids.append(shown.setdefault(target.key, len(shown)))
            if captions:
                described.append(caption_scene(target, rng))
        if len(pairs) == count:
            break
    rows = np.array(pairs)
    references, targets = (pictures.features(clip.model.visual.head, 2 * rows + i) for i in (0, 1))
    patches = TripletPatches(2 * rows, 2 * rows + 1, pictures.patches)
    return TripletFeatures(references, targets, texts, np.array(ids), patches, described)
