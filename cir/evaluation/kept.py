"""What a long run keeps line by line, so that a stop costs one line at most: JSON lines, and captions of references."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cir.errors import DatasetError
from cir.models.protocols import Captioner


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, none when it is not there. A last line that was cut short is taken off it.

    Raises:
        DatasetError: a whole line that is no JSON object.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):  # killed in the middle of a line: what follows would be glued to it
        with path.open("r+b") as file:
            file.truncate(whole)
    rows = []
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _damaged(path, number) from error
        if not isinstance(row, dict):
            raise _damaged(path, number)
        rows.append(row)
    return rows


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Add one object, and leave nothing of it in this process."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _damaged(path: Path, number: int) -> DatasetError:
    return DatasetError(f"Line {number} of {path} is damaged.", "Delete that line; it will be made again.")


class CaptionBook:
    """A captioner whose captions are written down: the same picture is captioned once, over all runs.

    Args:
        path: JSON lines {"image": hash of the pixels, the number and the seed, "captions": texts}.
        captioner: who captions what is not in the book.
    """

    def __init__(self, path: Path, captioner: Captioner) -> None:
        self.path, self.captioner = path, captioner
        self.fingerprint = captioner.fingerprint
        self._known: dict[str, list[str]] = {row["image"]: row["captions"] for row in read_lines(path)}

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        """The captions in the book, or new ones, which are written down at once."""
        return [self._caption(image, per_image, seed) for image in images]

    def _caption(self, image: Image.Image, per_image: int, seed: int) -> list[str]:
        digest = hashlib.blake2b(image.tobytes(), digest_size=12)
        digest.update(f"{image.size} {per_image} {seed}".encode())
        key = digest.hexdigest()
        if key not in self._known:
            found = self.captioner.caption([image], per_image=per_image, seed=seed)[0]
            append_line(self.path, {"image": key, "captions": found})
            self._known[key] = found
        return list(self._known[key])
