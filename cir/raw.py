"""Raw camera file -> the preview that the camera put into it, or the developed picture where there is none.

The only place that knows rawpy, which is optional: `pip install -r requirements-raw.txt`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from cir.errors import BadImage
from cir.formats import RAW_PACKAGE, raw_is_readable

MOST_DEVELOPED = 64_000_000  # pixels of a sensor: developing takes some 16 bytes for each
_TURNS = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}


def embedded_preview(data: bytes, name: str) -> tuple[bytes | Image.Image | None, Image.Transpose | None]:
    """The largest preview in a raw file, and how it is to be turned unless it says so itself.

    Returns:
        A JPEG file, an image, or None where there is no preview; and a turn, or None.

    Raises:
        BadImage: the package is not installed, the file is none that it knows, or it is damaged.
    """
    with _opened(data, name) as (raw, rawpy):
        turn = _TURNS.get(raw.sizes.flip)
        try:
            thumb = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            return None, None
        if thumb.format == rawpy.ThumbFormat.JPEG:
            return bytes(thumb.data), turn
        return Image.fromarray(thumb.data), turn


def developed(data: bytes, name: str) -> Image.Image:
    """The picture itself, upright, at half its size.

    Raises:
        BadImage: as `embedded_preview`; or it has more than 64 megapixels.
    """
    with _opened(data, name) as (raw, _):
        if raw.sizes.raw_width * raw.sizes.raw_height > MOST_DEVELOPED:
            raise BadImage(f"{name} has no preview and is too large to be developed.", "Save it as JPEG.")
        return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8))


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[tuple[Any, Any]]:
    if not raw_is_readable():
        message = f"{name} is a raw camera file, and the package that reads them is not installed."
        raise BadImage(message, f"Install it: pip install {RAW_PACKAGE}. Or save the picture as JPEG.")
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            yield raw, rawpy
    except rawpy.LibRawError as error:
        message = f"{name} is damaged, or no raw camera file that can be read."
        raise BadImage(message, "Save it as JPEG.") from error
