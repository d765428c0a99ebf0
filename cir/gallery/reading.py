"""Files of a folder -> content hashes and images, read ahead by a few threads, in batches of bounded size."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cir.errors import BadImage
from cir.files import WalkedFile, content_hash, name_of, read_bytes
from cir.images import make_thumbnail, read_dated_image
from cir.processors import processors

MOST_READERS = 4
BATCH_MEGAPIXELS = 100  # 300 MB of pixels that wait to be encoded
BATCH_FILES = 512


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file that was read.

    Attributes:
        file: its path, with the size and time it had when it was read.
        content: its content hash; "" when it could not be read.
        image: its image; None when that is not wanted or not possible.
        reason: why it is left out, or "".
        taken: when the picture was taken, as `read_dated_image` says it.
        thumbnail: the image made small, as the bytes of a file; empty when that is not wanted.
    """

    file: WalkedFile
    content: str = ""
    image: Image.Image | None = None
    reason: str = ""
    taken: str = ""
    thumbnail: bytes = b""


def load(root: Path, file: WalkedFile, known: Container[str], *, thumbnail: bool = False) -> Loaded:
    """Read a file once, and decode it unless its content is known.

    Args:
        root: the folder of images.
        file: a file that a walk met; its size and time may be outdated.
        known: content hashes whose image is not wanted.
        thumbnail: make it as well.
    """
    path = root / os.fsdecode(file.relative)
    try:
        before = os.lstat(path)
        data, after = read_bytes(path)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return Loaded(file, reason="it is being written: it will be read next time")
        read = WalkedFile(file.relative, after.st_size, after.st_mtime_ns)
        content = content_hash(data)
        if content in known:
            return Loaded(read, content)
        image, taken = read_dated_image(data, name_of(path))
        small = make_thumbnail(image) if thumbnail else b""
        return Loaded(read, content, image, taken=taken, thumbnail=small)
    except BadImage as error:
        return Loaded(file, reason=error.message)
    except OSError as error:
        return Loaded(file, reason=f"it cannot be read: {(error.strerror or 'unknown reason').lower()}")
    except MemoryError:
        return Loaded(file, reason="there is not enough memory to read it")


def load_ahead(
    root: Path, files: Iterable[WalkedFile], known: Container[str], *, thumbnails: bool = False
) -> Iterator[Loaded]:
    """Load files in their order; a few are read while earlier ones are being encoded."""
    waiting: deque[Future[Loaded]] = deque()
    readers = min(MOST_READERS, processors())
    pool = ThreadPoolExecutor(readers, thread_name_prefix="read")
    try:
        for file in files:
            waiting.append(pool.submit(load, root, file, known, thumbnail=thumbnails))
            if len(waiting) > readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def batches(loaded: Iterable[Loaded], size: int, megapixels: int | None = None) -> Iterator[list[Loaded]]:
    """Group files until `size` images wait, or `megapixels` of them (None: 100), or 512 files."""
    most = (megapixels or BATCH_MEGAPIXELS) * 1_000_000
    batch: list[Loaded] = []
    images, pixels = 0, 0
    for one in loaded:
        batch.append(one)
        if one.image is not None:
            images, pixels = images + 1, pixels + one.image.width * one.image.height
        if images >= size or pixels >= most or len(batch) >= BATCH_FILES:
            yield batch
            batch, images, pixels = [], 0, 0
    if batch:
        yield batch
