"""The galleries that can be searched here: which there are, each opened once, each with the same methods.

It stands between the galleries on disk and whoever searches: the page asks it for the retriever over the
gallery that a visitor chose. Galleries change under it, made by other processes: what is on disk is looked at
each time that a gallery is asked for. It knows no model, makes no gallery and draws nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import cast

from cir.composers.composer import Composer
from cir.errors import GalleryError, OtherModels
from cir.gallery.cache import is_being_written
from cir.gallery.gallery import Gallery
from cir.gallery.kept_opening import is_sound
from cir.gallery.manifest import (
    MANIFEST,
    ROWS,
    GallerySummary,
    gallery_folder,
    list_galleries,
    read_manifest,
    refuse_other_models,
    renamed,
)
from cir.gallery.opening import open_gallery
from cir.gallery.searchable import Searchable
from cir.ranking.engines import DEFAULT, PROPOSED_FROM, SERVED
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import Linear

_log = logging.getLogger(__name__)
Stamp = tuple[int, int, int]  # of a manifest's file: another one means that the gallery has changed
PROPOSAL = (
    "So many pictures are searched in a fraction of the time with an index, which may miss a few of the best: "
    "start the page with --engine faiss."
)
SHIPPED = ":"  # begins the name of a shipped gallery: no gallery of one's own can be called so
PREPARED_FROM = 20_000  # images
CHECKED_AFTER_SECONDS = 90.0  # the first searches do not share the disk and the processor with that


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """One gallery, as far as it can be told without opening it.

    Attributes:
        name: what `Shelf.retriever` takes; "" for the gallery that the page began with.
        title: how people call it.
        images: how many pictures can be searched.
        captioned: how many of them have captions.
        problem, remedy: why it cannot be searched now, and what to do on the command line; "" when it can.
        root: the folder of its pictures, where it is known. Never to be sent to a browser.
        own: whether it lies in the cache, so that it may be brought up to date, renamed and deleted.
        uploaded: whether its pictures were uploaded, so that they lie inside the gallery's own folder.
        busy: whether some process is indexing it now.
        engine: what there is to say of what ranks its pictures; "" for nothing.
        other_models: whether it cannot be searched for the one reason that other models made it.
    """

    name: str
    title: str
    images: int = 0
    captioned: int = 0
    problem: str = ""
    root: Path | None = None
    own: bool = True
    uploaded: bool = False
    remedy: str = ""
    busy: bool = False
    engine: str = ""
    other_models: bool = False


class Shelf:
    """All galleries that these models can search."""

    def __init__(
        self,
        first: Retriever,
        *,
        cache_root: Path,
        image_encoder_fingerprint: str,
        text_encoder_fingerprint: str | None = None,
        title: str = "",
        shipped: Mapping[str, Path] | None = None,
    ) -> None:
        """A shelf that begins with one gallery.

        Args:
            first: over the gallery that is searched until another is chosen; its methods search all others.
            cache_root: where galleries of people's own are kept.
            image_encoder_fingerprint: of the model that encodes queries.
            text_encoder_fingerprint: of the model that encodes texts.
            title: how people call the first gallery; its name by default.
            shipped: title -> folder of galleries that lie elsewhere and are not to be changed.
        """
        self.cache_root = cache_root
        self._image, self._text = image_encoder_fingerprint, text_encoder_fingerprint
        self._title = title or first.gallery.name
        self._home = first.gallery.folder
        self.former_homes: tuple[Path, ...] = ()  # where the first gallery was kept before it was renamed
        self._shipped = {
            SHIPPED + name: folder
            for name, folder in (shipped or {}).items()
            if self._home is None or folder.absolute() != self._home.absolute()
        }
        self._open: dict[str, Retriever] = {"": first}
        self._stamps: dict[str, Stamp | None] = {"": _stamp_of(first.gallery)}
        self._lock = Lock()
        self._watchers: list[Callable[[Searchable], None]] = []
        self._prepare("")

    @property
    def home(self) -> Path | None:
        """Where the first gallery is kept; None where it has no files."""
        return self._home

    @property
    def first(self) -> Retriever:
        """Over the gallery that it begins with, as it was opened last; its methods search all others."""
        return self._open[""]

    def entries(self) -> list[ShelfEntry]:
        """Every gallery, the first one first; also those that cannot be searched, with the reason."""
        self._follow_home()
        first = self._open[""].gallery
        home = ShelfEntry(
            "",
            self._title,
            len(first),
            first.captioned_images,
            root=first.root,
            own=False,
            engine=self._engine_words("", len(first)),
        )
        shipped = [self._shipped_entry(name, folder) for name, folder in self._shipped.items()]
        others = [s for s in list_galleries(self.cache_root) if not self._is_home(s.folder)]
        return [home, *shipped, *map(self._own_entry, others)]

    def entry(self, name: str) -> ShelfEntry:
        """The gallery of that name.

        Raises:
            GalleryError: there is none.
        """
        found = next((entry for entry in self.entries() if entry.name == name), None)
        if found is None:
            raise GalleryError(f"There is no gallery {name[:40]!r} any more.", "Choose another gallery.")
        return found

    def retriever(self, name: str = "") -> Retriever:
        """The retriever over a gallery as it is on disk now.

        It is opened when it is asked for the first time, and anew when its manifest was replaced since. A search that
        is under way keeps the one that it has.

        Args:
            name: `ShelfEntry.name`, or what it was before the gallery was renamed.

        Raises:
            GalleryError: it is not there (any more), or cannot be searched with these models.
        """
        name = self.present_name(name)
        held = self._open.get(name)
        if held is not None and self._is_current(name):
            return held
        with self._lock:
            if name not in self._open or not self._is_current(name):
                self._open_now(name)
            return self._open[name]

    def present_name(self, name: str) -> str:
        """The name that a gallery has now, by one that it had before; `name` where none, or more than one, had it."""
        if not name:
            self._follow_home()
        try:
            folder = self._folder(name)
        except GalleryError:  # no gallery was ever called so
            return name
        if folder is None or folder.exists():
            return name
        found = renamed(self.cache_root, name)
        return found.name if found else name

    def renamed_entry(self, title: str) -> ShelfEntry | None:
        """The gallery that was called so before it was renamed; None where one is called so now, or none or several were."""
        entries = self.entries()
        if any(entry.title.casefold() == title.casefold() for entry in entries):
            return None
        folder = renamed(self.cache_root, title)
        name = "" if folder is not None and self._is_home(folder) else folder and folder.name
        return next((entry for entry in entries if entry.name == name), None)

    def _follow_home(self) -> None:
        """Let the first gallery be the one that it was renamed to."""
        home = self._home
        if home is None or home.exists() or home.parent.absolute() != self.cache_root.absolute():
            return
        if found := renamed(self.cache_root, home.name):
            with self._lock:
                self._home, self.former_homes = found, (*self.former_homes, home)
                self._title = found.name if self._title == home.name else self._title

    def offer(self, name: str, composer: Composer) -> None:
        """Search all galleries with another method as well, or with a newer one of that name."""
        with self._lock:
            for retriever in self._open.values():
                retriever.offer(name, composer)

    def renew(self, name: str) -> None:
        """Open a gallery anew after it was indexed. A search that is under way keeps the one that it has.

        Args:
            name: the gallery's own name, also for the one that the page began with.

        Raises:
            GalleryError: it cannot be opened; what was open stays so.
        """
        with self._lock:
            self._open_now("" if self._is_home(gallery_folder(self.cache_root, name)) else name)

    def drop(self, name: str) -> None:
        """Let go of a gallery that was renamed or deleted; the first one stays."""
        with self._lock:
            if name:
                self._open.pop(name, None)

    def is_taken(self, name: str) -> bool:
        """Whether a gallery of one's own is called so.

        Raises:
            GalleryError: no gallery may be called so.
        """
        return gallery_folder(self.cache_root, name).exists()

    def watch(self, opened: Callable[[Searchable], None]) -> None:
        """Tell `opened` of every gallery that is open and of every one that will be."""
        self._watchers.append(opened)
        for retriever in list(self._open.values()):
            opened(retriever.gallery)

    def title(self, name: str) -> str:
        """How people call a gallery; "" names the first one."""
        return name.removeprefix(SHIPPED) if name else self._title

    def _is_current(self, name: str) -> bool:
        """Whether what is open is what is on disk. A gallery without files of its own cannot change."""
        folder = self._folder(name)
        return folder is None or self._stamps.get(name) == _stamp(folder)

    def _open_now(self, name: str) -> None:
        folder = self._folder(name)
        assert folder is not None, "a gallery without files is open from the beginning"
        stamp = _stamp(folder)  # before it is read: what is replaced meanwhile is noticed the next time
        if (
            stamp is None and not (folder / ROWS).exists()
        ):  # else it was begun, and its folder says how to go on
            raise GalleryError(
                f"The gallery {self.title(name)} is not there any more.", "Choose another gallery."
            )
        self._open[name] = self._opened(folder)
        self._stamps[name] = stamp
        self._prepare(name)

    def _prepare(self, name: str) -> None:
        """What a search in many pictures needs, or by an index, is made in a thread from now on."""
        retriever = self._open[name]
        if retriever.engine_name != DEFAULT:
            retriever.engine.prepare(behind=True)
        if len(retriever.gallery) >= PREPARED_FROM:
            Thread(target=self._prepare_behind, args=(name, retriever), name="prepare", daemon=True).start()

    def _prepare_behind(self, name: str, retriever: Retriever) -> None:
        retriever.prepare()
        time.sleep(CHECKED_AFTER_SECONDS)
        if self._folder(name) is None or is_sound(cast(Gallery, retriever.gallery)):
            return
        _log.warning("Features of %s are damaged. It is opened anew, without them.", retriever.gallery.name)
        with self._lock, suppress(GalleryError):  # what is open stays so
            if self._open.get(name) is retriever:
                self._open_now(name)

    def _opened(self, folder: Path) -> Retriever:
        gallery = open_gallery(
            folder,
            cache_root=self.cache_root,
            image_encoder_fingerprint=self._image,
            text_encoder_fingerprint=self._text,
        )
        for watcher in self._watchers:
            watcher(gallery)
        home = self._open[""]
        # What is on the disk is on no server.
        engine = DEFAULT if home.engine_name == SERVED else home.engine_name
        return Retriever(gallery, home.composers, home.translator, engine=engine)

    def _folder(self, name: str) -> Path | None:
        """Where a gallery is kept; None for a first one that has no files."""
        if not name:
            return self._home
        return self._shipped.get(name) or gallery_folder(self.cache_root, name)

    def _is_home(self, folder: Path) -> bool:
        return self._home is not None and folder.absolute() == self._home.absolute()

    def _shipped_entry(self, name: str, folder: Path) -> ShelfEntry:
        title = name.removeprefix(SHIPPED)
        try:
            manifest = read_manifest(folder)
            refuse_other_models(manifest, self._image, self._text)
        except GalleryError as error:
            return ShelfEntry(name, title, problem=error.message, own=False, remedy=error.remedy)
        return ShelfEntry(name, title, manifest.images, manifest.captioned, own=False)

    def _own_entry(self, summary: GallerySummary) -> ShelfEntry:
        name, problem, remedy = summary.folder.name, summary.problem, summary.remedy
        images, captioned, others = summary.images, summary.captioned, False
        if not problem:
            try:
                refuse_other_models(read_manifest(summary.folder), self._image, self._text)
            except GalleryError as error:
                problem, remedy, others = error.message, error.remedy, isinstance(error, OtherModels)
        if name in self._open and self._is_current(name):  # captions may have come in since
            gallery = self._open[name].gallery
            images, captioned = len(gallery), gallery.captioned_images
        inside = summary.root is not None and summary.root.is_relative_to(summary.folder)
        busy = is_being_written(summary.folder)
        words = "" if problem else self._engine_words(name, images)
        return ShelfEntry(
            name, name, images, captioned, problem, summary.root, True, inside, remedy, busy, words, others
        )

    def _engine_words(self, name: str, images: int) -> str:
        """What is said of an index by an open gallery that has one; that there could be one where it would help."""
        engine_name, held = self._open[""].engine_name, self._open.get(name)
        if held is not None and engine_name != DEFAULT:
            return held.engine.promise(Linear({})).note
        return PROPOSAL if engine_name == DEFAULT and images >= PROPOSED_FROM else ""


def _stamp(folder: Path) -> Stamp | None:
    """Which manifest is in a gallery's folder; None when there is none."""
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _stamp_of(gallery: Searchable) -> Stamp | None:
    """Which manifest an open gallery was read from; None when it was replaced meanwhile, or is none of the disk."""
    if gallery.folder is None:
        return None
    stamp = _stamp(gallery.folder)
    try:
        return stamp if read_manifest(gallery.folder).written == gallery.written else None
    except GalleryError:
        return None
