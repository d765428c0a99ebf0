"""The boxes of HEIC and AVIF files: which there are, and which colours they say the pixels have. Nothing is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HOLDERS = (b"meta", b"iprp", b"ipco")
_MOST_BOXES = 10_000


def is_boxed(head: bytes) -> bool:
    """Whether these are the first bytes of a file of boxes."""
    return head[4:8] == b"ftyp"


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each box from `start` on; the last one may reach beyond the file."""
    end = len(data) if end is None else end
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        elif size == 0:  # to the end of the file
            size = end - start
        if size < head:
            return
        yield kind, start + head, start + size
        start += size


def colour_code(data: bytes) -> tuple[int, int] | None:
    """The primaries and the transfer function of the pixels, as numbers of H.273; None where none are said."""
    start, end = 0, len(data)
    for holder in _HOLDERS:
        found = next(((a, b) for kind, a, b in boxes(data, start, end) if kind == holder), None)
        if found is None:
            return None
        start, end = found[0] + (4 if holder == b"meta" else 0), min(found[1], end)
    for kind, a, b in boxes(data, start, end):
        if kind == b"colr" and data[a : a + 4] == b"nclx" and a + 8 <= min(b, end):
            return struct.unpack_from(">HH", data, a + 4)
    return None
