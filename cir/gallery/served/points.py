"""A picture of a gallery as a point on the server, and back: a vector "cat" = [t_v; t_c], and what is known of it.

A picture without captions stands as [t_v; t_v]: then the weight of captions does not move it, as Eq. 9 has it for
pictures that have none. Knows neither client nor server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cir.cache_keys import digest_of
from cir.gallery.gallery import TOP, Gallery, day_of

VECTOR = "cat"
NORMS = ("tv_tv", "tc_tc", "tv_tc")  # fields that follow from the vector
NEAR = 1e-9  # what they may differ by on their way
# Fields of a point that pictures are found by -> what is in them.
INDEXED = {
    "image_id": "keyword",
    "content": "keyword",
    "folders": "keyword",
    "day": "integer",
    "captioned": "bool",
}
_ID_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One picture.

    Attributes:
        image_id: its id in the gallery.
        content: its content hash; "" where it has none.
        relative: its path inside the gallery's folder; b"" for a gallery without files.
        captions: texts.
        taken: when it was taken, ISO 8601; "" for unknown.
        norm: the length of the raw image features.
        image, mean_captions: (D,) t_v, and t_c; zeros where no captions count.
    """

    image_id: str
    content: str
    relative: bytes
    captions: tuple[str, ...]
    taken: str
    norm: float
    image: NDArray[np.float32]
    mean_captions: NDArray[np.float32]

    @property
    def point_id(self) -> int:
        """From the content and the path: the same picture is the same point, however often it is sent. 63 bits."""
        digest = hashlib.blake2b(digest_size=_ID_BYTES)
        digest.update(self.content.encode() + b"\0" + (self.relative or self.image_id.encode()))
        return int.from_bytes(digest.digest()) >> 1

    @property
    def captioned(self) -> bool:
        """Whether captions count."""
        return bool(self.mean_captions.any())

    @property
    def vector(self) -> NDArray[np.float32]:
        """(2 D,) what stands on the server."""
        return np.concatenate([self.image, self.mean_captions if self.captioned else self.image])

    def payload(self) -> dict[str, Any]:
        """What is known of it beside the vector, with a digest of all."""
        found: dict[str, Any] = {
            "image_id": self.image_id,
            "content": self.content,
            "path": self.relative.decode("utf-8", "backslashreplace"),
            "folders": _folders_of(self.relative),
            "captions": list(self.captions),
            "taken": self.taken,
            "norm": self.norm,
            "captioned": self.captioned,
            **_norms(self.vector),
        }
        day = day_of(self.taken, self.relative)
        if day is not None:
            found["day"] = day.toordinal()
        if found["path"].encode() != self.relative:  # a name that is no UTF-8
            found["raw_path"] = self.relative.hex()
        return {**found, "row": _digest(self.vector, found)}


def row_of(payload: Mapping[str, Any], vector: Sequence[float]) -> Row:
    """The picture that a point is.

    Raises:
        KeyError, TypeError, ValueError: it was not made here.
    """
    image, captions = np.split(np.asarray(vector, np.float32), 2)
    return Row(
        payload["image_id"],
        payload["content"],
        path_of(payload),
        tuple(payload["captions"]),
        payload["taken"],
        float(payload["norm"]),
        image,
        captions if payload["captioned"] else np.zeros_like(captions),
    )


def path_of(payload: Mapping[str, Any]) -> bytes:
    """The path of a picture inside its folder."""
    raw = payload.get("raw_path")
    return bytes.fromhex(raw) if raw else payload["path"].encode()


def is_sound(payload: Mapping[str, Any], vector: Sequence[float]) -> bool:
    """Whether a point is what was written."""
    row = np.asarray(vector, np.float32)
    near = all(abs(payload.get(name, np.inf) - value) <= NEAR for name, value in _norms(row).items())
    return near and payload.get("row") == _digest(row, payload)


def rows_of_gallery(gallery: Gallery, at_once: int) -> Iterator[list[Row]]:
    """All pictures of a gallery, some at a time, in its order."""
    for start in range(0, len(gallery), at_once):
        yield some_rows(gallery, np.arange(start, min(start + at_once, len(gallery))))


def some_rows(gallery: Gallery, places: NDArray[np.int64]) -> list[Row]:
    """The pictures at some places of a gallery."""
    images, captions = gallery.image_features[places], gallery.caption_features[places]

    def of(column: Sequence[Any], nothing: Any, place: int) -> Any:
        return column[place] if column else nothing

    return [
        Row(
            str(gallery.image_ids[place]),
            of(gallery.contents, "", place),
            of(gallery.relatives, b"", place),
            tuple(json.loads(of(gallery.texts, "", place) or "[]")),
            of(gallery.taken, "", place),
            float(gallery.norms[place]),
            image,
            mean if gallery.captioned[place] else np.zeros_like(mean),
        )
        for place, image, mean in zip(places.tolist(), images, captions, strict=True)
    ]


def _folders_of(relative: bytes) -> list[str]:
    """Every folder that a picture lies below, as text; TOP for one that lies in none."""
    parts = relative.split(b"/")[:-1]
    folders = [b"/".join(parts[: depth + 1]) for depth in range(len(parts))] or [TOP]
    return [folder_key(folder) for folder in folders] if relative else []


def folder_key(folder: bytes) -> str:
    """A folder as it stands in a point; what is no UTF-8 by its escapes."""
    return folder.decode("utf-8", "backslashreplace")


def ordinal(day: date) -> int:
    """A day as it stands in a point."""
    return day.toordinal()


def _norms(vector: NDArray[np.float32]) -> dict[str, float]:
    image, captions = np.split(vector.astype(np.float64), 2)
    return {
        "tv_tv": float(image @ image),
        "tc_tc": float(captions @ captions),
        "tv_tc": float(image @ captions),
    }


def _digest(vector: NDArray[np.float32], payload: Mapping[str, Any]) -> str:
    """Of everything but what follows from the vector. A server may read float64 with another last digit, float32 not."""
    known = {name: value for name, value in payload.items() if name not in {"row", "norm", *NORMS}}
    return digest_of(np.ascontiguousarray(vector), np.float32(payload["norm"]).tobytes(), known)
