"""A gallery goes to a server: what is there already is not sent again, so that a killed push goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cir.errors import GalleryError
from cir.gallery.gallery import Gallery
from cir.gallery.manifest import Models, read_manifest, source_root_of
from cir.gallery.served.facts import KEY, Facts, again, as_metadata, read_facts, write_facts
from cir.gallery.served.points import (
    INDEXED,
    VECTOR,
    Row,
    is_sound,
    row_of,
    rows_of_gallery,
    some_rows,
)
from cir.gallery.served.server import Server
from cir.text import counted

AT_ONCE = 256  # pictures that are sent in one request: some megabytes
PAGE = 10_000  # ids that are read at once
SAMPLE = 200  # pictures that are compared number by number
NEAR = 1e-6  # what numbers may differ by

Told = Callable[[str, int, int], object]  # what is done, how far it is, and of how much


@dataclass(frozen=True, slots=True)
class Settings:
    """How a new collection is laid out over servers: in how many pieces, and how many copies of each there are."""

    shards: int = 1
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: how many pictures are there now, and how many were sent and deleted for that."""

    images: int
    sent: int
    deleted: int


def push_gallery(server: Server, gallery: Gallery, settings: Settings, told: Told | None = None) -> Pushed:
    """Bring the collection of a gallery's name to what the gallery is. Done again, it sends only what has changed.

    Raises:
        GalleryError: see `Server.ask`; there is another collection of that name; what was written is not what is there.
    """
    facts = begin(server, facts_of(gallery), settings)
    ids, sent = [np.empty(0, np.int64)], 0
    for rows in rows_of_gallery(gallery, AT_ONCE):
        facts, fresh = put(server, facts, rows)
        sent += fresh
        ids.append(np.array([row.point_id for row in rows], np.int64))
        if told is not None:
            told("sending pictures", sum(map(len, ids)), len(gallery))
    deleted = _delete_others(server, facts, np.concatenate(ids), told)
    write_facts(server, replace(facts, is_whole=True))
    try:
        verify_gallery(server, gallery)
    except GalleryError:
        write_facts(server, facts)
        raise
    return Pushed(len(gallery), sent, deleted)


def facts_of(gallery: Gallery) -> Facts:
    """What the collection of a gallery is to say; not whole yet."""
    known = gallery.fingerprints
    models = Models(known.get("image_encoder", ""), known.get("text_encoder", ""), known.get("captioner", ""))
    source = ""
    if gallery.folder is not None:
        manifest = read_manifest(gallery.folder)
        models, source = manifest.models, os.fspath(source_root_of(gallery.folder, manifest).absolute())
    dim = gallery.image_features.shape[1]
    return Facts(gallery.name, len(gallery), gallery.captioned_images, dim, models, source, gallery.written)


def begin(server: Server, facts: Facts, settings: Settings) -> Facts:
    """See to it that there is a collection to write to, and that it says that it is not whole.

    Returns:
        The facts, with the bounds of what is there already.

    Raises:
        GalleryError: a collection of that name is another one.
    """
    if not server.ask("collection_exists", facts.name):
        _create(server, facts, settings)
        return facts
    there = read_facts(server, facts.name)
    if there.models != facts.models or there.dim != facts.dim:
        raise GalleryError(
            f"The gallery {facts.name} on {server.shown} was made by other models.",
            "Delete that collection, or give this gallery another name: python -m cir galleries rename",
        )
    bounds = {name: getattr(there, name) for name in ("least_tv_tc", "least_tc_tc", "most_apart")}
    facts = replace(facts, **bounds)
    write_facts(server, facts)
    return facts


def _create(server: Server, facts: Facts, settings: Settings) -> None:
    from qdrant_client import models

    server.ask(
        "create_collection",
        facts.name,
        # A graph would find some of the best alone: every vector is looked at, so none is built.
        vectors_config={
            VECTOR: models.VectorParams(
                size=2 * facts.dim, distance=models.Distance.DOT, hnsw_config=models.HnswConfigDiff(m=0)
            )
        },
        shard_number=settings.shards,
        replication_factor=settings.replicas,
        metadata={KEY: as_metadata(facts)},
    )
    for name, kind in INDEXED.items():
        server.ask(
            "create_payload_index", facts.name, field_name=name, field_schema=models.PayloadSchemaType(kind)
        )


def put(server: Server, facts: Facts, rows: Sequence[Row]) -> tuple[Facts, int]:
    """Write some pictures, those alone that are not there as they are.

    Returns:
        The facts with bounds that hold for all of them, and how many were sent.
    """
    from qdrant_client import models

    payloads = {row.point_id: row.payload() for row in rows}
    known = server.ask("retrieve", facts.name, ids=list(payloads), with_payload=["row"], with_vectors=False)
    there = {int(point.id): (point.payload or {}).get("row") for point in known}
    points = [
        models.PointStruct(
            id=row.point_id, vector={VECTOR: row.vector.tolist()}, payload=payloads[row.point_id]
        )
        for row in rows
        if there.get(row.point_id) != payloads[row.point_id]["row"]
    ]
    if points:
        server.ask("upsert", facts.name, points=points, wait=True)
    return facts.widened(payloads.values()), len(points)


def _delete_others(server: Server, facts: Facts, ids: NDArray[np.int64], told: Told | None) -> int:
    """Delete what is there and not in the gallery any more: pictures that were deleted, moved or changed."""
    from qdrant_client import models

    there = server.ask("count", facts.name, exact=True).count
    if there == len(np.unique(ids)):
        return 0
    others: list[int] = []
    offset: Any = None
    while True:
        page, offset = server.ask(
            "scroll", facts.name, limit=PAGE, offset=offset, with_payload=False, with_vectors=False
        )
        found = np.array([point.id for point in page], np.int64)
        others += found[~np.isin(found, ids)].tolist()
        if offset is None:
            break
    for start in range(0, len(others), PAGE):
        chosen = models.PointIdsList(points=[*others[start : start + PAGE]])
        server.ask("delete", facts.name, points_selector=chosen, wait=True)
        if told is not None:
            told("deleting pictures that are gone", start, len(others))
    return len(others)


def verify_gallery(server: Server, gallery: Gallery) -> int:
    """Compare a collection with the gallery that it is to be: the number of pictures, and some of them wholly.

    Returns:
        How many were compared.

    Raises:
        GalleryError: it is not whole, or not this gallery as it is now.
    """
    facts = read_facts(server, gallery.name)
    name = f"The gallery {gallery.name} on {server.shown}"
    there = server.ask("count", gallery.name, exact=True).count
    if not facts.is_whole or there != len(gallery):
        raise GalleryError(
            f"{name} has {there:,} of {counted(len(gallery), 'picture')}.", again(gallery.name)
        )
    some = np.unique(np.linspace(0, len(gallery) - 1, min(SAMPLE, len(gallery))).astype(np.int64))
    rows = {row.point_id: row for row in some_rows(gallery, some)}
    points = server.ask("retrieve", gallery.name, ids=list(rows), with_payload=True, with_vectors=[VECTOR])
    same = [_is_same(point, rows[int(point.id)]) for point in points]
    if sum(same) != len(rows):
        raise GalleryError(
            f"{name} differs: of {counted(len(rows), 'picture')} that were compared, {len(rows) - sum(same)} are other ones.",
            again(gallery.name),
        )
    return len(rows)


def _is_same(point: Any, row: Row) -> bool:
    """Whether a point is a picture. A gallery that was pulled has its rows to within the last digit of float32."""
    if not is_sound(point.payload, point.vector[VECTOR]):
        return False
    there = row_of(point.payload, point.vector[VECTOR])
    near = np.allclose(there.vector, row.vector, rtol=0.0, atol=NEAR)
    return near and _known(there) == _known(row) and abs(there.norm - row.norm) <= NEAR * row.norm


def _known(row: Row) -> tuple[object, ...]:
    return row.image_id, row.content, row.relative, row.captions, row.taken, row.captioned
