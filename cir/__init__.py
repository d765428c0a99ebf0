"""Recompose: search your pictures with a picture and a sentence. The core, without a page."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cir.errors import CirError
    from cir.images import read_image
    from cir.scripting import index_gallery, open_gallery, open_models, open_retriever
    from cir.types import ComposedQuery, Query, RetrievedImage

__version__ = "0.1.0"
__all__ = [
    "CirError",
    "ComposedQuery",
    "Query",
    "RetrievedImage",
    "__version__",
    "index_gallery",
    "open_gallery",
    "open_models",
    "open_retriever",
    "read_image",
]
_MODULES = {
    "CirError": "cir.errors",
    "index_gallery": "cir.scripting",
    "open_gallery": "cir.scripting",
    "open_models": "cir.scripting",
    "open_retriever": "cir.scripting",
    "read_image": "cir.images",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: `--help` and a wrong argument are answered without numpy.
    if name not in __all__:
        raise AttributeError(f"module 'cir' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "cir.types")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
