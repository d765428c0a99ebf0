"""A gallery whose pictures are on a Qdrant server: what is shown of them is asked there, a page at a time.

Nothing here grows with the gallery: what was asked last is remembered, up to a number of pictures. A picture's place is
the number of its point.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import ArrayLike, NDArray

from cir.errors import BadQuery, GalleryError, OtherModels
from cir.files import display_name
from cir.gallery.gallery import GONE, TOP
from cir.gallery.served.facts import Facts, again, read_facts
from cir.gallery.served.filters import Chosen, filter_of, of_none, of_value
from cir.gallery.served.points import VECTOR, path_of
from cir.gallery.served.server import Server
from cir.text import counted

REMEMBERED = 8192  # pictures whose payload is in memory, and as many whose vectors are
MOST_FOLDERS = 5000  # that are asked for; of more, those with most pictures
LISTED = (
    20_000  # pictures, up to which the gallery is browsed in a drawn order; beyond, from a drawn place on
)
_PAGE = 1000


class ServedGallery:
    """K pictures on a server.

    Attributes:
        server: that is asked.
        facts: what the collection says of itself.
        name: what it is called.
        notes: sentences for the person.
        fingerprints: "image_encoder", "text_encoder", "captioner" -> what made it.
        root: the folder of its pictures, where it is on this machine.
        folder: None: nothing of it is kept in a folder.
        packed: whether it is shipped: never.
        written: when it was indexed.
    """

    notes: tuple[str, ...] = ()
    folder: Path | None = None
    packed = False

    def __init__(self, server: Server, facts: Facts, thumbnail: Callable[[ServedGallery, str], Path]) -> None:
        self.server, self.facts = server, facts
        self.name, self.written = facts.name, facts.written
        self.fingerprints: Mapping[str, str] = facts.models.fingerprints
        root = Path(facts.source_root) if facts.source_root else None
        self.root = root if root is not None and root.is_dir() else None
        self._thumbnail = thumbnail
        self._payloads: LRUCache[int, Mapping[str, Any]] = LRUCache(REMEMBERED)
        self._vectors: LRUCache[int, NDArray[np.float32]] = LRUCache(REMEMBERED)
        self._places: LRUCache[str, int] = LRUCache(REMEMBERED)
        self._counts: LRUCache[tuple[Chosen, tuple[int, ...]], int] = LRUCache(REMEMBERED)
        self._lock = Lock()

    # --- which pictures there are -----------------------------------------------------------------------

    def __len__(self) -> int:
        return self.facts.images

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and self._place(image_id) is not None

    def prepare(self) -> None:
        """Ask now for what the lists of folders and days need."""
        _ = self.folders, self.undated

    def find(self, image_id: str) -> int:
        """The place of a picture: the number of its point.

        Raises:
            BadQuery: the gallery has no such picture.
        """
        place = self._place(image_id) if isinstance(image_id, str) else None
        if place is None:
            shown = str(image_id)[:40]
            raise BadQuery(
                f"There is no image {shown!r} in this gallery.",
                "Choose one that is shown, or name one by the image_id of a result.",
            )
        return place

    def ids_at(self, places: ArrayLike) -> list[str]:
        """The ids of the pictures at some places."""
        return [payload["image_id"] for payload in self.payloads(places)]

    def page(self, seed: int, number: int, size: int) -> tuple[str, ...]:
        """The ids on a page of the gallery, in an order that mixes it.

        Numbers of points are hashes, so their order mixes. Of a large gallery a page is the pictures that follow a place
        drawn for it; then pages may have pictures in common.

        Args:
            seed: of the order.
            number: of the page, from 0.
            size: pictures on a page.
        """
        if len(self) <= LISTED:
            order = np.random.default_rng(seed).permutation(len(self._listed))
            return tuple(self.ids_at(self._listed[order[number * size : (number + 1) * size]]))
        start = int(np.random.default_rng((seed, number)).integers(2**63))
        points = self.scrolled(size, offset=start)
        if len(points) < size:
            points += self.scrolled(size - len(points))
        return tuple(point.payload["image_id"] for point in points)

    @cached_property
    def _listed(self) -> NDArray[np.int64]:
        """All places of a gallery that is not large."""
        return np.array([p.id for p in self.scrolled(LISTED, with_payload=False)], np.int64)

    def with_content(self, content: str) -> tuple[str, ...]:
        """The ids of the pictures with a content hash."""
        points = self.scrolled(100, of_value("content", content))
        return tuple(point.payload["image_id"] for point in points)

    # --- what is known of one ----------------------------------------------------------------------------

    def captions(self, image_id: str) -> list[str]:
        """The captions of a picture; none when it was not captioned."""
        return list(self._payload(image_id)["captions"])

    def label(self, image_id: str) -> str:
        """The path of a picture inside its folder, as one harmless line; the id where there is no file."""
        return display_name(path_of(self._payload(image_id))) or image_id

    def content(self, image_id: str) -> str:
        """The content hash of a picture."""
        return self._payload(image_id)["content"]

    def raw_features(self, image_id: str) -> NDArray[np.float32]:
        """(D,) the features as the encoder gave them, not normalised."""
        row = self.vectors([self.find(image_id)])[0]
        return row[: self.facts.dim] * np.float32(self._payload(image_id)["norm"])

    def image_path(self, image_id: str) -> Path:
        """Where the picture is. Never to be sent to a browser.

        Raises:
            GalleryError: the folder of the pictures is not on this machine.
        """
        path = path_of(self._payload(image_id))
        if self.root is None or not path:
            raise GalleryError(
                f"The pictures of {self.name} are not on this machine.",
                "Look at them where they were indexed.",
            )
        return self.root / os.fsdecode(path)

    def note(self, image_id: str) -> str:
        """ "file is gone" when the picture was deleted or moved since; "" otherwise, and where nobody can know."""
        return "" if self.root is None or self.image_path(image_id).is_file() else GONE

    def thumbnail_path(self, image_id: str) -> Path:
        """A small WebP of the picture, fit to be shown in a browser.

        Raises:
            GalleryError: there is none.
        """
        return self._thumbnail(self, image_id)

    # --- folders, days, captions ---------------------------------------------------------------------------

    @property
    def has_files(self) -> bool:
        """Whether its pictures were files, so that folders and days mean something."""
        return bool(self.facts.source_root)

    @property
    def folders(self) -> dict[bytes, int]:
        """Folders that hold pictures at any depth -> how many, in order of their paths; of very many, the fullest."""
        return self._folders

    @cached_property
    def _folders(self) -> dict[bytes, int]:
        found = self.server.ask("facet", self.name, key="folders", limit=MOST_FOLDERS, exact=True)
        counts = {hit.value.encode(): hit.count for hit in found.hits if hit.value.encode() != TOP}
        return dict(sorted(counts.items(), key=lambda item: item[0].split(b"/")))

    @property
    def undated(self) -> int:
        """Of how many pictures the day is not known."""
        return self._undated

    @cached_property
    def _undated(self) -> int:
        return self._count(of_none("day"))

    @property
    def captioned_images(self) -> int:
        """How many pictures have captions that count."""
        return self.facts.captioned

    @property
    def caption_note(self) -> str:
        """A sentence while not all pictures have captions that count; "" when all have."""
        if self.facts.captioned == len(self):
            return ""
        return (
            f"Captions: of {self.facts.captioned:,} of {counted(len(self), 'picture')}. The others are found by their "
            "look alone, whatever the weight of captions (γ)."
        )

    def select(
        self,
        *,
        folder: bytes = b"",
        since: date | None = None,
        until: date | None = None,
        with_undated: bool = False,
    ) -> Chosen:
        """Which pictures lie below a folder and are of certain days.

        Raises:
            BadQuery: there is no such folder.
        """
        chosen = Chosen(folder, since, until, with_undated)
        if folder and folder != TOP and folder not in self.folders and not self.count(Chosen(folder)):
            shown = display_name(folder)[:60]
            raise BadQuery(f"There is no folder {shown!r} in {self.name}.", "Choose one from the list.")
        return chosen

    def count(self, among: Chosen | None, exclude: Sequence[int] = ()) -> int:
        """How many pictures these are, without those at some places; all for None."""
        if among is None:
            return len(self) - len(set(exclude))
        key = among, tuple(sorted(exclude))
        with self._lock:
            known = self._counts.get(key)
        if known is None:
            known = self._count(filter_of(among, without=exclude))
            with self._lock:
                self._counts[key] = known
        return known

    def is_among(self, image_id: str, among: Chosen | None) -> bool:
        """Whether a picture is one of these; of all for None."""
        return among is None or self._count(filter_of(among, only=[self.find(image_id)])) > 0

    def _count(self, chosen: Any) -> int:
        return self.server.ask("count", self.name, count_filter=chosen, exact=True).count

    # --- what engines ask ------------------------------------------------------------------------------------

    def payloads(self, places: ArrayLike) -> list[Mapping[str, Any]]:
        """What is known of the pictures at some places, in order.

        Raises:
            GalleryError: one is not there any more.
        """
        wanted = np.atleast_1d(np.asarray(places, np.int64)).tolist()
        with self._lock:
            known = {place: self._payloads[place] for place in wanted if place in self._payloads}
        missing = [place for place in dict.fromkeys(wanted) if place not in known]
        if missing:
            points = self.server.ask(
                "retrieve", self.name, ids=missing, with_payload=True, with_vectors=False
            )
            self.remember(points)
            known |= {int(point.id): point.payload for point in points}
        return [self._there(known, place) for place in wanted]

    def vectors(self, places: ArrayLike) -> NDArray[np.float32]:
        """(N, 2 D) the vectors of the pictures at some places, in order.

        Raises:
            GalleryError: one is not there any more.
        """
        wanted = np.atleast_1d(np.asarray(places, np.int64)).tolist()
        with self._lock:
            known = {place: self._vectors[place] for place in wanted if place in self._vectors}
        missing = [place for place in dict.fromkeys(wanted) if place not in known]
        for start in range(0, len(missing), _PAGE):
            points = self.server.ask(
                "retrieve",
                self.name,
                ids=missing[start : start + _PAGE],
                with_payload=False,
                with_vectors=[VECTOR],
            )
            found = {int(point.id): np.array(point.vector[VECTOR], np.float32) for point in points}
            known |= found
            with self._lock:
                self._vectors.update(found)
        if not wanted:
            return np.zeros((0, 2 * self.facts.dim), np.float32)
        return np.stack([self._there(known, place) for place in wanted])

    def remember(self, points: Iterable[Any]) -> None:
        """Keep the payloads of points that came with all of it."""
        with self._lock:
            for point in points:
                self._payloads[int(point.id)] = point.payload
                self._places[point.payload["image_id"]] = int(point.id)

    def scrolled(
        self, count: int, chosen: Any = None, *, offset: int | None = None, with_payload: bool = True
    ) -> list[Any]:
        """Points in the order of their numbers, which mixes the gallery: the first `count` of them from an offset on."""
        found: list[Any] = []
        while len(found) < count:
            page, offset = self.server.ask(
                "scroll",
                self.name,
                limit=min(_PAGE, count - len(found)),
                offset=offset,
                scroll_filter=chosen,
                with_payload=with_payload,
                with_vectors=False,
            )
            found += page
            if offset is None:
                break
        if with_payload:
            self.remember(found)
        return found

    def _place(self, image_id: str) -> int | None:
        with self._lock:
            if image_id in self._places:
                return self._places[image_id]
        points = self.scrolled(1, of_value("image_id", image_id))
        return int(points[0].id) if points else None

    def _payload(self, image_id: str) -> Mapping[str, Any]:
        return self.payloads([self.find(image_id)])[0]

    def _there(self, known: Mapping[int, Any], place: int) -> Any:
        if place not in known:
            raise GalleryError(f"A picture of {self.name} is not on the server any more.", "Search again.")
        return known[place]


def open_served(
    server: Server,
    name: str,
    thumbnail: Callable[[ServedGallery, str], Path],
    *,
    image_encoder_fingerprint: str,
    text_encoder_fingerprint: str | None,
) -> ServedGallery:
    """Open a gallery on a server for searching.

    Args:
        server: which.
        name: of the gallery.
        thumbnail: makes or finds the small picture of one of its pictures.
        image_encoder_fingerprint: of the model that will encode queries.
        text_encoder_fingerprint: of the model that will encode texts; None when there are none.

    Raises:
        GalleryError: it is not there, half filled, of another version or other models; see `Server.ask`.
    """
    facts = read_facts(server, name)
    made, where = facts.models, f"{name} on {server.shown}"
    if made.image_encoder != image_encoder_fingerprint:
        said = (
            f"{where} was made with {made.image_encoder}, but the app now uses {image_encoder_fingerprint}."
        )
        raise OtherModels(said, "Search it with the set that made it: --models NAME")
    if facts.captioned and text_encoder_fingerprint not in (None, made.text_encoder):
        said = f"The captions of {where} were encoded with {made.text_encoder}, not with {text_encoder_fingerprint}."
        raise OtherModels(said, "Search it with the set that made it: --models NAME")
    there = server.ask("count", name, exact=True).count
    if not facts.is_whole or there != facts.images:
        raise GalleryError(
            f"{where} is being filled, or that was cut off: it has {there:,} of {counted(facts.images, 'picture')}.",
            again(name),
        )
    return ServedGallery(server, facts, thumbnail)
