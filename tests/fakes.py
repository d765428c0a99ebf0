"""A toy world with meaning: one axis for each word, an image is the words that it shows.

"red square" + "make it blue" has to retrieve the blue square. The whole application runs on it in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cir.composers.caption_memory import CaptionMemory
from cir.composers.cvsi import Cvsi
from cir.composers.ingredients import CvsiSettings
from cir.gallery.gallery import Gallery
from cir.ranking.retriever import Retriever

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 80, 230), "yellow": (240, 220, 40)}
SHAPES = ("square", "circle", "triangle")
WORDS = (*COLOURS, *SHAPES)
DIM = len(WORDS) + 1


def draw(colour: str, shape: str, side: int = 48) -> Image.Image:
    """A shape of a colour on white."""
    image = Image.new("RGB", (side, side), "white")
    pen, box = ImageDraw.Draw(image), (side // 6, side // 6, 5 * side // 6, 5 * side // 6)
    if shape == "square":
        pen.rectangle(box, fill=COLOURS[colour])
    elif shape == "circle":
        pen.ellipse(box, fill=COLOURS[colour])
    else:
        pen.polygon([(side // 2, box[1]), (box[2], box[3]), (box[0], box[3])], fill=COLOURS[colour])
    return image


def read(image: Image.Image) -> tuple[str, str]:
    """What a picture of `draw` shows."""
    pixels = np.asarray(image.convert("RGB").resize((48, 48)), dtype=float)
    ink = (np.abs(pixels - 255).sum(2) > 60).sum() / pixels[..., 0].size
    centre = pixels[24, 24]
    colour = min(COLOURS, key=lambda name: float(np.abs(centre - COLOURS[name]).sum()))
    return colour, "square" if ink > 0.41 else "circle" if ink > 0.3 else "triangle"


def bag(words: Sequence[str]) -> NDArray[np.float32]:
    """(D,) one axis for each known word, and a last one that is never zero."""
    row = np.zeros(DIM, np.float32)
    row[-1] = 0.1
    for word in words:
        if word in WORDS:
            row[WORDS.index(word)] = 1.0
    return row


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class ToyClip:
    """Image encoder, text encoder and pseudo-word encoder. Counts its calls."""

    dim = DIM
    fingerprint = "toy@1"
    text_length_limit = 77

    def __init__(self) -> None:
        self.calls = 0

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        self.calls += 1
        return np.stack([3.0 * bag(read(image)) for image in images])

    def encode_patches(self, images: Sequence[Image.Image], *, raw: bool = False) -> NDArray[np.float32]:
        return self.encode_images(images)[:, None, :]

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        return unit(self.encode_raw_texts(texts))

    def encode_raw_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([2.0 * bag(re.findall(r"[a-z]+", text.lower())) for text in texts])

    def encode_spliced(
        self, prefix: str, pseudo_words: NDArray[np.float32], suffix: str, tail: str = ""
    ) -> NDArray[np.float32]:
        self.calls += 1
        said = bag(re.findall(r"[a-z]+", f"{prefix} {suffix} {tail}".lower()))
        out = []
        for words in pseudo_words:
            row = 0.5 * words.sum(axis=0)
            if said[: len(COLOURS)].any():  # a colour that is said takes the place of the one that is seen
                row[: len(COLOURS)] = 0
            out.append(row + said)
        return unit(np.stack(out))

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


class ToyTuned(ToyClip):
    """Image encoder of a method that has its own: shapes count for more, so its rows are not those of ToyClip."""

    fingerprint = "toy-tuned@1"

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return super().encode_images(images) * np.array([1.0] * 4 + [1.5] * 3 + [1.0], np.float32)


class ToyPhi:
    """The pseudo-word is the image's own row."""

    tokens = 1
    fingerprint = "toy-phi@1"

    def map_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return (features / np.linalg.norm(features, axis=1, keepdims=True))[:, None, :]


class ToyFusion:
    """The colour of the edit on the shape of the image."""

    fingerprint = "toy-fusion@1"

    def fuse(self, image: Image.Image, text: str) -> NDArray[np.float32]:
        words = re.findall(r"[a-z]+", text.lower())
        colour, shape = read(image)
        return unit(
            bag(
                [shape, *(w for w in words if w in COLOURS)] if set(words) & set(COLOURS) else [colour, shape]
            )[None]
        )


class ToyDenoiser(ToyFusion):
    """Three rows: of any picture, of the image, and `ToyFusion`'s."""

    fingerprint = "toy-denoiser@1"

    def __init__(self) -> None:
        self.calls = 0

    def fuse(self, image: Image.Image, text: str) -> NDArray[np.float32]:
        self.calls += 1
        anything = unit(np.ones((1, ToyClip.dim), np.float32))
        return np.concatenate([anything, unit(bag(list(read(image)))[None]), super().fuse(image, text)])


class ToyPatchWords:
    """One word: what the patches show."""

    tokens = 1
    fingerprint = "toy-patches@1"
    raw, mark = False, ""

    def map_patches(
        self, patches: NDArray[np.float32], features: NDArray[np.float32], context: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return unit(patches.mean(axis=1))[:, None, :]


class ToyCaptioner:
    """ "a red square", as often as asked."""

    fingerprint = "toy-captioner@1"

    def __init__(self) -> None:
        self.calls = 0

    def caption(self, images: Sequence[Image.Image], *, per_image: int, seed: int) -> list[list[str]]:
        self.calls += 1
        kinds = ("a {} {}", "one {} {}", "a photo of a {} {}")
        return [[kinds[i % 3].format(*read(image)) for i in range(per_image)] for image in images]


class ToyLanguageModel:
    """Puts the colour of the edit into the caption. `script` answers first: a text, or an error to raise."""

    fingerprint = "toy-llm@1"

    def __init__(self, script: Sequence[str | Exception] = ()) -> None:
        self.script = list(script)
        self.prompts: list[str] = []

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        self.prompts.append(str(prompt))
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        asked = str(prompt)[-160:].lower()
        colours = [w for w in re.findall(r"[a-z]+", asked) if w in COLOURS]
        shapes = [w for w in re.findall(r"[a-z]+", asked) if w in SHAPES]
        return f"a {colours[-1] if colours else 'red'} {shapes[-1] if shapes else 'square'}"


def toy_gallery(*, captions: bool = True) -> Gallery:
    """Twelve pictures: every colour of every shape."""
    clip, captioner = ToyClip(), ToyCaptioner()
    names = [f"{colour}-{shape}" for colour in COLOURS for shape in SHAPES]
    pictures = [draw(*name.split("-")) for name in names]
    texts = captioner.caption(pictures, per_image=2, seed=0) if captions else []
    means = np.stack([clip.encode_texts(row).mean(axis=0) for row in texts]) if captions else None
    made = Gallery.from_features(
        "toy", names, clip.encode_images(pictures), caption_features=means, captions=texts
    )
    return replace(made, spaces={ToyTuned.fingerprint: unit(ToyTuned().encode_images(pictures))})


def toy_cvsi(
    model: ToyLanguageModel | None = None,
    captioner: ToyCaptioner | None = None,
    missing: Mapping[str, str] | None = None,
    **settings: object,
) -> Cvsi:
    """CVSI on toys; without a captioner or a language model where None is given on purpose."""
    clip = ToyClip()
    memory = CaptionMemory(captioner) if captioner is not None else None
    known = CvsiSettings(**settings)  # type: ignore[arg-type]
    return Cvsi(clip, clip, clip, ToyPhi(), memory, model, settings=known, missing=missing)


def toy_retriever(**settings: object) -> Retriever:
    """The whole search on toys."""
    return Retriever(toy_gallery(), {"CVSI": toy_cvsi(ToyLanguageModel(), ToyCaptioner(), **settings)})
