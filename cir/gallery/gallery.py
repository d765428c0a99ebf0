"""A gallery in memory: image ids aligned with features and captions. Immutable once it is open.

It knows no model and no query; `opening.py` makes one of what indexing has left on disk.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.cache_keys import digest_of
from cir.dates import day_of_name
from cir.days import read_span
from cir.errors import BadImage, BadQuery, GalleryError
from cir.files import display_name
from cir.gallery.cache import thumbnail_file, write_thumbnail
from cir.gallery.kept_arrays import KeptArrays
from cir.gallery.stored_rows import Rows
from cir.images import make_thumbnail, read_image
from cir.text import counted

TOP = b"."  # as a folder: the images that lie in no folder below the root
GONE, AWAY = "file is gone", "its folder is not there now"
GONE_TILE = "gone"  # the name of the thumbnail that stands for an image of which nothing is left
_AGAIN = "Index it again: python -m cir index PHOTOS"


@dataclass(frozen=True, eq=False)
class Gallery:
    """K images that can be searched.

    Attributes:
        name: what the gallery is called.
        image_ids: K ids, in the order of the rows; safe to be sent to a browser.
        image_features: (K, D) unit rows, t_v. Those of a large gallery stay on the disk.
        caption_features: (K, D) mean of the unit features of an image's captions, t_c, NOT normalised again;
            zeros where there are no captions. Source: CVSI, section III-D, Eq. 5; their code does the same.
        captioned: (K,) bool, whether a row of `caption_features` counts.
        norms: (K,) lengths of the raw image features.
        fingerprints: "image_encoder", "text_encoder", "captioner" -> what made it.
        notes: sentences for the person: what is missing or damaged.
        relatives: K paths inside `root`; empty for a gallery that has no files.
        texts: K JSON lists of captions, "" for none.
        contents: K content hashes.
        root, folder: where the images are, and where the gallery is kept.
        taken: K times when each image was taken by what is written in it, ISO 8601, "" where nothing is; empty for a
            gallery that has no files.
        packed: whether it is shipped: its images are our own small ones, and lie beside it.
        written: when its manifest was written; another moment means that the gallery has changed.
        known_days: (K,) `days` as they were found earlier; NaT where none was.
        kept: what it was opened from, where its tables and shards were not read.
        spaces: fingerprint of another encoder -> (K, D) unit rows of it, of a gallery without files; those of one with
            files stay on the disk (`cir.gallery.spaces`).
    """

    name: str
    image_ids: Sequence[str]
    image_features: Rows
    caption_features: Rows
    captioned: NDArray[np.bool_]
    norms: NDArray[np.float32]
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    relatives: Sequence[bytes] = ()
    texts: Sequence[str] = ()
    contents: Sequence[str] = ()
    root: Path | None = None
    folder: Path | None = None
    taken: Sequence[str] = ()
    packed: bool = False
    written: str = ""
    known_days: NDArray[np.datetime64] | None = None
    kept: KeptArrays | None = None
    spaces: Mapping[str, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arrays = (self.image_features, self.caption_features, self.captioned, self.norms)
        for array in arrays:
            if isinstance(array, np.ndarray):
                array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._rows

    @classmethod
    def from_features(
        cls,
        name: str,
        image_ids: Sequence[str],
        raw_features: NDArray[np.float32],
        *,
        caption_features: NDArray[np.float32] | None = None,
        captions: Sequence[Sequence[str]] = (),
        fingerprints: Mapping[str, str] | None = None,
    ) -> Gallery:
        """A gallery without files: for a benchmark, whose images are drawn or read elsewhere.

        Args:
            name: what it is called.
            image_ids: K ids.
            raw_features: (K, D) image features, not normalised, finite and not zero.
            caption_features: (K, D) mean caption features; rows of zeros have no captions.
            captions: K lists of captions, or none at all.
            fingerprints: as in the attributes.

        Raises:
            ValueError: shapes that do not fit, or a row that has no direction.
        """
        raw = np.asarray(raw_features, dtype=np.float32)
        norms = np.linalg.norm(raw, axis=1)
        means = (
            np.zeros_like(raw) if caption_features is None else np.array(caption_features, dtype=np.float32)
        )
        if raw.shape != means.shape or len(raw) != len(image_ids) or len(captions) not in (0, len(raw)):
            raise ValueError(f"{len(image_ids)} ids, features {raw.shape}, caption features {means.shape}")
        if not (np.isfinite(norms).all() and (norms > 0).all() and np.isfinite(means).all()):
            raise ValueError("features with a row that is zero or not finite")
        texts = tuple(json.dumps(list(one)) for one in captions)
        return cls(
            name=name,
            image_ids=tuple(image_ids),
            image_features=raw / norms[:, None],
            caption_features=means,
            captioned=np.asarray(means.any(axis=1)),
            norms=norms,
            fingerprints=fingerprints or {},
            texts=texts,
        )

    def with_captions(self, means: Sequence[NDArray[np.float32] | None]) -> Gallery:
        """The same images, without files, with other captions: each one's (D,) mean caption features, or None."""
        rows = np.stack([np.zeros_like(self.image_features[0]) if mean is None else mean for mean in means])
        return Gallery.from_features(
            self.name, self.image_ids, np.array(self.image_features), caption_features=rows
        )

    @property
    def captioned_images(self) -> int:
        """How many images have captions that count."""
        return self._captioned_images

    @cached_property
    def _captioned_images(self) -> int:
        return int(self.captioned.sum())

    @property
    def image_content(self) -> str:
        """A digest of the ids and the image features: of what methods that look at the gallery can see of it."""
        return digest_of(list(self.image_ids), np.asarray(self.image_features))

    def prepare(self) -> None:
        """Make now what the first look for an image, a folder or a day would wait for."""
        _ = self._rows, self.folders, self.days

    def find(self, image_id: str) -> int:
        """The row of an image.

        Raises:
            BadQuery: the gallery has no such image.
        """
        row = self._rows.get(image_id) if isinstance(image_id, str) else None
        if row is None:
            shown = str(image_id)[:40]
            raise BadQuery(
                f"There is no image {shown!r} in this gallery.",
                "Choose one that is shown, or name one by the image_id of a result.",
            )
        return row

    def ids_at(self, places: ArrayLike) -> list[str]:
        """The ids of the images at some places."""
        ids = self.image_ids
        return [str(ids[place]) for place in np.atleast_1d(np.asarray(places, np.int64)).tolist()]

    def page(self, seed: int, number: int, size: int) -> tuple[str, ...]:
        """The ids on a page of the gallery, in an order that a seed decides; the last page may have fewer."""
        order = np.random.default_rng(seed).permutation(len(self))
        return tuple(self.ids_at(order[number * size : (number + 1) * size]))

    def with_content(self, content: str) -> tuple[str, ...]:
        """The ids of the images with a content hash."""
        return tuple(i for i, own in zip(self.image_ids, self.contents, strict=False) if own == content)

    @property
    def has_files(self) -> bool:
        """Whether its images are files in folders."""
        return bool(self.relatives)

    def raw_features(self, image_id: str) -> NDArray[np.float32]:
        """(D,) the features as the encoder gave them, not normalised: what a mapping network wants."""
        row = self.find(image_id)
        return self.image_features[row] * self.norms[row]

    def captions(self, image_id: str) -> list[str]:
        """The captions of an image; none when it was not captioned."""
        row = self.find(image_id)
        return json.loads(self.texts[row]) if self.texts and self.texts[row] else []

    def label(self, image_id: str) -> str:
        """The path of an image inside its folder, as one harmless line; the id where there is no file."""
        row = self.find(image_id)
        return display_name(self.relatives[row]) if self.relatives else image_id

    def image_path(self, image_id: str) -> Path:
        """Where the image was when it was indexed. Never to be sent to a browser.

        Raises:
            GalleryError: this gallery has no files.
        """
        row = self.find(image_id)
        if self.root is None or not self.relatives:
            raise GalleryError(
                f"The images of {self.name} are not kept as files.", "Use a gallery made from a folder."
            )
        return self.root / os.fsdecode(self.relatives[row])

    def note(self, image_id: str) -> str:
        """ "file is gone" when the image was deleted or moved since, and so where the whole folder is not there; otherwise ""."""
        row = self.find(image_id)
        if self.root is None or not self.relatives or self.image_path(self.image_ids[row]).is_file():
            return ""
        return GONE if self.root.is_dir() else AWAY

    def thumbnail_path(self, image_id: str) -> Path:
        """A small WebP of the image, without metadata, fit to be shown in a browser.

        It is made now when indexing made none. A shipped gallery shows its own small images. When nothing of
        the image is left, it is a grey tile; `note` says so in words.

        Raises:
            GalleryError: there is neither thumbnail, image nor tile.
        """
        row = self.find(image_id)
        image = self.image_path(image_id)
        assert self.folder is not None, "a gallery with files has a folder"
        kept = thumbnail_file(self.folder, self.contents[row])
        if kept.is_file():
            return kept
        if self.packed and image.suffix == ".webp" and image.is_relative_to(self.folder) and image.is_file():
            return image
        try:
            return write_thumbnail(self.folder, self.contents[row], make_thumbnail(read_image(image)))
        except (BadImage, OSError) as error:
            tile = thumbnail_file(self.folder, GONE_TILE)
            if tile.is_file():
                return tile
            message = f"There is no small picture of {self.label(image_id)}, and none can be made."
            raise GalleryError(message, _AGAIN) from error

    @property
    def folders(self) -> dict[bytes, int]:
        """Every folder below `root` that holds images at any depth -> how many, in order of their paths."""
        return self._folders

    @cached_property
    def _folders(self) -> dict[bytes, int]:
        counts: Counter[bytes] = Counter()
        names, numbers = self._folders_of_images
        for folder, images in zip(names, np.bincount(numbers, minlength=len(names)).tolist(), strict=True):
            parts = folder.split(b"/") if folder else []
            for depth in range(1, len(parts) + 1):
                counts[b"/".join(parts[:depth])] += images
        return dict(sorted(counts.items(), key=lambda item: item[0].split(b"/")))

    @cached_property
    def _folders_of_images(self) -> tuple[list[bytes], NDArray[np.int64]]:
        """Folders that images lie in, and which of them each does."""
        names: dict[bytes, int] = {}
        numbers = [names.setdefault(path.rpartition(b"/")[0], len(names)) for path in self.relatives]
        return list(names), np.array(numbers, np.int64)

    @cached_property
    def days(self) -> NDArray[np.datetime64]:
        """(K,) datetime64[D], when each image was taken, by what is written in it or else by its name.

        NaT where neither says it; empty for a gallery that has no files.
        """
        nothing = np.full(len(self.taken), np.datetime64("NaT"), "datetime64[D]")
        days = nothing if self.known_days is None else self.known_days.copy()
        for row in np.flatnonzero(np.isnat(days)).tolist():
            days[row] = day_of(self.taken[row], self.relatives[row])
        days.setflags(write=False)
        return days

    @property
    def undated(self) -> int:
        """Of how many images the day is not known."""
        return self._undated

    @cached_property
    def _undated(self) -> int:
        return int(np.isnat(self.days).sum())

    def select(
        self,
        *,
        folder: bytes | str = b"",
        since: date | str | None = None,
        until: date | str | None = None,
        with_undated: bool = False,
    ) -> NDArray[np.bool_]:
        """Which images lie below a folder and are of certain days.

        Args:
            folder: one of `folders`, or its path as text; TOP for those that lie in no folder; b"" for all.
            since, until: the first and the last day, or a day, a month or a year as text; None for no such end.
            with_undated: whether images of an unknown day are among those of certain days.

        Returns:
            (K,) bool, for `Retriever.rank(among=...)`.

        Raises:
            BadQuery: there is no such folder or day, or the gallery knows no days.
        """
        folder = os.fsencode(folder.strip("/")) if isinstance(folder, str) else folder
        since = read_span(since)[0] if isinstance(since, str) else since
        until = read_span(until)[1] if isinstance(until, str) else until
        chosen = self._in_folder(folder) if folder else np.ones(len(self), dtype=bool)
        if not since and not until:
            return chosen
        if len(self.days) != len(self):
            raise BadQuery(f"{self.name} does not know the days of its images.", "Clear the dates.")
        unknown = np.isnat(self.days)
        of_days = ~unknown
        if since:
            of_days &= self.days >= np.datetime64(since)
        if until:
            of_days &= self.days <= np.datetime64(until)
        return chosen & (of_days | unknown if with_undated else of_days)

    def count(self, among: NDArray[np.bool_] | None) -> int:
        """How many images these are; all for None."""
        return len(self) if among is None else int(among.sum())

    def is_among(self, image_id: str, among: NDArray[np.bool_] | None) -> bool:
        """Whether an image is one of these; of all for None."""
        return among is None or bool(among[self.find(image_id)])

    def _in_folder(self, folder: bytes) -> NDArray[np.bool_]:
        names, numbers = self._folders_of_images
        if folder == TOP:
            return np.array([not name for name in names], bool)[numbers]
        if folder not in self.folders:
            shown = display_name(folder)[:60]
            raise BadQuery(f"There is no folder {shown!r} in {self.name}.", "Choose one from the list.")
        return np.array([(name + b"/").startswith(folder + b"/") for name in names], bool)[numbers]

    @property
    def caption_note(self) -> str:
        """A sentence while not all images have captions that count; "" when all have."""
        captioned = self.captioned_images
        if captioned == len(self):
            return ""
        if not captioned:
            return "No picture has captions yet, so pictures are found by their look alone: the weight of captions (γ) changes nothing."
        return (
            f"Captions so far: of {captioned:,} of {counted(len(self), 'picture')}. The others are found by their look alone, "
            "whatever the weight of captions (γ)."
        )

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self.image_ids)}


def day_of(taken: str, relative: bytes) -> date | None:
    """The day of a picture by what is written in it, or else by its name; None where neither says it."""
    try:
        return date.fromisoformat(taken[:10]) if taken else day_of_name(relative.rpartition(b"/")[2])
    except ValueError:
        return None
