"""What answers for a gallery's features. Everything that ranks, compares or mines images asks one of these engines.

Another engine is a file beside `exact.py` and a line here.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from cir.errors import BadQuery
from cir.ranking.engines.protocol import Engine, WholeEngine

if TYPE_CHECKING:
    from cir.gallery.gallery import Gallery
    from cir.gallery.searchable import Searchable

SERVED = "qdrant"  # the one of galleries on servers
# Name -> what makes it of a gallery, by its place: only an engine that is opened is loaded.
ENGINES = {
    "exact": "cir.ranking.engines.exact:ExactEngine",
    "faiss": "cir.ranking.engines.faiss:FaissEngine",
    "faiss-hnsw": "cir.ranking.engines.faiss:hnsw_engine",
    SERVED: "cir.ranking.engines.qdrant:QdrantEngine",
}
DEFAULT = "exact"
PROPOSED_FROM = 1_000_000  # images from which on an index is worth what it may miss


def open_engine(gallery: Searchable, name: str = DEFAULT) -> Engine:
    """The engine of that name over a gallery. Nothing is computed before it is asked for.

    Raises:
        BadQuery: there is no such engine.
    """
    if name not in ENGINES:
        raise BadQuery(f"There is no engine called {name!r}.", f"Choose one of: {', '.join(ENGINES)}.")
    return resolve_name(ENGINES[name])(gallery)


def open_whole(gallery: Gallery) -> WholeEngine:
    """The exact engine over a gallery, as one that computes with all images at once."""
    from cir.ranking.engines.exact import ExactEngine

    return ExactEngine(gallery)
