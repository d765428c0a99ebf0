"""A part of a file of triplets that needs few pictures, so that it can be shown where not all of them are.

Whole subgroups are taken: what was mined with a triplet is shown beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cir.errors import CirError
from cir.gallery.gallery import Gallery
from cir.syncir.candidates import find_candidates
from cir.syncir.pipeline import SynCirSettings, about_gallery
from cir.syncir.records import funnel_of
from cir.text import counted
from cir.types import Triplet


def excerpt(triplets: Sequence[Triplet], count: int) -> list[Triplet]:
    """The triplets of subgroups that share their pictures with each other, in their order, `count` or a few more.

    The next subgroup is the one that brings the most triplets for each picture that is not there yet; of equal ones the
    first. All triplets where there are no more.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, triplet in enumerate(triplets):
        groups.setdefault(tuple(sorted(triplet.members)), []).append(row)
    shown: set[str] = set()
    taken: list[int] = []
    while groups and len(taken) < count:
        best = min(groups, key=lambda members: len(set(members) - shown) / len(groups[members]))
        taken += groups.pop(best)
        shown.update(best)
    return [triplets[row] for row in sorted(taken)]


def excerpt_manifest(
    whole: Mapping[str, Any], part: Sequence[Triplet], gallery: Gallery, settings: SynCirSettings
) -> dict[str, Any]:
    """The manifest of a part: as of a run over the gallery of its pictures alone that was stopped after these pairs.

    Args:
        whole: the manifest of the file that it is a part of.
        part: its triplets.
        gallery: their pictures.
        settings: of the whole.

    Raises:
        CirError: the gallery calls the pictures otherwise.
    """
    if lost := {one for row in part for one in row.members} - set(gallery.image_ids):
        raise CirError(
            f"{counted(len(lost), 'picture')} of these triplets cannot be found in {gallery.name}.",
            "Copy them under the paths that they had, then begin anew.",
        )
    found = find_candidates(gallery, settings)
    funnel = funnel_of(len(gallery), found.mined, found.pairs, part, uncaptioned=found.uncaptioned)
    return {**whole, "gallery": about_gallery(gallery), "funnel": asdict(funnel)}
