"""Colour profiles: the pixels of any ICC profile -> those of sRGB, for which encoders were trained and screens are made."""

from __future__ import annotations

import hashlib
import io
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_Xyz = tuple[float, float, float]
MAX_PROFILE_BYTES = 8 * 2**20  # printers' profiles have some megabytes
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_PROBE_STEPS = 9
_EXIF, _COLOUR_SPACE, _INTEROPERABILITY = 0x8769, 0xA001, 0xA005  # where cameras name Adobe RGB
_SAME = 2  # of 255: a profile that changes no colour by more is sRGB under another name


def _matrix_profile(red: _Xyz, green: _Xyz, blue: _Xyz, curve: bytes) -> bytes:
    """An ICC profile (version 2.4) of three colorants, as XYZ at D50, and one curve."""

    def numbers(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    places = zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), (white, red, green, blue), strict=True)
    tags = [(b"desc", b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(79))]
    tags += [(tag, b"XYZ " + bytes(4) + numbers(*value)) for tag, value in places]
    tags += [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags:
        table += struct.pack(">4sII", tag, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = (
        struct.pack(">I4sI", start + len(body), bytes(4), 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    )
    head = (head + bytes(28) + numbers(*white)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def _curve(values: tuple[int, ...]) -> bytes:
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *values)


def _srgb_curve() -> bytes:
    steps = np.linspace(0, 1, 1024)
    linear = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    return _curve(tuple(int(value) for value in np.rint(linear * 65535)))


ADOBE_RGB = _matrix_profile(
    (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), _curve((563,))
)  # its exponent is 563 / 256
# By their numbers in H.273: BT.2020 and Display P3.
_BY_CODE = {
    9: ((0.67346, 0.27903, -0.00193), (0.16567, 0.67534, 0.02998), (0.12505, 0.04561, 0.79686)),
    12: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}
_LIKE_SRGB = (1, 2, 6, 13, 14, 15)  # transfer functions; the others are of high dynamic range, or rare


@lru_cache(maxsize=4)
def profile_of_code(primaries: int, transfer: int) -> bytes:
    """The ICC profile of colours that a file names by numbers of H.273; b"" where they count as sRGB."""
    if primaries not in _BY_CODE or transfer not in _LIKE_SRGB:
        return b""
    return _matrix_profile(*_BY_CODE[primaries], _srgb_curve())


def says_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF says Adobe RGB, as cameras do: by DCF's "R03", or by a colour space of 2.

    A colour space of 65535 alone says only that it is none of the named ones.
    """
    try:
        exif = image.getexif()
        inner = exif.get_ifd(_EXIF)
        if inner.get(_COLOUR_SPACE) == 2:
            return True
        index = exif.get_ifd(_INTEROPERABILITY).get(1, "") if _INTEROPERABILITY in inner else ""
    except Exception:  # damaged metadata is no reason to refuse good pixels
        return False
    return (index if isinstance(index, bytes) else str(index).encode()).strip(b"\0 ") == b"R03"


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image in sRGB, as RGB; the image itself where the profile is sRGB, broken, or for other pixels.

    Args:
        image: RGB, L, CMYK or LAB, without transparency.
        profile: an ICC profile; b"" for none.
    """
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return image
    transform = _transform(_Profile(profile), image.mode)
    if transform is None:
        return image
    return ImageCms.applyTransform(image, transform) or image


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """An image in CIE L*a*b* as sRGB."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    made = ImageCms.profileToProfile(image, lab, _srgb(), outputMode="RGB")
    assert made is not None
    return made


class _Profile:
    """A profile as the key of a cache: compared by its hash, so that the cache holds no key of megabytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.digest = data, hashlib.blake2b(data, digest_size=16).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and other.digest == self.digest


@lru_cache(maxsize=16)
def _transform(profile: _Profile, mode: str) -> Any | None:
    """From the profile to sRGB; None where there is nothing to do, or nothing that can be done."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile.data))
        if _MODES.get(source.profile.xcolor_space.strip()) != mode:  # type: ignore[attr-defined]
            return None
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", renderingIntent=intent)
        if mode == "RGB" and _changes_nothing(transform):
            return None
        return transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # broken: the pixels count as sRGB
        return None


def _changes_nothing(transform: Any) -> bool:
    steps = np.linspace(0, 255, _PROBE_STEPS).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, _PROBE_STEPS, 3)
    made = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), transform))
    return int(np.abs(made.astype(int) - cube).max()) <= _SAME


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
