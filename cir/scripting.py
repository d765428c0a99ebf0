"""What a script begins with: models, a gallery, and a retriever over it. No page is needed, and gradio is not imported.

`import cir` has these names; docs/api.md shows them at work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cir.application import build_composers, build_models, build_translator, open_for
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.sources import name_gallery
from cir.models.model_set import Models
from cir.places import gallery_cache
from cir.ranking.retriever import Retriever


def open_models(name: str = "embedded", *, llm: str | None = None) -> Models:
    """A set of models. Each is loaded when it is first needed; `close` ends the language model's process.

    Args:
        name: "embedded", "embedded-blip", "laptop", "desktop", "blip", "base", "large" or "giga"; or the file or folder of a trained mapping network.
        llm: a language model's name, its .gguf file, or "none"; None for the set's own.

    Raises:
        BadQuery: there is no such set.
        MissingModel: there is no such mapping network.
    """
    return build_models(name, llm=llm)


def open_gallery(gallery: str | Path | None, models: Models) -> Gallery:
    """A gallery that is indexed already.

    Args:
        gallery: its name, or the folder of its pictures; None for the sample gallery.
        models: those that it was indexed with.

    Raises:
        GalleryError: it is not there, or other models made it.
    """
    return open_for(models, None if gallery is None else str(gallery))


def index_gallery(
    folder: str | Path,
    models: Models,
    *,
    name: str = "",
    captions: bool = True,
    progress: Callable[[IndexingProgress], None] | None = None,
) -> Gallery:
    """Index a folder of pictures, or bring its gallery up to date, and open it.

    Args:
        folder: of pictures.
        models: what encodes and captions them.
        name: of the gallery; "" for the one that it has, or one like the folder's.
        captions: whether captions are written; without them pictures are found by their look alone.
        progress: told how far it is; the last time also which files were left out, and why.

    Raises:
        GalleryError: the folder cannot be indexed, or not under that name.
    """
    root, cache_root = Path(folder), gallery_cache()
    named = name_gallery(cache_root, root, name).name
    for step in index_folder(
        root,
        name=named,
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=models.captioner if captions else None,
        cache_root=cache_root,
    ):
        if progress is not None:
            progress(step)
    return open_for(models, named)


def open_retriever(gallery: Gallery, models: Models) -> Retriever:
    """What searches a gallery, by every method that these models can run.

    Args:
        gallery: from `open_gallery` or `index_gallery`.
        models: the same as there.
    """
    return Retriever(gallery, build_composers(models), build_translator(models))
