"""What a script begins with: models, a gallery, and a retriever over it. No page is needed, and gradio is not imported.

`import cir` has these names; docs/api.md shows them at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cir.application import build_composers, build_models, build_translator, open_for
from cir.composers.composer import Composer
from cir.composers.parameters import Parameter, Values, read_values
from cir.errors import BadQuery, GalleryError
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.sources import name_gallery
from cir.models.model_set import Models
from cir.places import gallery_cache
from cir.ranking.retriever import Retriever
from cir.ranking.scoring import Scoring
from cir.text import clean_text, counted
from cir.types import ComposedQuery, Query, RetrievedImage, Scorer


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
    if gallery == "":
        raise GalleryError(
            "A gallery without a name is none.", "Name it, or give None for the sample gallery."
        )
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


class ScriptRetriever(Retriever):
    """What searches a gallery for a script: as on the page a query is read, and numbers are checked whenever they count."""

    def compose(self, query: Query, method: str) -> Iterator[ComposedQuery]:
        """As of `Retriever`.

        Raises:
            BadQuery: no such method, or a query of other things than a picture and a text.
        """
        composer = self._composer(method)
        query, notes = _as_on_the_page(query)
        for one in super().compose(query, composer.name):
            scoring = one.scoring and partial(_checked, composer.parameters, one.scoring)
            yield replace(one, scoring=scoring, notes=(*notes, *one.notes))

    def rank(
        self, composed: ComposedQuery, values: Values, *, exclude: Iterable[str] = (), **options: Any
    ) -> list[RetrievedImage]:
        """As of `Retriever`; one id to leave out may stand alone.

        Raises:
            BadQuery: the same, or `among` is not of this gallery's pictures.
        """
        among, pictures = options.pop("among", None), len(self.gallery)
        if among is not None:
            among = np.asarray(among)
            if among.dtype != np.bool_ or among.shape != (pictures,):
                raise BadQuery(
                    f"What may be found is said for each of the {counted(pictures, 'picture')} of {self.gallery.name}.",
                    'For example: among=gallery.select(since="2024")',
                )
        left_out = [exclude] if isinstance(exclude, str) else exclude
        return super().rank(composed, values, exclude=left_out, among=among, **options)

    def _composer(self, method: str) -> Composer:
        """A method, by its name in capitals or not."""
        named = {name.casefold(): name for name in self.methods}
        return super()._composer(named.get(str(method).casefold(), method))


def _as_on_the_page(query: Query) -> tuple[Query, list[str]]:
    """The query with its text cleaned, and notes about that."""
    picture = query.reference_image
    if picture is not None and not isinstance(picture, Image.Image):
        raise BadQuery(
            f"The reference image has to be a picture, not {type(picture).__name__}.",
            'Read it: cir.read_image("photo.jpg")',
        )
    text, notes = clean_text(query.modification_text)
    return Query(picture, text), notes


def _checked(
    parameters: Sequence[Parameter], scoring: Scorer, composed: ComposedQuery, values: Values
) -> Scoring:
    """A method's scoring by numbers of a script, each of which the method has, within its range."""
    if not isinstance(values, Mapping):
        raise BadQuery(
            f"The method's numbers are given by name, not as {type(values).__name__}.",
            "Begin with those of the method: retriever.defaults(METHOD)",
        )
    unknown = sorted({*values} - {name for p in parameters for name in (p.name, p.formerly)})
    if unknown:
        has = ", ".join(p.name for p in parameters)
        raise BadQuery(
            f"The method has no number called {unknown[0]!r}.", f"Leave it out. Its numbers: {has}."
        )
    return scoring(composed, read_values(parameters, values))


def open_retriever(gallery: Gallery, models: Models) -> ScriptRetriever:
    """What searches a gallery, by every method that these models can run.

    Args:
        gallery: from `open_gallery` or `index_gallery`.
        models: the same as there.
    """
    return ScriptRetriever(gallery, build_composers(models), build_translator(models))
