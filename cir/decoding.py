"""An opened picture -> upright 8-bit RGB pixels, once its header promises a number of them that there is memory for."""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from threading import Lock

from PIL import Image

from cir.boxes import colour_code, is_boxed
from cir.errors import BadImage
from cir.memory import available_bytes
from cir.pixels import MOST_PIXELS, from_two_bytes, is_dark, low_bytes_mode, upright_rgb
from cir.profiles import ADOBE_RGB, profile_of_code, says_adobe_rgb
from cir.salvage import PngParts, grey_pairs_as_rgba

MAX_MEGAPIXELS = 250
# Never Pillow's default of 43 openers: EPS, FITS and their like are attack surface. MPO arrives through JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# What Pillow cannot read beside the pixels is left out; its warnings name its own files and lines, and no picture.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
Image.MAX_IMAGE_PIXELS = MAX_MEGAPIXELS * 1_000_000  # Pillow's own limit, of 89, would come before ours
SMALLER = f"Save it smaller, below {MAX_MEGAPIXELS} megapixels."
_LARGE = Lock()  # large pictures are decoded one at a time


def decode(image: Image.Image, name: str, content: bytes = b"", parts: PngParts | None = None) -> Image.Image:
    """Pixels of an image whose header is read, once that header promises a bearable number of them."""
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"{name} has no pixels.", "Choose another image.")
    with _LARGE if width * height > MOST_PIXELS else nullcontext():
        refuse_too_large(image, name)
        draft(image)
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


def refuse_too_large(image: Image.Image, name: str) -> None:
    """See to it that there is room for a picture. A JPEG is made smaller while it is decoded, and takes next to none."""
    pixels = image.width * image.height
    megapixels = f"{pixels / 1e6:.0f} megapixels"
    if pixels > MAX_MEGAPIXELS * 1_000_000:
        raise BadImage(f"{name} has {megapixels}; the limit is {MAX_MEGAPIXELS}.", SMALLER)
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


def draft(image: Image.Image) -> None:
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
