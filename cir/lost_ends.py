"""Whether a file is shorter than it says that it is: cut short by a copy, a download or a full disk.

It is asked before a decoder, to look closer where that is so, or after it has given up, for the reason. It decodes no
pixel.
"""

from __future__ import annotations

from cir.boxes import boxes, is_boxed
from cir.salvage import is_jpeg, is_png, is_webp, png_chunks
from cir.tiff_tags import STRIP_BYTES, STRIPS, TILE_BYTES, TILES, first_tags, is_tiff

_JPEG_END, _MOST_AFTER_JPEG = b"\xff\xd9", 1 << 20  # phones put films and depths behind a picture
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def is_cut_short(data: bytes, error: Exception | None = None) -> bool:
    """Whether the end of a picture's file is missing.

    Args:
        data: the file.
        error: what its decoder raised, if it was asked.
    """
    if data.startswith(b"BM"):  # so may a text, and the decoder calls every file of this kind truncated
        return int.from_bytes(data[14:18], "little") in _BMP_HEADERS and _bmp_length(data) > len(data)
    if error is not None and "truncated" in str(error).lower():
        return True
    if is_jpeg(data):
        return error is None and _JPEG_END not in data[-_MOST_AFTER_JPEG:]
    if is_png(data):
        chunks = list(png_chunks(data))
        return not chunks or chunks[-1][0] != b"IEND" or chunks[-1][2] > len(data)
    if is_webp(data):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if is_boxed(data):
        found = list(boxes(data))
        return not found or found[-1][2] > len(data) or found[-1][0] in (b"ftyp", b"meta")
    if is_tiff(data):
        return _tiff_is_cut(data)
    if data.startswith(b"GIF8"):
        return b";" not in data[-2:]
    return False


def _bmp_length(data: bytes) -> int:
    return int.from_bytes(data[2:6], "little")


def _tiff_is_cut(data: bytes) -> bool:
    try:
        tags = first_tags(data)
    except EOFError:
        return True
    starts, sizes = tags.get(STRIPS, tags.get(TILES, ())), tags.get(STRIP_BYTES, tags.get(TILE_BYTES, ()))
    return any(start + size > len(data) for start, size in zip(starts, sizes, strict=False))
