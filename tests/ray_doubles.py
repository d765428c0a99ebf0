"""Toys for indexing on Ray. The cluster's processes import them from here; what they did, they write into a file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery_doubles import ToyCaptioner, ToyEncoder
from numpy.typing import NDArray
from PIL import Image

from cir.files import read_bytes
from cir.gallery.encoding import Encoders

POISON = b"poison"


class LoggingEncoder(ToyEncoder):
    """Writes a line for each picture that it encodes: the process, its node, and the middle of the picture.

    Args:
        log: where.
        seconds: how long it takes for a picture.
        dies_of: a colour of whose pictures its process dies.
    """

    def __init__(
        self, log: Path | None = None, seconds: float = 0.0, dies_of: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        self.file, self.seconds, self.dies_of = log, seconds, dies_of

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """As the toy."""
        for image in images:
            if image.getpixel((0, 0)) == self.dies_of:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
        rows = super().encode_images(images)
        if self.file is not None:
            import ray

            node = ray.get_runtime_context().get_node_id()
            with open(self.file, "a") as file:
                file.writelines(f"{os.getpid()} {node} {image.getpixel((0, 0))}\n" for image in images)
        return rows


class DeadlyCaptioner(ToyCaptioner):
    """Its process dies of pictures of a colour."""

    def __init__(self, dies_of: tuple[int, int, int]) -> None:
        super().__init__()
        self.dies_of = dies_of

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """As the toy."""
        if any(image.getpixel((0, 0)) == self.dies_of for image in images):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().caption(images, per_image=per_image, seed=seed)


class StubbornEncoder(ToyEncoder):
    """Has a fault."""

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Raises what no picture is to blame for."""
        raise ValueError("the encoder has a fault")


def toys(
    encoder: type[ToyEncoder] = LoggingEncoder, captioner: ToyCaptioner | None = None, **settings: Any
) -> Encoders:
    """The toys as the models of a run."""
    images = encoder(**settings)
    return Encoders(images, images, captioner or ToyCaptioner())


def read_or_die(reading: Any, files: Any, known: Any) -> Any:
    """Read files as ever; but a file that begins like poison ends its process."""
    from cir.gallery.on_ray import read_files

    for file in files:
        if read_bytes(reading.root / os.fsdecode(file.relative))[0].startswith(POISON):
            os.kill(os.getpid(), signal.SIGKILL)
    return read_files(reading, files, known)


def reader_that_tells(log: Path) -> Callable[..., Any]:
    """Reads files as ever, and writes a line each time."""

    def read(reading: Any, files: Any, known: Any) -> Any:
        from cir.gallery.on_ray import read_files

        with open(log, "a") as file:
            file.write("read once more\n")
        return read_files(reading, files, known)

    return read


def lines_of(log: Path) -> list[list[str]]:
    """(process, node, colour) of each picture that was encoded."""
    return [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []
