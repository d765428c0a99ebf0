"""A gallery whose captions and features are made up, a spoter and a sentence encoder that need no model."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cir.gallery.gallery import Gallery
from cir.models.protocols import SpotInput
from cir.syncir.pipeline import Progress, SynCirSettings, synthesize

COLOURS = ("red", "green", "blue", "yellow", "white")
SHAPES = ("square", "circle", "triangle", "star", "ring", "cross")


def random_features(count: int, dim: int = 16, seed: int = 5) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dim)) + 0.6
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made_gallery(count: int = 30, *, captions: Sequence[Sequence[str]] | None = None) -> Gallery:
    names = [f"{COLOURS[i % 5]}-{SHAPES[i // 5 % 6]}-{i}" for i in range(count)]
    texts = [[f"a {' '.join(name.split('-')[:2])}", "another caption"] for name in names]
    return Gallery.from_features(
        "made",
        names,
        2.0 * random_features(count),
        captions=texts if captions is None else captions,
        fingerprints={"image_encoder": "made@1"},
    )


class FakeSpoter:
    """ "make it ...". `script` answers first: a text, or an error to raise. Notes what it was asked."""

    fingerprint = "fake-spoter@1"

    def __init__(self, script: Sequence[str | Exception] = ()) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, str]] = []

    def spot(self, reference: SpotInput, target: SpotInput) -> str:
        self.asked.append((reference.caption, target.caption))
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return f"make it {target.caption}"


class BagOfWords:
    """A sentence is its words, each on an axis of its own."""

    fingerprint = "bag@1"
    dim = 512

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[int(hashlib.md5(word.encode()).hexdigest(), 16) % self.dim] += 1.0
            if not row.any():
                row[0] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(
    out: Path, gallery: Gallery | None = None, spoter: FakeSpoter | None = None, **more
) -> list[Progress]:
    """A whole run on doubles."""
    arguments = {"settings": SynCirSettings(), **more}
    return list(
        synthesize(
            made_gallery() if gallery is None else gallery,
            spoter or FakeSpoter(),
            BagOfWords(),
            out,
            **arguments,
        )
    )


def run_until_killed(out: Path, calls: int) -> None:
    """Work, say so after some calls, and then hang: a parent kills this process."""

    class Hanging(FakeSpoter):
        def spot(self, reference: SpotInput, target: SpotInput) -> str:
            if len(self.asked) == calls:
                sys.stdout.write("hanging\n")
                sys.stdout.flush()
                time.sleep(300)
            return super().spot(reference, target)

    run(out, spoter=Hanging())
