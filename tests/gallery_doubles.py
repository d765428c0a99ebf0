"""Toy models, pictures and processes for the tests of galleries: quick, deterministic, and they count."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.gallery.gallery import Gallery
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.opening import open_gallery

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white", "brown", "pink")


class ToyEncoder:
    """Image features are the colours of four quarters, plus one; text features a hash of the words."""

    dim = 12

    def __init__(self, fingerprint: str = "toy-1", *, log: Path | None = None, spoil: object = None) -> None:
        self.fingerprint, self.log, self.spoil = fingerprint, log, spoil
        self.encoded, self.texts = 0, 0

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        if self.log is not None:
            with open(self.log, "ab", buffering=0) as file:
                file.write(b"%d\n" % len(images))
        self.encoded += len(images)
        rows = np.stack([np.asarray(image.resize((2, 2)), np.float32).ravel() for image in images])
        spoilt = rows[:, 1] == 255  # pure green at the first corner
        rows = rows / 255.0 + float(sum(map(ord, self.fingerprint)) % 7 + 1)
        if self.spoil is not None:
            rows[spoilt] = self.spoil
        return rows.astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        seeds = [sum(i * ord(c) for i, c in enumerate(text + self.fingerprint, 1)) for text in texts]
        rows = np.stack([np.random.default_rng(seed).normal(size=self.dim) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


class ToyCaptioner:
    """Names the colour in the middle."""

    def __init__(self, fingerprint: str = "captions-1") -> None:
        self.fingerprint, self.captioned = fingerprint, 0

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        self.captioned += len(images)
        middles = [image.getpixel((image.width // 2, image.height // 2)) for image in images]
        return [[f"a picture of {middle}, look {k}" for k in range(per_image)] for middle in middles]


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A temporary folder, in memory where the system has such: waiting for a disk would be most of a test."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="gallery-test-") as folder:
        yield Path(folder)


def paint(path: Path, seed: int = 0) -> Path:
    """Write a small lossless picture whose content is decided by `seed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 254, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def paint_folder(root: Path, count: int, first: int = 0) -> Path:
    """`count` pictures with different contents."""
    for seed in range(first, first + count):
        paint(root / f"{seed:04}.png", seed)
    return root


def index(root: Path, cache: Path, **options: object) -> list[IndexingProgress]:
    """Index with the toys, to the end."""
    settings: dict = {"name": "toys", "image_encoder": ToyEncoder(), "batch_size": 2, "thumbnails": False}
    return list(index_folder(root, cache_root=cache, **{**settings, **options}))


def opened(cache: Path, name: str | Path = "toys", image: str = "toy-1", text: str | None = None) -> Gallery:
    """Open with the toys' fingerprints."""
    return open_gallery(
        name, cache_root=cache, image_encoder_fingerprint=image, text_encoder_fingerprint=text
    )


def contents(gallery: Gallery) -> dict[str, tuple[list[float], list[float], list[str]]]:
    """Everything a gallery says of each image, by its label, to be compared."""
    return {
        gallery.label(image_id): (
            gallery.raw_features(image_id).round(4).tolist(),
            gallery.caption_features[gallery.find(image_id)].round(5).tolist(),
            gallery.captions(image_id),
        )
        for image_id in gallery.image_ids
    }


def assert_rows_are_right(gallery: Gallery, encoder: ToyEncoder) -> None:
    """Every row is what the encoder says of that very file."""
    for image_id in gallery.image_ids:
        with Image.open(gallery.image_path(image_id)) as image:
            expected = encoder.encode_images([image.convert("RGB")])[0]
        np.testing.assert_allclose(gallery.raw_features(image_id), expected, rtol=1e-5)


def fork(work: Callable[[], object], *, nobody: bool = False) -> int:
    """Start `work` in a process of its own; its exit code is 0, or 1 after an exception. Returns the pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if nobody and os.geteuid() == 0:  # root may do everything: give that up
            os.setgid(65534)
            os.setuid(65534)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def exit_code(pid: int) -> int:
    """Wait for a process: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
