"""The models under test, with their work kept between runs: features and captions, by models and by what they were of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.cache_keys import digest_of
from cir.files import file_name
from cir.models.protocols import Captioner, ImageEncoder, TextEncoder
from cir.types import Features
from cir.whole_files import write_array

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Encoders:
    """The models under test, and where their work is kept."""

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    captioner: Captioner
    cache: Path

    def images(
        self, name: str, drawn: str, pictures: Callable[[], Iterable[Image.Image]]
    ) -> NDArray[np.float32]:
        """(N, D) raw features of pictures, kept by what they show and the encoder's fingerprint.

        Args:
            name: of the file that they are kept in, for people.
            drawn: what stands for the pictures, see `scenes_digest`; another one is encoded anew.
            pictures: N of them.
        """
        encoder = self.image_encoder.fingerprint
        return self._kept(f"images-{name}-{drawn}", encoder, lambda: self._encode(pictures()))

    def texts(self, name: str, texts: Sequence[str]) -> Features:
        """(N, D) unit rows of texts, kept by the texts and the encoder's fingerprint."""
        encoder = self.text_encoder
        key = f"texts-{name}-{digest_of(list(texts))}"
        return self._kept(key, encoder.fingerprint, lambda: encoder.encode_texts(texts))

    def text_rows(self, name: str, texts: Sequence[Sequence[str]]) -> list[Features]:
        """(n, D) unit rows of the n texts of each image, kept as in `texts`."""
        flat = self.texts(name, [text for row in texts for text in row])
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
        self,
        name: str,
        drawn: str,
        pictures: Sequence[Callable[[], Image.Image]],
        per_image: int,
        say: Say,
        *,
        most: int | None = None,
    ) -> list[list[str]]:
        """Captions of pictures, kept in steps of 200 so that a stop loses little; `drawn` as in `images`.

        Args:
            name, drawn: as in `images`.
            pictures: each draws one.
            per_image: captions of each.
            say: told how far it is.
            most: of how many pictures captions are made now; None for all.
        """
        path = self._captions_path(name, drawn, per_image)
        self.cache.mkdir(parents=True, exist_ok=True)
        done = _whole_lines(path)
        if len(done) > len(
            pictures
        ):  # as two runs at once have left it in an earlier version: nobody knows whose rows are whose
            path.unlink()
            done = []
        end = len(pictures) if most is None else min(len(pictures), len(done) + most)
        while len(done) < end:
            batch = [draw() for draw in pictures[len(done) : min(end, len(done) + 200)]]
            found = self.captioner.caption(batch, per_image=per_image, seed=0)
            done = _gone_on(path, done, found)
            say(f"captions of {name}: {len(done)} of {len(pictures)}")
        return done

    def uncaptioned(self, name: str, drawn: str, pictures: int, per_image: int) -> int:
        """How many of so many pictures have no captions yet; the rest as in `captions`."""
        return pictures - len(_whole_lines(self._captions_path(name, drawn, per_image)))

    def _captions_path(self, name: str, drawn: str, per_image: int) -> Path:
        return (
            self.cache
            / f"{file_name(f'captions-{name}-{drawn}-{per_image}-{self.captioner.fingerprint}', '_')}.jsonl"
        )

    def _kept(
        self, key: str, fingerprint: str, make: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        path = self.cache / f"{file_name(f'{key}-{fingerprint}', '_')}.npy"
        if path.exists():
            return np.load(path)
        self.cache.mkdir(parents=True, exist_ok=True)
        rows = make()
        write_array(path, rows)
        return rows


def _gone_on(path: Path, done: list[list[str]], found: list[list[str]]) -> list[list[str]]:
    """The rows that are kept once `found` follows `done`: others that another run over the same pictures has added meanwhile go first.

    Their rows are the same: what is written depends on the picture and the seed alone.
    """
    from filelock import FileLock

    with FileLock(path.with_suffix(".lock")):
        kept = _whole_lines(path)
        missing = (done + found)[len(kept) :]
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in missing))
    return kept + missing


def _whole_lines(path: Path) -> list[list[str]]:
    """The rows that were kept; what a stop has left of a line is taken off, for the next would be glued to it."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
    return [json.loads(line) for line in data[:whole].decode("utf-8").splitlines()]


def unit(rows: NDArray[np.float32]) -> Features:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
