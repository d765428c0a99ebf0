"""Index one folder after the other in a thread, whoever is watching: a page may be closed meanwhile.

It drives `index_folder`, keeps the latest progress for all who ask, and says when a gallery can be opened
anew. It knows neither the page nor a model library.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock, Thread

from cir.errors import CirError, GalleryError
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.manifest import MANIFEST, gallery_folder
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.surroundings import in_words_for_the_page

RENEW_SECONDS = 15.0  # between two openings of a gallery whose captions are coming in
BACKGROUND_BATCH = 8  # images: a search that comes in waits for no more than these
IDLE, RUNNING, STOPPING, STOPPED, FINISHED, FAILED = (
    "idle",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexingJob:
    """The present or the last indexing.

    Attributes:
        name: of the gallery; "" before the first.
        root: the folder of its images.
        exclude: patterns that are left out; None for those of the run before.
        state: one of the constants of this module.
        progress: how far it is; None before the folder was looked through.
        problem: why it failed.
    """

    name: str = ""
    root: Path | None = None
    state: str = IDLE
    progress: IndexingProgress | None = None
    problem: CirError | None = None
    exclude: tuple[str, ...] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it still works, if only to end."""
        return self.state in (RUNNING, STOPPING)


class Indexer:
    """One indexing at a time. Killed at any moment, at most a batch is lost: see `index_folder`."""

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder | None,
        captioner: Callable[[], Captioner | None],
        cache_root: Path,
        renew: Callable[[str], None],
        captions_per_image: int = 5,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        """An indexer that does nothing yet.

        Args:
            image_encoder, text_encoder: as for `index_folder`.
            captioner: gives the captioner, which may take a while, or None.
            cache_root: where galleries are kept.
            renew: told the name of a gallery whenever there is more of it to search.
            captions_per_image: how many.
            renew_seconds: the shortest time between two calls of `renew` while captions come in.
        """
        self._image_encoder, self._text_encoder, self._captioner = image_encoder, text_encoder, captioner
        self._cache_root, self._renew, self._per_image = cache_root, renew, captions_per_image
        self._renew_seconds = renew_seconds
        self._job = IndexingJob()
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def job(self) -> IndexingJob:
        """How things stand now."""
        return self._job

    def start(
        self,
        root: Path,
        name: str,
        *,
        confirm_purge: bool = False,
        exclude: tuple[str, ...] | None = None,
    ) -> None:
        """Index `root` as gallery `name`, or go on with it, or bring it up to date.

        Args:
            root, name: of the gallery.
            confirm_purge, exclude: as for `index_folder`.

        Raises:
            GalleryError: another gallery is being indexed.
        """
        with self._lock:
            if self._job.is_running:
                raise GalleryError(
                    f"{self._job.name} is being indexed.", "Wait until it is ready, or stop it first."
                )
            self._stop.clear()
            self._job = IndexingJob(name, root, RUNNING, exclude=exclude)
            self._thread = Thread(target=self._run, args=(root, name, confirm_purge), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the present batch. What is indexed is kept, and can be searched."""
        with self._lock:
            if self._job.state == RUNNING:
                self._job = replace(self._job, state=STOPPING)
                self._stop.set()

    def forget(self, name: str) -> None:
        """Let go of the last indexing of a gallery that was renamed or deleted: there is nothing to go on with."""
        with self._lock:
            if self._job.name == name and not self._job.is_running:
                self._job = IndexingJob()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the present indexing is over."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, root: Path, name: str, confirm_purge: bool) -> None:
        try:
            self._index(root, name, confirm_purge)
            if (gallery_folder(self._cache_root, name) / MANIFEST).is_file():
                self._renew(name)
        except CirError as error:
            self._end(FAILED, error)
        except Exception as error:
            if told := in_words_for_the_page(error):
                self._end(FAILED, told)
                return
            fault = secrets.token_hex(4)
            logger.exception("fault %s while %s was indexed", fault, name)
            remedy = f"Go on with it. If it stays, the log has the details under {fault}."
            self._end(FAILED, GalleryError(f"Something went wrong while {name} was indexed.", remedy))
        else:
            self._end(STOPPED if self._stop.is_set() else FINISHED)

    def _index(self, root: Path, name: str, confirm_purge: bool) -> None:
        steps = index_folder(
            root,
            name=name,
            image_encoder=self._image_encoder,
            text_encoder=self._text_encoder,
            captioner=self._captioner(),
            captions_per_image=self._per_image,
            cache_root=self._cache_root,
            batch_size=BACKGROUND_BATCH,
            confirm_purge=confirm_purge,
            exclude=self._job.exclude,
        )
        due = 0.0  # the first progress of the stage "captions" says that all images can be searched
        with closing(steps):
            for progress in steps:
                self._note(progress)
                if self._stop.is_set():
                    return
                if progress.stage == "captions" and time.monotonic() >= due:
                    began = time.monotonic()
                    self._renew(name)
                    took = time.monotonic() - began
                    due = time.monotonic() + max(self._renew_seconds, 20 * took)

    def _note(self, progress: IndexingProgress) -> None:
        with self._lock:
            self._job = replace(self._job, progress=progress)

    def _end(self, state: str, problem: CirError | None = None) -> None:
        with self._lock:
            self._job = replace(self._job, state=state, problem=problem)
