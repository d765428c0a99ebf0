"""File -> upright 8-bit RGB image, and image -> thumbnail.

The only place that opens images, so that a gallery image and a query image are read in exactly the same way.
It deliberately knows neither galleries nor models.
"""

from __future__ import annotations

import io
import os
import random
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from cir.dates import taken_at
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
from cir.formats import is_heif, is_raw_name, unreadable_by_content
from cir.memory import available_bytes
from cir.pixels import (
    MOST_PIXELS,
    from_two_bytes,
    is_dark,
    low_bytes_mode,
    upright_rgb,
    without_metadata,
)
from cir.profiles import MAX_PROFILE_BYTES
from cir.raw import developed, embedded_preview
from cir.salvage import (
    has_first_passes,
    is_jpeg,
    is_png,
    is_progressive,
    png_parts,
    without_jpeg_metadata,
)
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

MAX_MEGAPIXELS = 250
TINY_SIDE = 16  # pixels
THUMBNAIL_SIDE = 320  # pixels
SMALLEST_PREVIEW = 512  # pixels of its long side; a smaller preview of a raw file is a mere icon

# Never Pillow's default of 43 openers: EPS, FITS and their like are attack surface. MPO arrives through JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SUPPORTED = "Supported are JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC."
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS * 1_000_000  # Pillow's own limit, of 89, would come before ours
_LARGE = Lock()  # large pictures are decoded one at a time
_END = b"\xff\xd9"
_NOISE_BYTES = 1 << 16
_SMALLER = f"Save it smaller, below {MAX_MEGAPIXELS} megapixels."


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
            return _decode(source, "The image")
        except BadImage:
            raise
        except Exception as error:
            raise _damaged("The image") from error
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
            picture = _decode(image, name, content, None if parts is None else parts.profile)
            if dates is not None:
                dates.append(taken_at(image, parts.xmp, parts.time) if parts else taken_at(image))
            return picture
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise _unsupported(name, data) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"{name} has more than {MAX_MEGAPIXELS} megapixels.", _SMALLER) from error
    except Exception as error:  # decoders raise what they like: RuntimeError, KeyError, SyntaxError...
        mended = None if is_mended or not is_jpeg(data) else _mended_jpeg(data, error)
        if mended is None:
            raise _damaged(name) from error
        return _read(mended, name, dates, is_mended=True)


def _decode(image: Image.Image, name: str, content: bytes = b"", profile: bytes | None = None) -> Image.Image:
    """Pixels of an image whose header is read, once that header promises a bearable number of them."""
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"{name} has no pixels.", "Choose another image.")
    with _LARGE if width * height > MOST_PIXELS else nullcontext():
        _refuse_too_large(image, name)
        _draft(image)
        low_mode = low_bytes_mode(image) if content else ""
        image.load()
        if low_mode and is_dark(image):
            image = from_two_bytes(image, _low_bytes(content, low_mode))
        return upright_rgb(image, profile)


def _refuse_too_large(image: Image.Image, name: str) -> None:
    """See to it that there is room for a picture. A JPEG is made smaller while it is decoded, and takes next to none."""
    pixels = image.width * image.height
    megapixels = f"{pixels / 1e6:.0f} megapixels"
    if pixels > MAX_MEGAPIXELS * 1_000_000:
        raise BadImage(f"{name} has {megapixels}; the limit is {MAX_MEGAPIXELS}.", _SMALLER)
    needed = pixels * _bytes_per_pixel(image)
    if pixels > MOST_PIXELS and needed > available_bytes() // 2:
        message = (
            f"{name} has {megapixels}, which take {needed / 1e9:.1f} GB, and there is not that much memory."
        )
        raise BadImage(message, "Save it as JPEG, or smaller.")


def _bytes_per_pixel(image: Image.Image) -> int:
    """What decoding takes at most, measured, with the copies that are made on the way."""
    if image.format in ("JPEG", "MPO"):
        return 7 if image.info.get("progressive") else 0  # the coefficients of all passes are held
    if low_bytes_mode(image):
        return 64
    return 32 if image.mode == "F" or image.mode.startswith("I") else 16


def _draft(image: Image.Image) -> None:
    """Let a large JPEG be decoded at a half, a fourth or an eighth of its size."""
    if image.format not in ("JPEG", "MPO"):
        return
    width, height = image.size
    scale = next((s for s in (1, 2, 4) if width * height <= MOST_PIXELS * s * s), 8)
    if scale > 1:
        image.draft(None, (width // scale, height // scale))  # type: ignore[arg-type]


def _low_bytes(content: bytes, raw_mode: str) -> Image.Image:
    """The low bytes of 16-bit colours, of which Pillow keeps the high ones."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    tile = image.tile[0]
    arguments = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
    image.tile = [tile._replace(args=arguments)]
    image.load()
    return image


def _mended_jpeg(data: bytes, error: Exception) -> bytes | None:
    """A JPEG that could not be read, without what hindered it; None when rows of it are missing."""
    if "truncated" not in str(error):
        return without_jpeg_metadata(data)
    ended = data.rstrip(b"\xff") + _END
    if is_progressive(data):
        try:
            return ended if has_first_passes(data) else None
        except IndexError:  # a segment that is shorter than its kind
            return None
    noise = random.Random(0).randbytes(_NOISE_BYTES).replace(b"\xff", b"")
    try:
        # Where rows are missing, whatever follows is decoded in their place.
        with_end, with_noise = (_drafted(one) for one in (ended, data.rstrip(b"\xff") + noise + _END))
    except Exception:  # not only its end is missing
        return None
    return ended if with_end.tobytes() == with_noise.tobytes() else None


def _drafted(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    _draft(image)
    image.load()
    return image


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
        image = _read(preview, name, said)
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


def _unsupported(name: str, data: bytes) -> BadImage:
    kind = unreadable_by_content(data[:64])
    if kind:
        return BadImage(
            f"{name} is not a supported image but one of the {kind.partition(':')[0]}.", _SUPPORTED
        )
    return BadImage(f"{name} is not a supported image, or it begins damaged.", _SUPPORTED)


def _damaged(name: str) -> BadImage:
    return BadImage(f"{name} is damaged: it cannot be decoded to its end.", "Fetch it anew.")
