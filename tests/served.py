"""The real page and server over a real gallery of toy pictures: what programs, visitors and strangers meet."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, ToyLanguageModel, draw, toy_cvsi
from PIL import Image
from ui_doubles import shelf_of

from cir.composers.cvsi import weights as cvsi_weights
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.ranking.retriever import Retriever

SECRET = "taken at 48.2082 N 16.3738 E"  # in the metadata of every original
PATIENCE = 120.0  # seconds: on a busy machine even a refusal takes its time
ORIGINAL_SIDE = 480  # pixels: more than a thumbnail has


class TaggingLanguageModel(ToyLanguageModel):
    """Repeats "user 7" of an edit, so that an answer shows whose question it was made from.

    Attributes:
        free: cleared, it answers nobody until it is set again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.free = Event()
        self.free.set()

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        self.free.wait(PATIENCE)
        said = super().complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
        tags = re.findall(r"user \d+", str(prompt)[-160:])
        return f"{said} for {tags[-1]}" if tags else said


@dataclass
class Served:
    """A page that is being served.

    Attributes:
        url: its address, with a slash at the end.
        page: the gradio Blocks.
        gallery: what is searched; the originals are in `gallery.root`.
        model: the language model, which remembers its prompts.
    """

    url: str
    page: Any
    gallery: Gallery
    model: TaggingLanguageModel

    def client(self, **options: Any) -> Any:
        """A program of its own, with its own session."""
        from gradio_client import Client

        return Client(self.url, verbose=False, httpx_kwargs={"timeout": PATIENCE}, **options)

    def id_of(self, name: str) -> str:
        """The id of "red-square"."""
        return next(i for i in self.gallery.image_ids if self.gallery.label(i) == f"{name}.jpg")


def picture_file(folder: Path, colour: str, shape: str) -> Path:
    """An original: a JPEG with a place in its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{colour}-{shape}.jpg"
    exif = Image.Exif()
    exif[0x010E] = SECRET
    draw(colour, shape, ORIGINAL_SIDE).save(path, "JPEG", quality=92, exif=exif)
    return path


def picture_bytes(colour: str, shape: str) -> bytes:
    """The same as a PNG, to be uploaded."""
    buffer = io.BytesIO()
    draw(colour, shape, ORIGINAL_SIDE).save(buffer, "PNG")
    return buffer.getvalue()


def make_gallery(folder: Path) -> Gallery:
    """Twelve originals in `folder / "photos"`, indexed into `folder / "cache"`."""
    for colour in COLOURS:
        for shape in SHAPES:
            picture_file(folder / "photos", colour, shape)
    clip = ToyClip()
    for _ in index_folder(
        folder / "photos",
        name="toys",
        image_encoder=clip,
        text_encoder=clip,
        captioner=ToyCaptioner(),
        captions_per_image=2,
        cache_root=folder / "cache",
    ):
        pass
    return open_gallery("toys", cache_root=folder / "cache", image_encoder_fingerprint=clip.fingerprint)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve_toys(folder: Path, *, content: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Served]:
    """Serve the page over `make_gallery(folder)`.

    Args:
        folder: where the gallery is made.
        content: fields of PageContent to set.
        **options: for `cir.ui.server.serving.launch`.
    """
    from cir.ui.page import PageContent
    from cir.ui.server.serving import launch
    from cir.ui.view import build_page

    gallery, model = make_gallery(folder), TaggingLanguageModel()
    retriever = Retriever(gallery, {"CVSI": toy_cvsi(model, ToyCaptioner())})
    fields = {"shelf": shelf_of(retriever), "presets": {"Start": cvsi_weights()}, **(content or {})}
    page = build_page(PageContent(**fields))
    with launch(page, port=0, **options) as server:
        yield Served(server.url, page, gallery, model)
