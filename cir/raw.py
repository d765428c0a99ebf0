"""Raw camera file -> the preview that the camera put into it, or the developed picture where there is none.

The only place that knows rawpy, which is optional: `pip install -r requirements-raw.txt`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from cir.errors import BadImage
from cir.formats import RAW_PACKAGE, raw_is_readable

MOST_DEVELOPED = 64_000_000  # pixels of a sensor: developing takes some 16 bytes for each
# How the sensor's picture is turned, in LibRaw's numbers: 1 mirrors it, 2 turns it over, 4 exchanges its sides.
_TURNS = {
    1: Image.Transpose.FLIP_LEFT_RIGHT,
    2: Image.Transpose.FLIP_TOP_BOTTOM,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.TRANSPOSE,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
}


@dataclass(frozen=True, slots=True)
class Preview:
    """The preview in a raw file.

    Attributes:
        picture: a JPEG file, or an image.
        flip: how the raw file says that it is to be turned, in LibRaw's numbers.
        is_wide: whether the sensor's picture is wider than high, before it is turned.
    """

    picture: bytes | Image.Image
    flip: int
    is_wide: bool

    def turn_of(self, image: Image.Image) -> Image.Transpose | None:
        """What makes the preview upright; None where it is, because the camera has turned it."""
        swaps_sides = self.flip >= 4
        if swaps_sides and image.width != image.height and (image.width > image.height) != self.is_wide:
            return None
        return _TURNS.get(self.flip)


def embedded_preview(data: bytes, name: str) -> Preview | None:
    """The largest preview in a raw file; None where there is none that can be taken out.

    Raises:
        BadImage: the package is not installed, the file is none that it knows, or it is damaged.
    """
    with _opened(data, name) as (raw, rawpy):
        try:
            thumb = raw.extract_thumb()
        except (
            rawpy.LibRawError
        ):  # none, of a kind that LibRaw does not know, or damaged: then it is developed
            return None
        is_jpeg = thumb.format == rawpy.ThumbFormat.JPEG
        picture = bytes(thumb.data) if is_jpeg else _bitmap(np.asarray(thumb.data))
        return Preview(picture, raw.sizes.flip, raw.sizes.width > raw.sizes.height) if picture else None


def _bitmap(values: np.ndarray) -> Image.Image | None:
    """A preview without a format: grey or RGB, of 8 or 16 bits; None for anything else."""
    if values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    is_grey, is_rgb = values.ndim == 2, values.ndim == 3 and values.shape[2] == 3
    return (
        Image.fromarray(values) if values.size and values.dtype == np.uint8 and (is_grey or is_rgb) else None
    )


def developed(data: bytes, name: str) -> Image.Image:
    """The picture itself, upright, at half its size.

    Raises:
        BadImage: as `embedded_preview`; or it has more than 64 megapixels.
    """
    with _opened(data, name) as (raw, _):
        if raw.sizes.raw_width * raw.sizes.raw_height > MOST_DEVELOPED:
            raise BadImage(f"{name} has no preview and is too large to be developed.", "Save it as JPEG.")
        made = _bitmap(np.squeeze(raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)))
        if made is None:
            raise BadImage(f"{name} has pixels of a kind that is not read.", "Save it as JPEG.")
        return made


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[tuple[Any, Any]]:
    if not raw_is_readable():
        message = f"{name} is a raw camera file, and the package that reads them is not installed."
        raise BadImage(message, f"Install it: pip install {RAW_PACKAGE}. Or save the picture as JPEG.")
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            yield raw, rawpy
    except BadImage:
        raise
    except Exception as error:  # rawpy has errors of its own, and lets those of numpy and of Python through
        message = f"{name} is damaged, or no raw camera file that can be read."
        raise BadImage(message, "Save it as JPEG.") from error
