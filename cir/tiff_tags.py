"""The first folder of tags in a TIFF file: what its pixels are, and where they lie. No pixel is decoded."""

from __future__ import annotations

import struct

STRIPS, STRIP_BYTES, TILES, TILE_BYTES, SAMPLE_FORMAT = 273, 279, 324, 325, 339
FLOATS = 3  # of SAMPLE_FORMAT
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


def is_tiff(head: bytes) -> bool:
    """Whether these are the first bytes of a TIFF file, of the old or the large kind."""
    return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))


def first_tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """The tags that have whole numbers, and these numbers.

    Raises:
        EOFError: the file ends before the folder does, or before what it points at.
    """
    order, is_large = "<>"[data[:1] == b"M"], data[2:4] in (b"+\0", b"\0+")
    offset, entry = (order + "Q", order + "HHQ8s") if is_large else (order + "I", order + "HHI4s")
    (at,) = _numbers(data, offset, 8 if is_large else 4)
    count_form = order + ("Q" if is_large else "H")
    (count,) = _numbers(data, count_form, at)
    at += struct.calcsize(count_form)
    size = struct.calcsize(entry)
    if at + count * size > len(data):
        raise EOFError
    tags = {}
    for number in range(count):
        tag, kind, length, inline = struct.unpack_from(entry, data, at + number * size)
        whole = length * _SIZES.get(kind, 0)
        place = at + (number + 1) * size - len(inline)
        if whole > len(inline):
            (place,) = _numbers(data, offset, place)
        if place + whole > len(data):
            raise EOFError
        if kind in _WHOLE_NUMBERS:
            tags[tag] = struct.unpack_from(f"{order}{length}{_WHOLE_NUMBERS[kind]}", data, place)
    return tags


def _numbers(data: bytes, form: str, at: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > len(data):
        raise EOFError
    return struct.unpack_from(form, data, at)
