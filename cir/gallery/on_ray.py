"""Reads, encodes and captions a folder's pictures on a Ray cluster: on this computer's processors, or on several computers.

Tasks read pictures, actors hold the models, and this process keeps what comes. It alone writes, so a gallery made so is as any
other, and is gone on with in the same way. Imported once a cluster is there (`ray_cluster`).

Ray's tasks and actors are used, not Ray Data: that begins a task anew without end when its process dies, or drops the block that it was
about, and a picture that ends its reader has to be found and named.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cir.environment import set_defaults
from cir.errors import GalleryError, OtherModels
from cir.files import WalkedFile
from cir.gallery.captioning import CaptionedPage, CaptionPage, caption_page
from cir.gallery.encoding import EncodedBatch, Encoders, Reading, encode_fresh
from cir.gallery.reading import Loaded, batches, load

SHARE = (
    0.5  # of a processor: what reads and what encodes share one, and neither may keep the other from starting
)
MEGAPIXELS = 25  # of a batch: a few wait for each actor
WAITING = 2  # calls at each actor, so that it need not wait for the next
TRIES = 2  # of a picture, or of a batch, before it is said to have ended its process
ENDED = "it ended the process that {} it"
Build = Callable[[], Encoders]
Pixels = dict[str, NDArray[np.uint8]]
Thing = TypeVar("Thing")
Result = TypeVar("Result")


class SortedHashes(Container[str]):
    """Content hashes as one array, which the processes of a computer share without a copy."""

    def __init__(self, hashes: Collection[str]) -> None:
        self.rows = np.sort(np.array(list(hashes), "S"))

    def __contains__(self, content: object) -> bool:
        wanted = str(content).encode()
        place = int(np.searchsorted(self.rows, wanted))
        return place < len(self.rows) and self.rows[place] == wanted


def read_files(
    reading: Reading, files: Sequence[WalkedFile], known: Container[str]
) -> tuple[tuple[list[Loaded], list[str]], Pixels]:
    """Read the first of these files, as many as make a batch.

    Returns:
        What was read, without images, with the contents that were decoded; and content hash -> (H, W, 3) pixels.

    Raises:
        GalleryError: the folder is not there on the computer that this runs on.
    """
    if not reading.root.is_dir():
        message = f"The folder {reading.root.name} is not there on {platform.node()}."
        raise GalleryError(
            message, "Every computer of the cluster has to see the pictures under the same path."
        )
    loaded = (load(reading.root, file, known, thumbnail=reading.thumbnails) for file in files)
    batch = next(batches(loaded, reading.batch_size, MEGAPIXELS))
    pixels = {one.content: np.asarray(one.image) for one in batch if one.image is not None}
    return ([replace(one, image=None) for one in batch], list(pixels)), pixels


class Model:
    """The models in a process of their own, where they are built when they are first asked.

    Args:
        build: builds them.
        fingerprints: of those that they have to be.
    """

    def __init__(self, build: Build, fingerprints: tuple[str, str, str]) -> None:
        self._build, self._wanted = build, fingerprints
        self._built: Encoders | None = None

    def encode(self, pixels: Pixels, contents: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """See `encode_fresh`."""
        images = {content: Image.fromarray(pixels[content]) for content in contents}
        return encode_fresh(self._encoders().images, images)

    def caption(self, reading: Reading, page: CaptionPage, per_image: int) -> CaptionedPage:
        """See `caption_page`."""
        models = self._encoders()
        return caption_page(reading.root, page, models.captioner, models.texts, per_image=per_image)

    def _encoders(self) -> Encoders:
        if self._built is None:
            set_defaults()
            built = self._build()
            if built.fingerprints != self._wanted:
                wanted, found = ", ".join(self._wanted), ", ".join(built.fingerprints)
                message = f"The models on {platform.node()} are {found}; here they are {wanted}."
                raise OtherModels(message, "Every computer of the cluster needs the same version and models.")
            self._built = built
        return self._built


class RayWorkers:
    """Asks the cluster that this process is connected to. See `Workers`.

    A process that dies is replaced, and what it was asked is asked again. What several of them die of is taken apart: each
    picture is tried alone, and left out with its reason if it ends its process again.

    Args:
        build: builds the models where they are used; it has to be importable there.
        fingerprints: of what it builds.
        gpus: whether the models are built on GPUs, one process on each, where the cluster has some. Else on processors.
        read: reads files, see `read_files`.
    """

    def __init__(
        self,
        build: Build,
        fingerprints: tuple[str, str, str],
        *,
        gpus: bool = True,
        read: Callable[..., Any] = read_files,
    ) -> None:
        places = _places("CPU") or [""]
        self._processors = len(places)
        on_gpus = _places("GPU") if gpus else []
        needs: dict[str, Any] = {"num_gpus": 1, "num_cpus": 0} if on_gpus else {"num_cpus": SHARE}
        model: Any = ray.remote(max_restarts=-1, max_task_retries=TRIES - 1, **needs)(Model)
        self._models = [
            model.options(scheduling_strategy=_preferably(place)).remote(build, fingerprints)
            for place in on_gpus or places
        ]
        self._asked: list[list[Any]] = [[] for _ in self._models]
        self._read: Any = ray.remote(num_cpus=SHARE, num_returns=2, max_retries=TRIES - 1)(read)

    def encode(
        self, reading: Reading, files: Iterable[WalkedFile], known: Collection[str]
    ) -> Iterator[EncodedBatch]:
        """See `Workers`."""
        claimed: set[str] = set()  # contents that are being encoded
        waiting: deque[tuple[_Read, list[str], Any]] = deque()
        for one in self._read_ahead(reading, iter(files), ray.put(SortedHashes(known))):
            fresh = [content for content in one.contents if content not in known and content not in claimed]
            claimed.update(fresh)
            waiting.append((one, fresh, self._ask("encode", one.pixels, fresh) if fresh else None))
            if len(waiting) > WAITING * len(self._models):
                yield self._encoded(*waiting[0])
                claimed.difference_update(waiting.popleft()[1])
        yield from (self._encoded(*one) for one in waiting)

    def caption(
        self, reading: Reading, pages: Iterable[CaptionPage], per_image: int
    ) -> Iterator[CaptionedPage]:
        """See `Workers`."""
        waiting: deque[tuple[CaptionPage, Any]] = deque()
        for page in pages:
            waiting.append((page, self._ask("caption", reading, page, per_image)))
            if len(waiting) > WAITING * len(self._models):
                yield from self._captioned(*waiting.popleft(), reading, per_image)
        for page, answer in waiting:
            yield from self._captioned(page, answer, reading, per_image)

    def _read_ahead(self, reading: Reading, files: Iterator[WalkedFile], known: Any) -> Iterator[_Read]:
        """Read files in their order, a few batches ahead of who takes them."""
        waiting: deque[tuple[list[WalkedFile], Any]] = deque()
        while True:
            while len(waiting) <= self._processors and (part := list(islice(files, reading.batch_size))):
                waiting.append((part, self._read.remote(reading, part, known)))
            if not waiting:
                return
            part, answer = waiting.popleft()
            read = self._read_parts(reading, part, answer, known)
            done = sum(len(one.files) for one in read)
            if rest := part[done:]:  # the pixels of all were too many for one batch
                waiting.appendleft((rest, self._read.remote(reading, rest, known)))
            yield from read

    def _read_parts(self, reading: Reading, part: list[WalkedFile], answer: Any, known: Any) -> list[_Read]:
        """What came of a task that reads; of each file for itself where it died."""

        def told(answer: Any) -> _Read:
            about, pixels = answer
            files, contents = _get(about)
            return _Read(files, contents, pixels)

        try:
            return [told(answer)]
        except RayError:
            alone = _each_alone(part, lambda file: told(self._read.remote(reading, [file], known)))
        return [alone.get(file) or _Read([Loaded(file, reason=ENDED.format("reads"))], []) for file in part]

    def _encoded(self, read: _Read, fresh: list[str], answer: Any) -> EncodedBatch:
        """What came of a call of `Model.encode`; of each picture for itself where its process died."""
        if answer is None:
            return EncodedBatch(read.files, {})
        try:
            return EncodedBatch(read.files, _get(answer))
        except RayError:
            alone = _each_alone(fresh, lambda content: _get(self._ask("encode", read.pixels, [content])))
        features = {content: rows[content] for content, rows in alone.items()}
        ended = set(fresh) - features.keys()
        reason = ENDED.format("encodes")
        files = [replace(one, reason=reason) if one.content in ended else one for one in read.files]
        return EncodedBatch(files, features)

    def _captioned(
        self, page: CaptionPage, answer: Any, reading: Reading, per_image: int
    ) -> Iterator[CaptionedPage]:
        """What came of a call of `Model.caption`; of each content for itself where its process died."""
        try:
            yield _get(answer)
            return
        except RayError:
            pages = {
                content: CaptionPage({content: copies}, {c: t for c, t in page.texts.items() if c == content})
                for content, copies in page.copies.items()
            }
        alone = _each_alone(
            list(pages), lambda content: _get(self._ask("caption", reading, pages[content], per_image))
        )
        for content, copies in page.copies.items():
            yield alone.get(content) or CaptionedPage(1, skipped=[(copies[0], ENDED.format("captions"))])

    def _ask(self, what: str, *arguments: Any) -> Any:
        """Call a method of the models that have the fewest calls to answer."""
        for calls in self._asked:
            if calls:
                calls[:] = ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=False)[1]
        place = min(range(len(self._models)), key=lambda i: len(self._asked[i]))
        answer = getattr(self._models[place], what).remote(*arguments)
        self._asked[place].append(answer)
        return answer


@dataclass(frozen=True, slots=True)
class _Read:
    """Files that were read, the contents of those that were decoded, and where their pixels are."""

    files: list[Loaded]
    contents: list[str]
    pixels: Any = None


def _places(kind: str) -> list[str]:
    """The nodes that are there, each as often as it has that kind of resource."""
    nodes = (node for node in ray.nodes() if node["Alive"])
    return [node["NodeID"] for node in nodes for _ in range(int(node["Resources"].get(kind, 0)))]


def _preferably(node: str) -> Any:
    """On that node as long as it is there; anywhere without one."""
    return NodeAffinitySchedulingStrategy(node, soft=True) if node else None


def _get(answer: Any) -> Any:
    """The value that another process gives.

    Raises:
        RayError: that process, or the value, is gone.
        Exception: what was raised there.
    """
    try:
        return ray.get(answer)
    except RayTaskError as error:
        raise error.cause from error


def _each_alone(things: Sequence[Thing], ask: Callable[[Thing], Result]) -> dict[Thing, Result]:
    """Results of the things that do not end the process that works on them.

    Raises:
        GalleryError: all of several end it, so that it is not them.
    """
    found: dict[Thing, Result] = {}
    last: RayError | None = None
    for thing in things:
        try:
            found[thing] = ask(thing)
        except RayError as error:
            last = error
    if len(things) > 1 and not found:
        message = f"The processes of the Ray cluster die: {str(last).partition(chr(10))[0]}"
        remedy = "See that every computer has enough memory, and index again: what was done is kept."
        raise GalleryError(message, remedy) from last
    return found
