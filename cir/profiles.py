"""Colour profiles: the pixels of any ICC profile -> those of sRGB, for which encoders were trained and screens are made."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 8 * 2**20  # printers' profiles have some megabytes
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_PROBE_STEPS = 9
_SAME = 2  # of 255: a profile that changes no colour by more is sRGB under another name


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
