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

from cir.boxes import colour_code, is_boxed
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
from cir.lost_ends import is_cut_short
from cir.memory import available_bytes
from cir.pixels import (
    MOST_PIXELS,
    from_two_bytes,
    is_dark,
    low_bytes_mode,
    upright_rgb,
    without_metadata,
)
from cir.profiles import ADOBE_RGB, MAX_PROFILE_BYTES, profile_of_code, says_adobe_rgb
from cir.raw import Preview, developed, embedded_preview
from cir.salvage import (
    PngParts,
    grey_pairs_as_rgba,
    has_first_passes,
    is_jpeg,
    is_png,
    is_progressive,
    is_webp,
    png_parts,
    whole_webp_chunks,
    without_jpeg_metadata,
)
from cir.tiff_tags import FLOATS, SAMPLE_FORMAT, first_tags, is_tiff
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
            _refuse_too_large(image, "It")
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise _unsupported("It", data, error) from error
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
            picture = _decode(image, name, content, parts)
            if dates is not None:
                dates.append(taken_at(image, parts.xmp, parts.time) if parts else taken_at(image))
            return picture
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise _unsupported(name, data, error) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"{name} has more than {MAX_MEGAPIXELS} megapixels.", _SMALLER) from error
    except Exception as error:  # decoders raise what they like: RuntimeError, KeyError, SyntaxError...
        mended = None if is_mended else _mended(data, error)
        if mended is None:
            raise _damaged(name, data, error) from error
        return _read(mended, name, dates, is_mended=True)


def _decode(
    image: Image.Image, name: str, content: bytes = b"", parts: PngParts | None = None
) -> Image.Image:
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
        return upright_rgb(image, _profile(image, content, parts))


def _profile(image: Image.Image, content: bytes, parts: PngParts | None) -> bytes:
    """The colour profile that a picture brings, or that of the colours which it only names."""
    own = parts.profile if parts else image.info.get("icc_profile")
    if isinstance(own, bytes) and own:
        return own
    code = parts.colour_code if parts else colour_code(content) if is_boxed(content) else None
    if code:
        return profile_of_code(*code)
    return ADOBE_RGB if says_adobe_rgb(image) else b""


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
    if raw_mode == "LA":
        pairs = Image.open(io.BytesIO(grey_pairs_as_rgba(content)), formats=("PNG",))
        return Image.merge("RGBA", [pairs.getchannel(band) for band in "GGGA"])
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    tile = image.tile[0]
    arguments = (raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
    image.tile = [tile._replace(args=arguments)]
    image.load()
    return image


def _mended(data: bytes, error: Exception) -> bytes | None:
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
    _refuse_too_large(image, "")
    _draft(image)
    image.load()
    return image


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
        larger = _decode(developed(data, name), name)
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
            image, is_turned = _decode(preview.picture, name), False
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


def _unsupported(name: str, data: bytes, error: Exception) -> BadImage:
    kind = unreadable_by_content(data[:64])
    if kind:
        return BadImage(
            f"{name} is not a supported image but one of the {kind.partition(':')[0]}.", _SUPPORTED
        )
    if is_cut_short(data, error):
        return _damaged(name, data, error)
    if is_tiff(data):
        return _unsupported_tiff(name, data)
    return BadImage(f"{name} is not a supported image, or it begins damaged.", _SUPPORTED)


def _unsupported_tiff(name: str, data: bytes) -> BadImage:
    if FLOATS in first_tags(data).get(SAMPLE_FORMAT, ()):
        message = f"{name} is a TIFF image whose colours are floating-point numbers, which is not read."
    else:
        message = f"{name} is a TIFF image of a kind that is not read."
    return BadImage(message, "Save it as TIFF or PNG with 8 or 16 bits for each colour.")


def _damaged(name: str, data: bytes = b"", error: Exception | None = None) -> BadImage:
    if error is not None and is_cut_short(data, error):
        message = f"{name} is damaged: it is cut short, its end is missing."
        return BadImage(message, "Fetch it anew.")
    return BadImage(f"{name} is damaged: it cannot be decoded to its end.", "Fetch it anew.")
