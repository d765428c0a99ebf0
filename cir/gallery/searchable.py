"""What the retriever and the page ask of a gallery, wherever its pictures' rows are: in this process, or on servers.

A picture has an id and a place, a whole number by which engines know it. `Gallery` has all of this in memory and more:
who trains, measures or makes triplets takes that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Among = Any  # which pictures: (K,) bool, or what a server is asked instead


class Searchable(Protocol):
    """K pictures that can be searched and shown."""

    @property
    def name(self) -> str:
        """What the gallery is called."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the person: what is missing or damaged."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """ "image_encoder", "text_encoder", "captioner" -> what made it."""
        ...

    @property
    def root(self) -> Path | None:
        """Where the pictures are, where that is known and on this machine."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where the gallery is kept; None for one that has no files of its own here."""
        ...

    @property
    def packed(self) -> bool:
        """Whether it is shipped."""
        ...

    @property
    def written(self) -> str:
        """When its manifest was written; another moment means that the gallery has changed."""
        ...

    @property
    def has_files(self) -> bool:
        """Whether its pictures were files in folders."""
        ...

    @property
    def captioned_images(self) -> int:
        """How many pictures have captions that count."""
        ...

    @property
    def caption_note(self) -> str:
        """A sentence while not all pictures have captions that count; "" when all have."""
        ...

    @property
    def folders(self) -> dict[bytes, int]:
        """Folders that hold pictures at any depth -> how many, in order of their paths."""
        ...

    @property
    def undated(self) -> int:
        """Of how many pictures the day is not known."""
        ...

    def __len__(self) -> int:
        """K."""
        ...

    def __contains__(self, image_id: object) -> bool: ...

    def prepare(self) -> None:
        """Make now what the first look for a picture, a folder or a day would wait for."""
        ...

    def find(self, image_id: str) -> int:
        """The place of a picture; `BadQuery` where the gallery has none of that id."""
        ...

    def ids_at(self, places: ArrayLike) -> list[str]:
        """The ids of the pictures at some places."""
        ...

    def page(self, seed: int, number: int, size: int) -> tuple[str, ...]:
        """The ids on a page of the gallery, in an order that mixes it; the last page may have fewer."""
        ...

    def with_content(self, content: str) -> tuple[str, ...]:
        """The ids of the pictures with a content hash."""
        ...

    def raw_features(self, image_id: str) -> NDArray[np.float32]:
        """(D,) the features of a picture as the encoder gave them."""
        ...

    def captions(self, image_id: str) -> list[str]:
        """The captions of a picture."""
        ...

    def label(self, image_id: str) -> str:
        """The path of a picture inside its folder, as one harmless line."""
        ...

    def note(self, image_id: str) -> str:
        """That a picture is gone; "" otherwise."""
        ...

    def image_path(self, image_id: str) -> Path:
        """Where a picture is; `GalleryError` where it is not kept as a file here."""
        ...

    def thumbnail_path(self, image_id: str) -> Path:
        """A small WebP of a picture; `GalleryError` where there is none."""
        ...

    def select(
        self,
        *,
        folder: bytes = b"",
        since: date | None = None,
        until: date | None = None,
        with_undated: bool = False,
    ) -> Among:
        """Which pictures lie below a folder and are of certain days."""
        ...

    def count(self, among: Among) -> int:
        """How many pictures these are; all for None."""
        ...

    def is_among(self, image_id: str, among: Among) -> bool:
        """Whether a picture is one of these; of all for None."""
        ...
