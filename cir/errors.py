"""Errors that are meant for people: what happened, what was expected, what to do.

The page and the command line show exactly these; anything else is a fault and is logged with an id.
"""

from __future__ import annotations


class CirError(Exception):
    """Something that a person can put right. `remedy` says how, as an instruction or a command."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class BadQuery(CirError):
    """The query itself cannot be answered: nothing given, a value out of its range, a wrong type."""


class BadImage(CirError):
    """A file that is no picture, or one that is refused before it is decoded."""


class MissingModel(CirError):
    """A model that is needed is not here. The remedy says how to get it."""


class UnsafeFile(CirError):
    """A file whose content is not what was promised: a wrong hash, a pickle, a truncated download."""


class GalleryError(CirError):
    """A gallery that cannot be opened, made, or used with these models."""


class OtherModels(GalleryError):
    """A gallery that other models made: it is whole, and searched with those, or indexed again with these."""


class MissingFeatures(GalleryError):
    """A gallery without the features that a method compares with. The remedy says how to make them."""


class LanguageModelFailed(CirError):
    """The language model gave no usable answer in its time: search goes on without its terms."""


class DatasetError(CirError):
    """Annotations, predictions or pictures of a benchmark that are not what they have to be."""
