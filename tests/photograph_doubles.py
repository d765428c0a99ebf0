"""A search that reads red pictures as photographs, and has weights of its own for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ui_doubles import ToyGallery, ToyMethod, ToyRetriever

from cir.composers.cvsi import PARAMETERS
from cir.types import READ_AS, ComposedQuery, Query

FOR_PHOTOGRAPHS = {"alpha": 0.1, "beta": 0.2, "gamma": 0.3}


class ReadingMethod(ToyMethod):
    """A method to which a red picture is a photograph, and any other a drawing."""

    parameters = tuple(replace(p, for_photographs=FOR_PHOTOGRAPHS[p.name]) for p in PARAMETERS)

    def compose(self, query: Query) -> Iterator[ComposedQuery]:
        kind = "a photograph" if "red" in self.owner._words_of(query.reference_image) else "a drawing"
        told = {READ_AS: (kind,)} if query.reference_image is not None else {}
        for composed in super().compose(query):
            yield replace(composed, trace={**composed.trace, **told})


class ReadingRetriever(ToyRetriever):
    """The toys' search by `ReadingMethod`."""

    def __init__(self, gallery: ToyGallery, delay_seconds: float = 0.0) -> None:
        super().__init__(gallery, delay_seconds)
        self.composers = {"CVSI": ReadingMethod(self)}  # type: ignore[dict-item]
