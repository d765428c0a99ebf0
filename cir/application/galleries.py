"""The galleries that a set of models can search: on this machine, on a server, and which a page begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from cir.errors import BadQuery, GalleryError, MissingModel
from cir.gallery.background import Indexer
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.gallery.manifest import THUMBNAILS, gallery_folder, list_galleries, read_manifest
from cir.gallery.opening import open_gallery
from cir.models.model_set import Models
from cir.places import ASSETS, SAMPLE_GALLERY, SAMPLES, gallery_cache
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.text import counted

if TYPE_CHECKING:
    from cir.gallery.served.gallery import ServedGallery
    from cir.models.photographs.joined import JoinedEncoder

T = TypeVar("T")
SHORTEST = 1e-3  # of a drawing's features: those of a photograph have no part in the drawings' space
SERVED_FOLDER = "served"  # in the cache: small pictures of galleries on servers


def open_for(models: Models, gallery: str | None = None) -> Gallery:
    """A gallery by name, by its folder of pictures, or the sample gallery; made by these models.

    Raises:
        GalleryError: it is not there, or other models made it; the remedy is in the message.
    """
    clip = models.clip
    if gallery is None and not _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        raise GalleryError(
            f"The sample gallery was made by other models than those of the set {models.name}.",
            f"Index your own pictures: python -m cir index PHOTOS --models {models.name}. Then name them: --gallery PHOTOS",
        )
    return open_gallery(
        gallery or SAMPLE_GALLERY,
        cache_root=gallery_cache(),
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
    )


@dataclass(frozen=True, slots=True)
class OnServer:
    """Where a gallery is that is not on this machine.

    Attributes:
        url: of the Qdrant server.
        key_setting: the environment's variable with its key; "" for the usual one.
        thumbnails: a folder or web address with small pictures; "" for those of the gallery of the same name here.
    """

    url: str
    key_setting: str = ""
    thumbnails: str = ""


def open_on_server(models: Models, name: str, place: OnServer) -> ServedGallery:
    """A gallery on a Qdrant server, made by these models.

    Raises:
        GalleryError: it is not there, or not whole, or other models made it; the server does not answer.
    """
    from cir.gallery.served.gallery import open_served
    from cir.gallery.served.server import connect
    from cir.gallery.served.thumbnails import Thumbnails

    cache = gallery_cache()
    small = place.thumbnails or gallery_folder(cache, name) / THUMBNAILS
    return open_served(
        connect(place.url, place.key_setting),
        name,
        Thumbnails(cache / SERVED_FOLDER / name, small),
        image_encoder_fingerprint=models.clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
    )


def first_gallery(models: Models) -> str | None:
    """What a page begins with where no gallery is named: None for the sample gallery, or one's own where other models made that.

    The first by name of those that these models made; None as well where there is none.
    """
    if _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        return None
    own = (one for one in list_galleries(gallery_cache()) if not one.problem)
    return next((one.name for one in own if _made_by(models, one.fingerprints)), None)


def prepare_first_gallery(models: Models, *, say: Callable[[str], None]) -> str:
    """See to it that a page of these models has a gallery to begin with: else index a dozen photographs that come along.

    Each model is opened for that, so whoever goes on with the set then knows that it can.

    Returns:
        The gallery's name; "" for the sample gallery.

    Raises:
        CirError: a model is not here, or cannot be opened.
    """
    captioner, network = models.captioner, models.phi()
    if captioner is None or network is None:
        gone = [why for what, why in models.missing.items() if what.startswith(("captioner", "mapping"))]
        raise MissingModel(" ".join(gone))
    if _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        return ""
    if found := first_gallery(models):
        return found
    name = f"Twelve photographs ({models.name})"
    for step in index_folder(
        ASSETS / "check",
        name=name,
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=captioner,
        cache_root=gallery_cache(),
    ):
        say(f"{step.stage} of a dozen photographs, {step.done} of {step.total}")
    return name


def _made_by(models: Models, fingerprints: Mapping[str, str]) -> bool:
    return fingerprints.get("image_encoder") == models.clip.fingerprint


def drawn_gallery(models: Models, gallery: Gallery, say: Callable[[str], None] = lambda _: None) -> Gallery:
    """A gallery with the features of the set's CLIP alone, which mapping networks are trained for, and none of captions.

    Photographs are left out, of which that CLIP knows nothing, where they are fewer than the drawings; of thousands of drawings one or
    two are taken for photographs.

    Args:
        models: whose CLIP it is.
        gallery: of drawings.
        say: told how many are left out.

    Raises:
        BadQuery: most of it is photographs.
    """
    if models.photographs is None:
        return gallery
    space = cast("JoinedEncoder", models.clip).space
    raw = space.clip_part(np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids]))
    lengths = np.linalg.norm(raw, axis=1)
    drawn = np.flatnonzero(lengths >= SHORTEST)
    photographs = counted(len(raw) - len(drawn), "photograph")
    why = f"the CLIP of the set {models.name}, which the network would be for, knows drawings alone"
    if 2 * len(drawn) <= len(raw):
        raise BadQuery(f"{gallery.name} holds {photographs}, and {why}.", "Take another set: --models base")
    if len(drawn) == len(raw):
        chosen = gallery
    else:
        say(f"Left out of {gallery.name}: {photographs} of {counted(len(raw), 'picture')}, as {why}.")
        chosen = _narrowed(gallery, drawn)
    return replace(
        chosen,
        image_features=raw[drawn] / lengths[drawn, None],
        caption_features=np.zeros_like(raw[drawn]),
        captioned=np.zeros(len(drawn), dtype=bool),
        norms=lengths[drawn],
    )


def _narrowed(gallery: Gallery, rows: NDArray[np.int64]) -> Gallery:
    """What a gallery has of some of its pictures beside their features."""

    def of(values: Sequence[T]) -> Sequence[T]:
        return [values[int(row)] for row in rows] if len(values) else values

    return replace(
        gallery,
        image_ids=of(gallery.image_ids),
        relatives=of(gallery.relatives),
        texts=of(gallery.texts),
        contents=of(gallery.contents),
        taken=of(gallery.taken),
        known_days=None,
        kept=None,
        spaces={},
    )


def build_shelf(models: Models, first: Retriever, *, title: str = "") -> Shelf:
    """All galleries that these models can search: the first one, the sample gallery, and people's own."""
    clip = models.clip
    return Shelf(
        first,
        cache_root=gallery_cache(),
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
        title=title,
        shipped=SAMPLES,
    )


def build_indexer(models: Models, shelf: Shelf) -> Indexer:
    """Makes galleries with these models, in the background; the shelf gets what there is to search."""
    return Indexer(
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=lambda: models.captioner,
        cache_root=shelf.cache_root,
        renew=shelf.renew,
    )
