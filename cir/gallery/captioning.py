"""Captions for the contents of a gallery, and the mean of their features.

It takes captions as data: cleaned, short, shown and encoded, never obeyed. What is captioned, others decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.files import WalkedFile
from cir.gallery.reading import load
from cir.models.protocols import Captioner, TextEncoder
from cir.text import clean_text

CAPTION_SIDE = 1024  # pixels: captioners look at less; larger images are made smaller before they wait
CAPTION_CHARACTERS = 200
Skip = Callable[[bytes, str], None]  # (path inside the folder, reason)


@dataclass(frozen=True, slots=True)
class CaptionPage:
    """Contents that are captioned together.

    Attributes:
        copies: content hash -> the paths of the files that hold it.
        texts: content hash -> captions, of those that have some already.
    """

    copies: Mapping[str, Sequence[bytes]]
    texts: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class CaptionedPage:
    """What came of a page.

    Attributes:
        contents: how many it had.
        made: content hash -> new captions, at least one.
        hashes: N contents whose captions were encoded.
        rows: (N, D) the means of their unit features.
        skipped: (path, reason) of what could not be captioned or encoded.
    """

    contents: int
    made: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hashes: Sequence[str] = ()
    rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    skipped: Sequence[tuple[bytes, str]] = ()


def caption_page(
    root: Path,
    page: CaptionPage,
    captioner: Captioner | None,
    encoder: TextEncoder | None,
    *,
    per_image: int,
) -> CaptionedPage:
    """Caption what has no captions yet, and encode the captions of all."""
    skipped: list[tuple[bytes, str]] = []

    def skip(relative: bytes, reason: str) -> None:
        skipped.append((relative, reason))

    made: dict[str, list[str]] = {}
    if captioner is not None:
        missing = {content: copies for content, copies in page.copies.items() if content not in page.texts}
        made = write_captions(root, captioner, missing, per_image, skip)
    hashes, rows = mean_features(encoder, {**page.texts, **made}, page.copies, skip)
    return CaptionedPage(len(page.copies), made, hashes, rows, skipped)


def write_captions(
    root: Path, captioner: Captioner, copies: Mapping[str, Sequence[bytes]], per_image: int, skip: Skip
) -> dict[str, list[str]]:
    """Caption contents, reading each from the first of its files that can be read.

    Returns:
        content hash -> captions, at least one. What could not be captioned is absent, and told to `skip`.
    """
    images = {}
    for content, paths in copies.items():
        image, reason = _read_one(root, paths, content)
        if image is None:
            skip(paths[0], reason)
            continue
        image.thumbnail((CAPTION_SIDE, CAPTION_SIDE))
        images[content] = image
    if not images:
        return {}
    written = captioner.caption(list(images.values()), per_image=per_image, seed=0)
    captions = {content: _clean(texts) for content, texts in zip(images, written, strict=True)}
    for content in (content for content, texts in captions.items() if not texts):
        skip(copies[content][0], "the captioner found no words for it")
    return {content: texts for content, texts in captions.items() if texts}


def mean_features(
    encoder: TextEncoder | None,
    captions: Mapping[str, Sequence[str]],
    copies: Mapping[str, Sequence[bytes]],
    skip: Skip,
) -> tuple[list[str], NDArray[np.float32]]:
    """The mean of the unit features of each content's captions, not normalised again.

    Source: CVSI, section III-D, Eq. 5.

    Returns:
        N content hashes, and (N, D). Contents whose mean is not finite are absent, and told to `skip`.
    """
    if encoder is None or not captions:
        return [], np.zeros((0, 1), np.float32)
    texts = [text for one in captions.values() for text in one]
    rows = checked_features(encoder.encode_texts(texts), len(texts), encoder.dim)
    ends = np.cumsum([len(one) for one in captions.values()])
    means = np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])
    sound = dict(zip(captions, np.isfinite(means.sum(axis=1)).tolist(), strict=True))
    for content in (content for content, good in sound.items() if not good):
        skip(copies[content][0], "the features of its captions are not finite")
    return [content for content, good in sound.items() if good], means[list(sound.values())]


def checked_features(rows: object, count: int, dim: int) -> NDArray[np.float32]:
    """What an encoder gave for `count` inputs, as (count, dim) float32.

    Raises:
        ValueError: another shape, which is a fault of the encoder.
    """
    array = np.asarray(rows, dtype=np.float32)
    if count == 0:
        return array.reshape(0, dim)
    if array.shape != (count, dim):
        raise ValueError(f"the encoder gave {array.shape} for {count} inputs of dimension {dim}")
    return array


def _read_one(root: Path, copies: Sequence[bytes], content: str) -> tuple[Image.Image | None, str]:
    """The picture of a content from the first copy that still holds it, or why there is none."""
    reason = ""
    for relative in copies:
        loaded = load(root, WalkedFile(relative), ())
        if loaded.image is not None and loaded.content == content:
            return loaded.image, ""
        reason = reason or loaded.reason or "it changed while it was indexed"
    return None, reason


def _clean(texts: Sequence[str]) -> list[str]:
    """Captions as plain short lines, without empty ones: a model may repeat the text that it sees."""
    lines = (clean_text(text)[0][:CAPTION_CHARACTERS].rstrip() for text in texts)
    return [line for line in lines if line]
