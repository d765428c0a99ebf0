"""The models under test, with their work kept between runs: features and captions, by the models' fingerprints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.types import Features

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Encoders:
    """The models under test, and where their work is kept."""

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    captioner: Captioner
    cache: Path

    def images(self, key: str, pictures: Callable[[], Iterable[Image.Image]]) -> NDArray[np.float32]:
        """(N, D) raw features of pictures, kept under `key` and the encoder's fingerprint."""
        return self._kept(f"images-{key}", self.image_encoder.fingerprint, lambda: self._encode(pictures()))

    def texts(self, key: str, texts: Sequence[str]) -> Features:
        """(N, D) unit rows of texts, kept under `key` and the encoder's fingerprint."""
        return self._kept(
            f"texts-{key}", self.text_encoder.fingerprint, lambda: self.text_encoder.encode_texts(texts)
        )

    def text_rows(self, key: str, texts: Sequence[Sequence[str]]) -> list[Features]:
        """(n, D) unit rows of the n texts of each image, kept under `key` and the encoder's fingerprint."""
        flat = self.texts(key, [text for row in texts for text in row])
        return np.split(flat, np.cumsum([len(row) for row in texts])[:-1])

    def _encode(self, pictures: Iterable[Image.Image]) -> NDArray[np.float32]:
        rows, batch = [], []
        for picture in pictures:
            batch.append(picture)
            if len(batch) == 64:
                rows.append(self.image_encoder.encode_images(batch))
                batch = []
        if batch:
            rows.append(self.image_encoder.encode_images(batch))
        return np.concatenate(rows)

    def captions(
        self, key: str, pictures: Sequence[Callable[[], Image.Image]], per_image: int, say: Say
    ) -> list[list[str]]:
        """Captions of pictures, kept in steps of 200 so that a stop loses little."""
        name = _safe(f"captions-{key}-{per_image}-{self.captioner.fingerprint}")
        path = self.cache / f"{name}.jsonl"
        self.cache.mkdir(parents=True, exist_ok=True)
        done = (
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if path.exists()
            else []
        )
        while len(done) < len(pictures):
            batch = [draw() for draw in pictures[len(done) : len(done) + 200]]
            found = self.captioner.caption(batch, per_image=per_image, seed=0)
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in found))
            done += found
            say(f"captions of {key}: {len(done)} of {len(pictures)}")
        return done

    def _kept(
        self, key: str, fingerprint: str, make: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        path = self.cache / f"{_safe(f'{key}-{fingerprint}')}.npy"
        if path.exists():
            return np.load(path)
        self.cache.mkdir(parents=True, exist_ok=True)
        rows = make()
        with path.with_suffix(".tmp").open("wb") as file:
            np.save(file, rows)
        os.replace(path.with_suffix(".tmp"), path)
        return rows


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def unit(rows: NDArray[np.float32]) -> Features:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
