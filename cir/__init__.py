"""Recompose: search your pictures with a picture and a sentence. The core, without a page."""

from cir.errors import CirError
from cir.types import ComposedQuery, Query, RetrievedImage, Weights

__version__ = "0.1.0"
__all__ = ["CirError", "ComposedQuery", "Query", "RetrievedImage", "Weights", "__version__"]
