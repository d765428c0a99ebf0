"""File -> upright 8-bit RGB image, and image -> thumbnail.

The only place that opens images, so that a gallery image and a query image are read in exactly the same way.
It deliberately knows neither galleries nor models.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from cir.errors import BadImage
from cir.files import (
    WalkedFile,
    content_hash,
    display_name,
    image_id_of,
    name_of,
    open_regular,
    read_bytes,
    unreadable,
)
from cir.formats import is_heif, is_raw_name
from cir.pixels import taken_at, upright_rgb, without_metadata
from cir.raw import developed, embedded_preview
from cir.walking import walk_images

__all__ = [
    "WalkedFile",
    "content_hash",
    "display_name",
    "image_id_of",
    "make_thumbnail",
    "read_bytes",
    "read_dated_image",
    "read_image",
    "size_note",
    "walk_images",
]

MAX_MEGAPIXELS = 50
TINY_SIDE = 16  # pixels
THUMBNAIL_SIDE = 320  # pixels
SMALLEST_PREVIEW = 512  # pixels of its long side; a smaller preview of a raw file is a mere icon

# Never Pillow's default of 43 openers: EPS, FITS and their like are attack surface. MPO arrives through JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SUPPORTED = "Supported are JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC."
_SMALLER = f"Save it smaller, below {MAX_MEGAPIXELS} megapixels."


def read_image(source: str | os.PathLike[str] | bytes | BinaryIO | Image.Image) -> Image.Image:
    """Read an image, upright, as 8-bit RGB.

    The content decides the format, not the name. The first frame or page is taken; transparency is laid on
    white; a strip thinner than 1:20 is set on a white ground.

    Args:
        source: a path, the bytes of a file, an open binary file, or an image of Pillow's (left as it is).

    Returns:
        A new RGB image without metadata.

    Raises:
        BadImage: no regular file, not a supported format, above 50 megapixels (found out before decoding),
            or damaged.
    """
    if isinstance(source, Image.Image):
        return _decode(source, "The image")
    if isinstance(source, bytes):
        return _read_stream(io.BytesIO(source), "The image")
    if isinstance(source, str | os.PathLike):
        with open_regular(Path(source), follow_links=True) as file:
            name = name_of(Path(source))
            return _read_raw(file.read(), name, []) if is_raw(name) else _read_stream(file, name)
    if hasattr(source, "read"):
        return _read_stream(source, "The image")
    raise BadImage(f"An image cannot be read from {type(source).__name__}.", "Give a file.")


def read_dated_image(data: bytes, name: str = "") -> tuple[Image.Image, str]:
    """An image as `read_image` reads it, and when it was taken.

    Args:
        data: the content of a file.
        name: what the file is called. Raw camera files are known by it: they begin like TIFF.

    Returns:
        The image; and the time by its EXIF, as ISO 8601 in the camera's local time, "" when it says none.

    Raises:
        BadImage: as `read_image`.
    """
    dates: list[str] = []
    if is_raw(name):
        return _read_raw(data, "The image", dates), "".join(dates[:1])
    return _read_stream(io.BytesIO(data), "The image", dates), "".join(dates)


def is_raw(name: str) -> bool:
    """Whether a file of this name is a raw camera file. They begin like TIFF, so only the name tells."""
    return is_raw_name(os.fsencode(os.path.splitext(name)[1].lower()))


def size_note(image: Image.Image) -> str:
    """A sentence about an image too small to say much; "" for all others."""
    width, height = image.size
    if min(width, height) >= TINY_SIDE:
        return ""
    return f"This is a tiny image ({width} x {height} pixels): expect little of it."


def make_thumbnail(image: Image.Image, *, max_side: int = THUMBNAIL_SIDE) -> bytes:
    """A small WebP of an image, encoded anew: nothing of the original's metadata is in it."""
    small = without_metadata(image.convert("RGB"))
    small.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()


def _read_stream(stream: BinaryIO, name: str, dates: list[str] | None = None) -> Image.Image:
    try:
        head = stream.read(64)
        stream.seek(0)
    except OSError as error:
        raise unreadable(name, error) from error
    if not head:
        raise BadImage(f"{name} is empty.", "Choose another image.")
    formats = _formats_for(head)
    try:
        with Image.open(stream, formats=formats) as image:
            upright = _decode(image, name)
            if dates is not None:
                dates.append(taken_at(image))
            return upright
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{name} is not a supported image, or it begins damaged.", _SUPPORTED) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"{name} has more than {MAX_MEGAPIXELS} megapixels.", _SMALLER) from error
    except Exception as error:  # decoders raise what they like: RuntimeError, KeyError, SyntaxError...
        raise _damaged(name) from error


def _read_raw(data: bytes, name: str, dates: list[str]) -> Image.Image:
    """The preview in a raw camera file; where it is a mere icon, the developed picture."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:  # most raw files are of its kind
            dates.append(taken_at(image))
    except Exception:  # of another kind: then the preview may know when it was taken
        dates.append("")
    preview, turn = embedded_preview(data, name)
    if isinstance(preview, bytes):
        said: list[str] = []
        image = _read_stream(io.BytesIO(preview), name, said)
        dates[:] = [dates[0] or said[0]]
        turn = None if _says_how_to_turn(preview) else turn
    elif preview is not None:
        image = _decode(preview, name)
    else:
        return _decode(developed(data, name), name)
    image = image if turn is None else image.transpose(turn)
    if max(image.size) >= SMALLEST_PREVIEW:
        return image
    try:
        larger = _decode(developed(data, name), name)
    except BadImage:  # then the icon is all that there is
        return image
    return larger if larger.width > image.width else image


def _says_how_to_turn(jpeg: bytes) -> bool:
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return 0x0112 in image.getexif()


def _decode(image: Image.Image, name: str) -> Image.Image:
    """Pixels of an image whose header is read, once that header promises a bearable number of them."""
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"{name} has no pixels.", "Choose another image.")
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        megapixels = f"{width * height / 1e6:.0f} megapixels"
        raise BadImage(f"{name} has {megapixels}; the limit is {MAX_MEGAPIXELS}.", _SMALLER)
    try:
        return upright_rgb(image)
    except Exception as error:
        raise _damaged(name) from error


def _formats_for(head: bytes) -> tuple[str, ...]:
    """The formats to try for a file that begins like this. HEIC needs a package that may be absent."""
    if not is_heif(head):
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        message = "This is a HEIC image, and the package that reads them is not installed."
        raise BadImage(message, "Install it: pip install pillow-heif. Or save the image as JPEG.") from error
    register_heif_opener()
    return ("HEIF",)


def _damaged(name: str) -> BadImage:
    return BadImage(f"{name} is damaged: it cannot be decoded to its end.", "Fetch it anew.")
