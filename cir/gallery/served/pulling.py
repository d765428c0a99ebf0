"""A gallery comes back from a server: its rows, captions and models, as indexing would have left them on the disk.

Thumbnails and pictures are not on the server: thumbnails are made again where the pictures are, when they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cir.errors import GalleryError
from cir.files import WalkedFile
from cir.gallery.cache import GalleryCache, open_cache
from cir.gallery.manifest import MANIFEST, Manifest, gallery_folder, write_manifest
from cir.gallery.served.facts import Facts, again, read_facts
from cir.gallery.served.points import VECTOR, Row, is_sound, row_of
from cir.gallery.served.server import Server
from cir.text import counted

AT_ONCE = 4096  # pictures that are written as one shard

Told = Callable[[str, int, int], object]  # what is done, how far it is, and of how much


def pull_gallery(server: Server, name: str, cache_root: Path, told: Told | None = None) -> Path:
    """Make a gallery of what is on a server. Begun again after it was cut off, it fetches only what is missing.

    Args:
        server: which.
        name: of the gallery there, and here.
        cache_root: where galleries are kept.
        told: how far it is.

    Returns:
        Its folder.

    Raises:
        GalleryError: there is a gallery of that name here; that on the server is not whole, or damaged; see `Server.ask`.
    """
    facts = read_facts(server, name)
    if not facts.is_whole:
        raise GalleryError(f"The gallery {name} on {server.shown} is not whole.", again(name))
    folder = gallery_folder(cache_root, name)
    if (folder / MANIFEST).exists():
        raise GalleryError(
            f"There is a gallery called {name} already.",
            "Rename or delete it: python -m cir galleries delete",
        )
    with open_cache(folder, name) as cache:
        _fetch(server, facts, cache, told)
        images, captioned = cache.count_gallery(facts.models)
    if images != facts.images:
        raise GalleryError(
            f"Of {counted(facts.images, 'picture')} of {name}, {images:,} came from {server.shown}.",
            again(name),
        )
    write_manifest(
        folder,
        Manifest(
            name, facts.source_root, facts.models, images, captioned, facts.dim, preprocess=facts.preprocess
        ),
    )
    return folder


def _fetch(server: Server, facts: Facts, cache: GalleryCache, told: Told | None) -> None:
    known = set(cache.database.execute("SELECT image_id, content_hash FROM files"))
    offset: Any = None
    done = 0
    while True:
        page, offset = server.ask(
            "scroll",
            facts.name,
            limit=AT_ONCE,
            offset=offset,
            with_payload=["image_id", "content"],
            with_vectors=False,
        )
        missing = [
            point.id for point in page if (point.payload["image_id"], point.payload["content"]) not in known
        ]
        if missing:
            points = server.ask("retrieve", facts.name, ids=missing, with_payload=True, with_vectors=[VECTOR])
            _keep(cache, facts, [_row(facts, point) for point in points])
        done += len(page)
        if told is not None:
            told("fetching pictures", done, facts.images)
        if offset is None:
            return


def _row(facts: Facts, point: Any) -> Row:
    if not is_sound(point.payload, point.vector[VECTOR]):
        raise GalleryError(f"A picture of {facts.name} on the server is damaged.", again(facts.name))
    return row_of(point.payload, point.vector[VECTOR])


def _keep(cache: GalleryCache, facts: Facts, rows: Sequence[Row]) -> None:
    """Captions first: a picture whose features are here counts as fetched."""
    by_content = {row.content: row for row in rows}
    texts = {content: row.captions for content, row in by_content.items() if row.captions}
    captioned = [row for row in by_content.values() if row.captioned]
    if texts or captioned:
        means = (
            np.stack([row.mean_captions for row in captioned])
            if captioned
            else np.zeros((0, facts.dim), np.float32)
        )
        cache.store_captions(facts.models, texts, [row.content for row in captioned], means)
    raw = np.stack([row.image * np.float32(row.norm) for row in by_content.values()])
    files = [(WalkedFile(row.relative), row.content) for row in rows]
    taken = {row.content: row.taken for row in rows if row.taken}
    cache.store_images(facts.models.image_key, list(by_content), raw, files, taken)
