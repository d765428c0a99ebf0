"""A raw camera file made by hand: a DNG with a JPEG preview and a small sensor image."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image


def dng(preview: Image.Image, *, orientation: int = 1, date: bytes = b"2024:05:17 18:30:00") -> bytes:
    """The file; the preview has no EXIF of its own, as in most cameras' files."""
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=92)
    jpeg, (width, height) = buffer.getvalue(), preview.size
    sensor = (np.arange(64 * 48, dtype=np.uint16) % 4096).tobytes()
    blobs = {
        "bits": struct.pack("<HHH", 8, 8, 8),
        "make": b"Acme\0",
        "model": b"Toy 1\0",
        "date": date.ljust(20, b"\0"),
        "matrix": b"".join(struct.pack("<ii", int(i % 4 == 0), 1) for i in range(9)),
        "neutral": struct.pack("<II", 1, 1) * 3,
        "jpeg": jpeg,
        "sensor": sensor,
    }
    places = dict.fromkeys((*blobs, "sub", "exif"), 0)
    folders = _folders(
        places, width, height, len(jpeg), len(sensor), orientation
    )  # now their lengths are known
    places["sub"] = 8 + len(folders[0])
    places["exif"] = places["sub"] + len(folders[1])
    at = places["exif"] + len(folders[2])
    data = b""
    for name, blob in blobs.items():
        padded = blob + b"\0" * (len(blob) % 2)
        places[name], at, data = at, at + len(padded), data + padded
    folders = _folders(places, width, height, len(jpeg), len(sensor), orientation)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(folders) + data


def _folders(at: dict[str, int], width: int, height: int, jpeg: int, sensor: int, turn: int) -> list[bytes]:
    """Three folders of tags: the preview with what is said of the camera, the sensor image, EXIF."""
    first = [
        (254, 4, 1, 1), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, at["bits"]), (259, 3, 1, 7),
        (262, 3, 1, 6), (271, 2, 5, at["make"]), (272, 2, 6, at["model"]), (273, 4, 1, at["jpeg"]),
        (274, 3, 1, turn), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, jpeg), (306, 2, 20, at["date"]),
        (330, 4, 1, at["sub"]), (34665, 4, 1, at["exif"]), (50706, 1, 4, 0x0401), (50708, 2, 6, at["model"]),
        (50721, 10, 9, at["matrix"]), (50728, 5, 3, at["neutral"]),
    ]  # fmt: skip
    second = [
        (254, 4, 1, 0), (256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 32803),
        (273, 4, 1, at["sensor"]), (277, 3, 1, 1), (278, 4, 1, 48), (279, 4, 1, sensor), (33421, 3, 2, 0x20002),
        (33422, 1, 4, 0x02010100), (50717, 3, 1, 4095),
    ]  # fmt: skip
    return [_folder(first), _folder(second), _folder([(36867, 2, 20, at["date"])])]


def _folder(tags: list[tuple[int, int, int, int]]) -> bytes:
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0\0\0\0"
