"""Recompose: search your pictures with a picture and a sentence. The core, without a page."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cir.errors import CirError
    from cir.types import ComposedQuery, Query, RetrievedImage, Weights

__version__ = "0.1.0"
__all__ = ["CirError", "ComposedQuery", "Query", "RetrievedImage", "Weights", "__version__"]
_MODULES = {"CirError": "cir.errors"}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: `--help` and a wrong argument are answered without numpy.
    if name not in __all__:
        raise AttributeError(f"module 'cir' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "cir.types")), name)
