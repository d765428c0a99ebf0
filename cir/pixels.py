"""Any picture that Pillow decodes -> upright 8-bit RGB on white.

Pixels in, pixels out: this module knows neither files nor formats. Colour profiles are not applied.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from PIL import Image

READER_VERSION = "rgb8-upright-white-1"  # change it whenever the pixels that `upright_rgb` returns change
MAX_ASPECT = 20  # long side : short side; encoders scale the short side up to their input size
THIN_SIDE = 4096  # pixels: the long side of an image that is thinner than that
_ORIENTATION_TAG = 0x0112
_EXIF_FOLDER, _TAKEN_TAGS, _CHANGED_TAG = 0x8769, (0x9003, 0x9004), 0x0132
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image) -> Image.Image:
    """A new RGB image without metadata: upright by EXIF, transparency on white, never thinner than 1:20.

    Raises:
        Exception: whatever the decoder raises on damaged data; Pillow sets no limit to it.
    """
    image.load()
    orientation = _orientation(image)  # only now: TIFF is turned upright while it loads
    rgb = _to_rgb(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return without_metadata(_within_aspect(rgb))


def taken_at(image: Image.Image) -> str:
    """When a decoded image was taken by its EXIF, as ISO 8601 in the camera's local time; "" if it says none."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(_EXIF_FOLDER)
        said = [details.get(tag) for tag in _TAKEN_TAGS] + [exif.get(_CHANGED_TAG)]
    except Exception:  # damaged metadata: then only the file's own time is known
        return ""
    return next((day for day in map(_iso_time, said) if day), "")


def _iso_time(value: object) -> str:
    """EXIF's "2024:05:17 18:30:00" as ISO 8601; "" for zeros, blanks and what is no time."""
    try:
        return datetime.strptime(str(value).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return ""


def without_metadata(image: Image.Image) -> Image.Image:
    """The same object with its pixels alone: no EXIF (places, people), no colour profile, no text."""
    image.info.clear()
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged metadata is no reason to refuse good pixels: they count as upright
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's as new RGB; transparency on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        ground = Image.new("RGBA", over.size, "white")
        ground.alpha_composite(over)
        return ground.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit and floating-point grey -> uint8. NaN is black; infinity is the end of the scale."""
    if values.dtype.itemsize == 2:
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
    scales = (1.0, 255.0) if is_fraction else (255.0, 65535.0)
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
