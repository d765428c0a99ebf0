"""A picture's file that could not be read -> the same without what hindered it; or what is wrong with it, in words."""

from __future__ import annotations

import io
import random

from PIL import Image

from cir.decoding import draft, refuse_too_large
from cir.errors import BadImage
from cir.formats import unreadable_by_content
from cir.lost_ends import is_cut_short
from cir.salvage import (
    has_first_passes,
    is_jpeg,
    is_progressive,
    is_webp,
    whole_webp_chunks,
    without_jpeg_metadata,
)
from cir.tiff_tags import FLOATS, SAMPLE_FORMAT, first_tags, is_tiff

_SUPPORTED = "Supported are JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC."
_END = b"\xff\xd9"
_NOISE_BYTES = 1 << 16


def mended(data: bytes, error: Exception) -> bytes | None:
    """A file that could not be read, without what hindered it; None when rows of the picture are missing."""
    if is_webp(data):
        return whole_webp_chunks(data)
    if is_jpeg(data):
        return _mended_jpeg(data, error)
    is_judged_by_its_end = data.startswith((b"GIF8", b"BM")) and "truncated" in str(error)
    return _with_end(data, b"") if is_judged_by_its_end else None


def _mended_jpeg(data: bytes, error: Exception) -> bytes | None:
    if "truncated" not in str(error):
        return without_jpeg_metadata(data)
    data = data.rstrip(b"\xff")
    if not is_progressive(data):
        return _with_end(data, _END)
    try:
        return data + _END if has_first_passes(data) else None
    except IndexError:  # a segment that is shorter than its kind
        return None


def _with_end(data: bytes, end: bytes) -> bytes | None:
    """The file with its end; None where rows are missing: then whatever follows is decoded in their place."""
    noise = random.Random(0).randbytes(_NOISE_BYTES).replace(b"\xff", b"")
    endings = (bytes(_NOISE_BYTES) if not end else b"", noise)
    try:
        first, second = (_drafted(data + ending + end) for ending in endings)
    except Exception:  # not only its end is missing
        return None
    return data + endings[0] + end if first.tobytes() == second.tobytes() else None


def _drafted(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("JPEG", "GIF", "BMP"))
    refuse_too_large(image, "")
    draft(image)
    image.load()
    return image


def unsupported(name: str, data: bytes, error: Exception) -> BadImage:
    """The refusal of a file that no decoder takes for its own: what it is, where that can be told.

    Args:
        name: what the file is called.
        data: its content.
        error: what was raised when it was opened.
    """
    kind = unreadable_by_content(data[:64])
    if kind:
        return BadImage(
            f"{name} is not a supported image but one of the {kind.partition(':')[0]}.", _SUPPORTED
        )
    if is_cut_short(data, error):
        return damaged(name, data, error)
    if is_tiff(data):
        return _unsupported_tiff(name, data)
    return BadImage(f"{name} is not a supported image, or it begins damaged.", _SUPPORTED)


def _unsupported_tiff(name: str, data: bytes) -> BadImage:
    if FLOATS in first_tags(data).get(SAMPLE_FORMAT, ()):
        message = f"{name} is a TIFF image whose colours are floating-point numbers, which is not read."
    else:
        message = f"{name} is a TIFF image of a kind that is not read."
    return BadImage(message, "Save it as TIFF or PNG with 8 or 16 bits for each colour.")


def damaged(name: str, data: bytes = b"", error: Exception | None = None) -> BadImage:
    """The refusal of a file that a decoder gave up; it says so where its end is missing.

    Args:
        name: what the file is called.
        data: its content, if there is a file.
        error: what the decoder raised.
    """
    if error is not None and is_cut_short(data, error):
        message = f"{name} is damaged: it is cut short, its end is missing."
        return BadImage(message, "Fetch it anew.")
    return BadImage(f"{name} is damaged: it cannot be decoded to its end.", "Fetch it anew.")
