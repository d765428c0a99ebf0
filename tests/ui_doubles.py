"""Doubles to drive the page with: a gallery of coloured shapes, a retriever that counts its models' calls.

One axis per colour and per shape, so that "red square" and "make it blue" have one right answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cir.composers.cvsi import PARAMETERS, scoring
from cir.composers.revision import TextMemory, revise
from cir.errors import BadQuery, GalleryError
from cir.ranking.retriever import Retriever
from cir.shelf import Shelf
from cir.types import FINE_GRAINED, MODIFIED_CAPTIONS, REFERENCE_IMAGE, ComposedQuery, Query

COLOURS = {"red": "#c8443c", "blue": "#3f6fb5", "green": "#4b9460", "yellow": "#e2b844", "purple": "#80599f"}
SHAPES = ("square", "circle", "triangle", "star")
SIZES = ("small", "large")
WORDS = (*COLOURS, *SHAPES, *SIZES)
HEAVY = {"square": 0.02, "small": 0.01}  # so that the tests' first results win by more than rounding
PIXELS = 96


def unit(words: Sequence[str]) -> NDArray[np.float32]:
    """A unit row with one axis for each known word; the first word counts a little more, and so do those of `HEAVY`."""
    row = np.full(len(WORDS), 0.01, dtype=np.float32)
    for place, word in enumerate(words):
        if word in WORDS:
            row[WORDS.index(word)] += 1.0 + 0.1 * (place == 0) + HEAVY.get(word, 0.0)
    return (row / np.linalg.norm(row)).astype(np.float32)


def draw(colour: str, shape: str, size: str) -> Image.Image:
    """One shape on paper."""
    image = Image.new("RGB", (PIXELS, PIXELS), "#f2efe9")
    pen = ImageDraw.Draw(image)
    half = 36 if size == "large" else 20
    middle = PIXELS // 2
    box = (middle - half, middle - half, middle + half, middle + half)
    fill = COLOURS[colour]
    if shape == "circle":
        pen.ellipse(box, fill=fill)
    elif shape == "square":
        pen.rectangle(box, fill=fill)
    else:
        pen.regular_polygon((middle, middle, half + 4), 3 if shape == "triangle" else 6, fill=fill)
    return image


def shelf_of(retriever: Retriever, title: str = "") -> Shelf:
    """A shelf with one gallery alone."""
    return Shelf(retriever, cache_root=Path("no galleries"), image_encoder_fingerprint="", title=title)


class ToyGallery:
    """Forty shapes, "red-square-small" and so on, with thumbnails in a folder and a caption each."""

    name = "Toy shapes"
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    root: Path | None = None
    packed = has_files = False
    written = caption_note = ""
    undated = 0

    def __init__(self, folder: Path, *, hostile_caption: str = "") -> None:
        self._folder = folder
        self.hostile_caption = hostile_caption
        self.gone: set[str] = set()
        self.image_ids = tuple("-".join(words) for words in product(COLOURS, SHAPES, SIZES))
        self.features = np.stack([unit(image_id.split("-")) for image_id in self.image_ids])
        self.image_features, self.caption_features = self.features, np.zeros_like(self.features)
        self.captioned, self.captioned_images = np.zeros(len(self.image_ids), dtype=bool), 0
        folder.mkdir(parents=True, exist_ok=True)
        for image_id in self.image_ids:
            draw(*image_id.split("-")).save(self.thumbnail_path(image_id), quality=80)  # type: ignore[arg-type]

    def __contains__(self, image_id: object) -> bool:
        return image_id in self.image_ids

    def find(self, image_id: str) -> int:
        if image_id not in self.image_ids:
            raise BadQuery(f"There is no image {image_id!r}.", "Choose one of those that are shown.")
        return self.image_ids.index(image_id)

    def image_path(self, image_id: str) -> Path:
        raise GalleryError(f"The images of {self.name} are not kept as files.", "Use a gallery of files.")

    def __len__(self) -> int:
        return len(self.image_ids)

    def ids_at(self, places: np.ndarray) -> list[str]:
        return [self.image_ids[place] for place in places]

    def page(self, seed: int, number: int, size: int) -> tuple[str, ...]:
        order = np.random.default_rng(seed).permutation(len(self))
        return tuple(self.ids_at(order[number * size : (number + 1) * size]))

    def is_among(self, image_id: str, among: np.ndarray | None) -> bool:
        return among is None or bool(among[self.find(image_id)])

    def raw_features(self, image_id: str) -> np.ndarray:
        return self.features[self.find(image_id)]

    def captions(self, image_id: str) -> list[str]:
        colour, shape, size = image_id.split("-")
        return [self.hostile_caption or f"a {size} {colour} {shape}", f"a {colour} {shape}"]

    def note(self, image_id: str) -> str:
        return "file is gone" if image_id in self.gone else ""

    def thumbnail_path(self, image_id: str) -> Path:
        self.find(image_id)
        if image_id in self.gone:
            raise GalleryError("There is no small picture of it.", "Index it again.")
        return self._folder / f"{image_id}.webp"

    def label(self, image_id: str) -> str:
        return f"{image_id}.webp"


class ToyTexts:
    """Encodes texts and spliced sentences by the words that they hold; counts what it encoded."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += texts
        return np.stack([unit(re.findall(r"[a-z]+", text.lower())) for text in texts])

    def encode_spliced(
        self, prefix: str, pseudo_words: NDArray[np.float32], suffix: str, tail: str = ""
    ) -> NDArray[np.float32]:
        return self.encode_texts([f"{prefix} {suffix} {tail}"])

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


class ToyMethod:
    """Composes by words, in two stages; its texts can be changed."""

    name = "CVSI"
    parameters = PARAMETERS
    scoring = staticmethod(scoring)

    def __init__(self, owner: ToyRetriever) -> None:
        self.owner, self.texts = owner, ToyTexts()

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        owner = self.owner
        owner.model_calls.append(f"encode {query.modification_text}")
        if owner.fail_with is not None:
            raise owner.fail_with
        seen = owner._words_of(query.reference_image)
        asked = [word for word in query.modification_text.lower().split() if word in WORDS]
        fine = unit(asked or seen)
        parts = {FINE_GRAINED: fine} if asked or seen else {}
        if query.reference_image is not None:
            parts[REFERENCE_IMAGE] = unit(seen)
        first = {"encode": 21.0}
        kept = {
            "modification_text": query.modification_text,
            "pseudo_words": unit(seen)[None, None],
            "scoring": scoring,
        }
        notes = owner._notes(query)
        yield ComposedQuery(parts, {}, notes, first, "captioning and asking the language model", **kept)
        time.sleep(owner.delay_seconds)
        owner.model_calls.append("caption")
        rewritten = owner._rewrite(seen, asked)
        trace = {
            "captions": [f"a {' '.join(seen)}"] * 3
            + [f"one {' '.join(seen)} on paper", f"a shape: {' '.join(seen)}"],
            "modified_captions": [f"a {' '.join(rewritten)} — {query.modification_text}"],
            "added_objects": asked,
        }
        parts = {MODIFIED_CAPTIONS: unit(rewritten), **parts}
        timings = {**first, "captions": 1240.0, "language_model": 1890.0}
        yield ComposedQuery(parts, trace, notes, timings, "", **kept)

    def revise(self, composed: ComposedQuery, trace: Mapping[str, Sequence[str]]) -> ComposedQuery:
        return revise(composed, trace, TextMemory(self.texts), self.texts)  # type: ignore[arg-type]


class ToyRetriever(Retriever):
    """The real retriever over toys: it looks at the reference and obeys the words of the edit.

    `model_calls` counts what costs in earnest.
    """

    def __init__(
        self, gallery: ToyGallery, delay_seconds: float = 0.0, fail_with: Exception | None = None
    ) -> None:
        self.delay_seconds, self.fail_with = delay_seconds, fail_with
        self.model_calls: list[str] = []
        super().__init__(gallery, {"CVSI": ToyMethod(self)})  # type: ignore[arg-type]

    def _words_of(self, image: Image.Image | None) -> list[str]:
        """The gallery image with the nearest pixels, as words."""
        if image is None:
            return []
        small = np.asarray(image.resize((24, 24)).convert("RGB"), dtype=np.float32)
        distances = []
        for image_id in self.gallery.image_ids:
            with Image.open(self.gallery.thumbnail_path(image_id)) as other:
                known = np.asarray(other.resize((24, 24)).convert("RGB"), dtype=np.float32)
            distances.append(float(np.abs(known - small).mean()))
        return self.gallery.image_ids[int(np.argmin(distances))].split("-")

    @staticmethod
    def _rewrite(seen: Sequence[str], asked: Sequence[str]) -> list[str]:
        """The seen words, with those of a kind that was asked for replaced."""
        kinds = [(*COLOURS,), SHAPES, SIZES]
        kept = [w for w in seen if not any(w in kind and any(a in kind for a in asked) for kind in kinds)]
        return [*asked, *kept]

    @staticmethod
    def _notes(query: Query) -> tuple[str, ...]:
        return () if query.modification_text else ("No edit text: this is a search by picture alone.",)
