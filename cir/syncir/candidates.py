"""What SynCir is asked for, and what a gallery offers it: the pairs, before any model is asked.

Knows features and captions that are there already; it opens no image.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cir.errors import CirError, GalleryError
from cir.gallery.gallery import Gallery
from cir.ranking.engines import open_engine
from cir.ranking.engines.neighbours import TOP, Neighbours, find_neighbours
from cir.syncir.consistency import Combine, Thresholds, check_combination
from cir.syncir.pairs import (
    MEMBERS,
    Mined,
    Pair,
    Reading,
    check_reading,
    mine_subgroups,
    pairs_of,
    shuffled,
)
from cir.text import counted
from cir.types import Features


@dataclass(frozen=True, slots=True)
class SynCirSettings:
    """What decides which triplets come out.

    Attributes:
        thresholds: where the filters cut.
        reading: of the paper's "distance" (see `mine_subgroups`).
        combine: what "+" means (see `consistency_scores`).
        seed: the order of the subgroups.
        top: ranked neighbours that a subgroup is chosen from.

    Raises:
        CirError: no such reading, or no such way to combine.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    reading: Reading = "similarity"
    combine: Combine = "sum"
    seed: int = 0
    top: int = TOP

    def __post_init__(self) -> None:
        check_reading(self.reading)
        check_combination(self.combine)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a gallery offers before any model is asked.

    Attributes:
        rows: gallery rows of the images that take part (those with a caption).
        neighbours, mined, pairs: indices into `rows`.
        uncaptioned: images that take no part.
    """

    rows: tuple[int, ...]
    neighbours: Neighbours
    mined: Mined
    pairs: tuple[Pair, ...]
    uncaptioned: int


def find_candidates(
    gallery: Gallery, settings: SynCirSettings, *, features: Features | None = None
) -> Candidates:
    """The pairs of a gallery, in the order in which they are worked on.

    Args:
        gallery: with captions; images without are left out and counted.
        settings: thresholds, reading, seed.
        features: (K, D) unit rows of another image encoder; the gallery's own by default.

    Raises:
        GalleryError: fewer than six images, no captions at all, or no subgroup of six.
    """
    if features is not None and len(features) != len(gallery):
        raise GalleryError(
            f"{counted(len(features), 'row')} of features cannot be those of {counted(len(gallery), 'image')}.",
            "Encode them again.",
        )
    _refuse_too_few(gallery.name, len(gallery))
    rows = tuple(row for row, text in enumerate(gallery.texts) if text and text != "[]")
    if not rows:
        raise GalleryError(
            f"The images of {gallery.name} have no captions, and a text is made from two of them.",
            "Index the folder again with a captioner: python -m cir index PHOTOS",
        )
    _refuse_too_few(gallery.name, len(rows), "captioned ")
    if features is None:
        neighbours = open_engine(gallery).neighbours(rows, top=settings.top)
    else:
        neighbours = find_neighbours(features[list(rows)], top=settings.top)
    limits = settings.thresholds
    mined = mine_subgroups(
        neighbours, near_duplicate=limits.near_duplicate, gap=limits.gap, reading=settings.reading
    )
    if not mined.subgroups:
        raise GalleryError(
            f"No image of {gallery.name} has five others that are alike enough and not too alike.",
            "Use more images, or move the thresholds: --near-duplicate, --gap, --reading",
        )
    pairs = tuple(pairs_of(shuffled(mined.subgroups, settings.seed)))
    return Candidates(rows, neighbours, mined, pairs, len(gallery) - len(rows))


def unit_rows(raw: NDArray[np.float32]) -> Features:
    """(N, D) rows of length 1, of raw features of another image encoder.

    Raises:
        CirError: a row that has no direction.
    """
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise CirError(
            "The image encoder gave features that are zero or not finite.", "Choose another encoder."
        )
    return (raw / norms).astype(np.float32)


def _refuse_too_few(name: str, images: int, kind: str = "") -> None:
    if images < MEMBERS:
        have = f"has {counted(images, f'{kind}image')}" if images else f"has no {kind}images"
        raise GalleryError(
            f"{name} {have}, and a subgroup needs {MEMBERS}.",
            "Index a folder with more pictures: python -m cir index PHOTOS",
        )
