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

from cir.dates import taken_at
from cir.decoding import FORMATS, MAX_MEGAPIXELS, SMALLER, decode, refuse_too_large
from cir.errors import BadImage
from cir.files import (
    MAX_FILE_BYTES,
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
from cir.lost_ends import is_cut_short
from cir.mending import damaged, mended, unsupported
from cir.pixels import without_metadata
from cir.profiles import MAX_PROFILE_BYTES
from cir.raw import Preview, developed, embedded_preview
from cir.salvage import is_png, png_parts
from cir.walking import walk_images

__all__ = [
    "WalkedFile",
    "check_image",
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

TINY_SIDE = 16  # pixels
THUMBNAIL_SIDE = 320  # pixels
SMALLEST_PREVIEW = 512  # pixels of its long side; a smaller preview of a raw file is a mere icon


def read_image(source: str | os.PathLike[str] | bytes | BinaryIO | Image.Image) -> Image.Image:
    """Read an image, upright, as 8-bit RGB.

    The content decides the format, not the name. The first frame or page is taken; colours become sRGB;
    transparency is laid on white; a strip thinner than 1:20 is set on a white ground; what has more than 25
    megapixels is made smaller by a whole number. A file that lost its end is read when all rows are there.

    Args:
        source: a path, the bytes of a file, an open binary file, or an image of Pillow's (left as it is).

    Returns:
        A new RGB image without metadata.

    Raises:
        BadImage: no regular file, not a supported format, above 250 megapixels, more than the memory that is
            there can hold (both found out before decoding), or damaged.
    """
    if isinstance(source, Image.Image):
        try:
            return decode(source, "The image")
        except BadImage:
            raise
        except Exception as error:
            raise damaged("The image") from error
    if isinstance(source, bytes):
        return _read(source, "The image")
    if isinstance(source, str | os.PathLike):
        with open_regular(Path(source), follow_links=True) as file:
            name = name_of(Path(source))
            data = _content(file, name)
        return _read_raw(data, name, []) if is_raw(name) else _read(data, name)
    if hasattr(source, "read"):
        return _read(_content(source, "The image"), "The image")
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
    return _read(data, "The image", dates), "".join(dates)


def check_image(data: bytes, name: str = "") -> None:
    """Refuse what is no picture that can be read. What looks whole is not decoded, so damage inside it stays unseen.

    Args:
        data: the content of a file.
        name: what the file is called, as for `read_dated_image`.

    Raises:
        BadImage: as `read_image`; its message begins with "It".
    """
    if is_raw(name):
        _read_raw(data, "It", [])
    elif not data or is_cut_short(data):
        _read(data, "It")
    else:
        _open_only(data)


def _open_only(data: bytes) -> None:
    try:
        with Image.open(io.BytesIO(data), formats=_formats_for(data[:64])) as image:
            refuse_too_large(image, "It")
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise unsupported("It", data, error) from error
    except Exception:  # a closer look tells what it is, or that it can be read all the same
        _read(data, "It")


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


def _content(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise unreadable(name, error) from error


def _read(data: bytes, name: str, dates: list[str] | None = None, *, is_mended: bool = False) -> Image.Image:
    """The picture of a file's content; when it was taken is put into `dates`."""
    if not data:
        raise BadImage(f"{name} is empty.", "Choose another image.")
    formats = _formats_for(data[:64])
    parts = png_parts(data, MAX_PROFILE_BYTES) if is_png(data) else None
    content = data if parts is None else parts.data
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            picture = decode(image, name, content, parts)
            if dates is not None:
                dates.append(taken_at(image, parts.xmp, parts.time) if parts else taken_at(image))
            return picture
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise unsupported(name, data, error) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"{name} has more than {MAX_MEGAPIXELS} megapixels.", SMALLER) from error
    except Exception as error:  # decoders raise what they like: RuntimeError, KeyError, SyntaxError...
        whole = None if is_mended else mended(data, error)
        if whole is None:
            raise damaged(name, data, error) from error
        return _read(whole, name, dates, is_mended=True)


def _read_raw(data: bytes, name: str, dates: list[str]) -> Image.Image:
    """The preview in a raw camera file; the developed picture where there is none, or a mere icon."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:  # most raw files are of its kind
            dates.append(taken_at(image))
    except Exception:  # of another kind: then the preview may know when it was taken
        dates.append("")
    preview = embedded_preview(data, name)
    image = None if preview is None else _read_preview(preview, name, dates)
    if image is not None and max(image.size) >= SMALLEST_PREVIEW:
        return image
    try:
        larger = decode(developed(data, name), name)
    except BadImage:
        if image is None:
            raise
        return image  # the icon is all that there is
    return image if image is not None and image.width >= larger.width else larger


def _read_preview(preview: Preview, name: str, dates: list[str]) -> Image.Image | None:
    """The preview of a raw file, upright; None when it is damaged."""
    said: list[str] = []
    try:
        if isinstance(preview.picture, Image.Image):
            image, is_turned = decode(preview.picture, name), False
        else:
            image, is_turned = _read(preview.picture, name, said), _says_how_to_turn(preview.picture)
    except BadImage:
        return None
    dates[:] = [dates[0] or "".join(said)]
    turn = None if is_turned else preview.turn_of(image)
    return image if turn is None else image.transpose(turn)


def _says_how_to_turn(jpeg: bytes) -> bool:
    """Whether the EXIF of a preview turned it. What says "upright" gives way to the raw file, which people turn."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            return image.getexif().get(0x0112) in range(2, 9)
    except Exception:  # damaged metadata
        return False


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
