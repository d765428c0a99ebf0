"""Any picture that Pillow decodes -> upright 8-bit sRGB on white.

Pixels in, pixels out: this module knows neither files nor formats.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from cir.profiles import lab_to_rgb, to_srgb

READER_VERSION = "srgb8-upright-white-2"  # change it whenever the pixels that `upright_rgb` returns change
MAX_ASPECT = 20  # long side : short side; encoders scale the short side up to their input size
THIN_SIDE = 4096  # pixels: the long side of an image that is thinner than that
MOST_PIXELS = 25_000_000  # of what is returned: encoders look at far less
_SCALES = (
    255.0,
    1023.0,
    4095.0,
    16383.0,
    65535.0,
)  # 8, 10, 12, 14 and 16 bits: no header says how many are used
_DARK = _SCALES[3] / 256  # high bytes of 14 bits at most
_LOW_BYTES = {
    "LA;16B": "LA",
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
    "RGBA;16N": "RGBA;16B" if sys.byteorder == "little" else "RGBA;16L",
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image, profile: bytes | None = None) -> Image.Image:
    """A new RGB image without metadata: upright by EXIF, sRGB, transparency on white, never thinner than 1:20.

    What has more than 25 megapixels is made smaller by a whole number.

    Args:
        image: a decoded image.
        profile: its colour profile; by default the one that the image brings.

    Raises:
        Exception: whatever the decoder raises on damaged data; Pillow sets no limit to it.
    """
    image.load()
    turned = _upright(_reduced(_eight_bit(image)), image)
    icc = image.info.get("icc_profile") if profile is None else profile
    rgb = _on_white(turned, icc if isinstance(icc, bytes) else b"")
    return without_metadata(_within_aspect(rgb))


def low_bytes_mode(image: Image.Image) -> str:
    """For an opened image of 16-bit colours: the raw mode that reads the low bytes, which Pillow drops; else "".

    "LA" stands for grey with transparency, which Pillow opens as RGBA and has no such mode for.
    """
    tiles = getattr(image, "tile", ())
    arguments = tiles[0].args if len(tiles) == 1 else ""
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    return _LOW_BYTES.get(str(raw_mode), "")


def is_dark(high: Image.Image) -> bool:
    """Whether the high bytes of 16-bit colours say that 14 bits or fewer are used."""
    return max(top for _, top in high.getextrema()[: _colours(high)]) < _DARK  # type: ignore[index]


def from_two_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    """16-bit RGB or RGBA, in two images of its bytes -> 8 bits, scaled by the range that the values have."""
    values = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    colours = _colours(high)
    scaled = [_eight_bits(values[:, :, :colours])]
    scaled += [_eight_bits(values[:, :, colours:])] if values.shape[2] > colours else []
    made = Image.fromarray(np.concatenate(scaled, axis=2))
    made.info.update(high.info)
    return made


def _colours(image: Image.Image) -> int:
    return len(image.getbands()) - image.mode.endswith("A")


def without_metadata(image: Image.Image) -> Image.Image:
    """The same object with its pixels alone: no EXIF (places, people), no colour profile, no text."""
    image.info.clear()
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image itself, or 8-bit grey of one with more bits."""
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    return image


def _reduced(image: Image.Image) -> Image.Image:
    factor = 1
    while image.width * image.height > MOST_PIXELS * factor * factor:
        factor += 1
    if factor == 1:
        return image
    if image.has_transparency_data or image.mode in ("P", "PA", "1"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def _upright(image: Image.Image, described: Image.Image) -> Image.Image:
    """`image` turned as the EXIF of `described` says; TIFF was turned while it loaded, and says no more."""
    try:
        exif = described.getexif()
        orientation = exif.get(0x0112, 1)
    except Exception:  # damaged metadata is no reason to refuse good pixels: they count as upright
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info.update(image.info)
    return turned


def _on_white(image: Image.Image, profile: bytes) -> Image.Image:
    """Any 8-bit mode of Pillow's as new sRGB; transparency on white."""
    if not image.has_transparency_data:
        return _srgb(image, profile)
    over = image.convert("RGBA")
    alpha = over.getchannel("A")
    ground = Image.new("RGB", over.size, "white")
    ground.paste(_srgb(over.convert("RGB"), profile), mask=alpha)
    return ground


def _srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode == "LAB":
        return lab_to_rgb(image)
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
    return to_srgb(image, profile).convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit and floating-point values -> uint8. NaN is black; infinity is the end of the scale."""
    if (values.dtype.kind, values.dtype.itemsize) == ("u", 2) and values.max(initial=0) > _SCALES[-2]:
        return (values >> 8).astype(np.uint8)
    grey = values.astype(np.float32)
    finite = grey[np.isfinite(grey)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low, high = _scale_of(low, high, is_fraction=np.issubdtype(values.dtype, np.floating))
    grey = np.nan_to_num(grey, nan=low, posinf=high, neginf=low)
    return np.rint((grey - low) / max(high - low, 1e-30) * 255.0).clip(0, 255).astype(np.uint8)


def _scale_of(low: float, high: float, *, is_fraction: bool) -> tuple[float, float]:
    """What black and white are where values reach from `low` to `high`: no header says it."""
    if low < 0:
        return low, high
    scales = (1.0, *_SCALES) if is_fraction else _SCALES
    return next(((0.0, scale) for scale in scales if high <= scale), (low, high))


def _within_aspect(image: Image.Image) -> Image.Image:
    """A strip thinner than 1:20 on a white ground of 1:20; an encoder would scale it up without bound."""
    if max(image.size) <= MAX_ASPECT * min(image.size):
        return image
    scale = min(1.0, THIN_SIDE / max(image.size))
    wide, high = (max(1, round(side * scale)) for side in image.size)
    strip = image.resize((wide, high), Image.Resampling.BOX)
    shortest = -(-max(wide, high) // MAX_ASPECT)
    ground = Image.new("RGB", (max(wide, shortest), max(high, shortest)), "white")
    ground.paste(strip, ((ground.width - wide) // 2, (ground.height - high) // 2))
    return ground
