"""What a method is: an (image, text) query turned into named features. One published method per file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.composers.parameters import Parameter
from cir.errors import BadQuery, MissingModel
from cir.models.protocols import ImageEncoder
from cir.ranking.engines.protocol import Engine
from cir.types import ComposedQuery, Query, Scorer

Model = TypeVar("Model")


class Composer(Protocol):
    """One method.

    Attributes:
        name: as in its paper.
        parameters: what of it can be moved, each starting where its paper has it, or where it was found to be best
            for these models; none for a method that is ranked as it is.
        scoring: how these numbers and a composed query become scores; every query that it composes carries it.
    """

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def scoring(self) -> Scorer | None:
        """How the method's numbers and a composed query become scores; None where all rows count alike, by pixels."""
        ...

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        """Yield the query's features, at least once; the last is the whole."""
        ...


class GalleryBound(Protocol):
    """A method that looks at the gallery while it composes."""

    def for_gallery(self, engine: Engine) -> Composer:
        """The same method, for the gallery that an engine holds."""
        ...


class InOwnSpace(Protocol):
    """A method that compares with features of the gallery's images by another encoder than the gallery's own.

    Every query that it composes says so (`ComposedQuery.space`).

    Attributes:
        gallery_encoder: what has to have encoded the gallery.
        words_fit: whether features of texts, as the CLIP's text tower has them, can be compared with those as well.
    """

    gallery_encoder: ImageEncoder
    words_fit: bool


def gallery_encoder_of(composer: object) -> ImageEncoder | None:
    """What has to have encoded the gallery's images for a method; None where that is what encodes every gallery."""
    return cast(InOwnSpace, composer).gallery_encoder if hasattr(composer, "gallery_encoder") else None


def bind_to_gallery(composer: Composer, engine: Engine) -> Composer:
    """The method for the gallery that an engine holds, where it looks at the gallery; itself where it does not."""
    if callable(getattr(composer, "for_gallery", None)):
        return cast(GalleryBound, composer).for_gallery(engine)
    return composer


def unit_row(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D,) or (1, D) -> (D,) of length 1."""
    flat = np.asarray(row, dtype=np.float32).reshape(-1)
    return flat / max(float(np.linalg.norm(flat)), 1e-12)


def reference_of(query: Query, method: str) -> Image.Image:
    """The reference image of a query for a method that cannot do without.

    Raises:
        BadQuery: there is none.
    """
    if query.reference_image is None:
        raise BadQuery(f"{method} needs a reference image.", "Choose one, or search with Text-only.")
    return query.reference_image


def edit_of(query: Query, method: str) -> str:
    """The modification text of a query for a method that cannot do without.

    Raises:
        BadQuery: there is none.
    """
    if not query.modification_text:
        raise BadQuery(f"{method} needs an edit.", "Type one, or search with Image-only.")
    return query.modification_text


def present(model: Model | None, what: str, method: str, missing: Mapping[str, str]) -> Model:
    """A model that a method cannot do without.

    Args:
        model: the model, or None.
        what: "captioner" or "language model".
        method: who needs it.
        missing: why it is not here and how to get it, by the same names.

    Raises:
        MissingModel: it is not here.
    """
    if model is None:
        why = missing.get(what, f"There is no {what}.")
        raise MissingModel(f"{method} needs a {what}. {why}", "Until then, choose another method.")
    return model
