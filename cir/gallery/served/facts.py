"""What a collection says of itself: which gallery it is, made by which models, and whether all of it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cir.errors import GalleryError
from cir.gallery.manifest import Models
from cir.gallery.served.points import VECTOR
from cir.gallery.served.server import Server
from cir.pixels import READER_VERSION

SCHEMA = 1
KEY = "recompose"  # in the collection's metadata


@dataclass(frozen=True, slots=True)
class Facts:
    """One gallery on a server.

    Attributes:
        name: what the gallery is called.
        images: how many pictures are to be there.
        captioned: how many of them have captions that count.
        dim: D.
        models: who made it.
        source_root: the folder of its pictures, where it was indexed; "" for none.
        written: when its manifest was written.
        is_whole: whether all was written, and found to be right.
        least_tv_tc, least_tc_tc, most_apart: over all pictures ever written, the least t_v . t_c and |t_c|^2, and the
            largest |t_v - t_c|: what bounds of scores are made of.
        preprocess: how pictures were read.
        schema: version of the layout.
    """

    name: str
    images: int
    captioned: int
    dim: int
    models: Models
    source_root: str = ""
    written: str = ""
    is_whole: bool = False
    least_tv_tc: float = 1.0
    least_tc_tc: float = 1.0
    most_apart: float = 0.0
    preprocess: str = READER_VERSION
    schema: int = SCHEMA

    def widened(self, payloads: Iterable[Mapping[str, Any]]) -> Facts:
        """The same with bounds that hold for these pictures, too."""
        tv_tc, tc_tc, apart = self.least_tv_tc, self.least_tc_tc, self.most_apart
        for one in payloads:
            tv_tc, tc_tc = min(tv_tc, one["tv_tc"]), min(tc_tc, one["tc_tc"])
            apart = max(apart, max(0.0, one["tv_tv"] - 2 * one["tv_tc"] + one["tc_tc"]) ** 0.5)
        return replace(self, least_tv_tc=tv_tc, least_tc_tc=tc_tc, most_apart=apart)


def read_facts(server: Server, collection: str) -> Facts:
    """What a collection says of itself.

    Raises:
        GalleryError: there is none, it is none of this program, of another version, or its vectors are others.
    """
    found = server.ask("get_collection", collection)
    told = (found.config.metadata or {}).get(KEY)
    if not isinstance(told, Mapping):
        raise GalleryError(
            f"The collection {collection} on {server.shown} is no gallery of this program.",
            "Choose another name, or another server. Galleries need Qdrant 1.16 or later.",
        )
    if told.get("schema") != SCHEMA:
        raise GalleryError(
            f"The gallery {collection} on {server.shown} was made by another version of this program.",
            again(collection),
        )
    try:
        facts = Facts(**{**told, "models": Models(**told["models"])})
    except (KeyError, TypeError) as error:
        message = f"What the gallery {collection} on {server.shown} says of itself is damaged."
        raise GalleryError(message, again(collection)) from error
    vectors = found.config.params.vectors
    size = vectors[VECTOR].size if isinstance(vectors, Mapping) and VECTOR in vectors else 0
    if size != 2 * facts.dim:
        raise GalleryError(
            f"The gallery {collection} on {server.shown} has vectors of {size} numbers, not of {2 * facts.dim}.",
            f"Delete the collection, and push it again: python -m cir galleries push {collection}",
        )
    return facts


def write_facts(server: Server, facts: Facts) -> None:
    """Say it of a collection that is there.

    Raises:
        GalleryError: see `Server.ask`.
    """
    server.ask("update_collection", facts.name, metadata={KEY: as_metadata(facts)})


def as_metadata(facts: Facts) -> dict[str, Any]:
    """The facts as JSON can hold them."""
    return asdict(facts)


def again(collection: str) -> str:
    """How a gallery is pushed."""
    return f"Push it again: python -m cir galleries push {collection}"
