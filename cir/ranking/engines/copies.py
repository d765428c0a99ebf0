"""The int8 copies of a gallery, kept beside its shards: mapped when it is opened again, made anew where its rows have changed."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from cir.cache_keys import digest_of
from cir.gallery.cache import is_being_written
from cir.gallery.gallery import Gallery
from cir.gallery.kept_arrays import KeptArrays, keep_arrays, read_arrays
from cir.gallery.stored_rows import StoredRows
from cir.ranking.engines.quantised import Quantised, quantise

KIND, VERSION = "copies", 3  # of how they are made: of another one they are made anew
_log = logging.getLogger(__name__)


def open_copies(gallery: Gallery) -> tuple[Quantised, KeptArrays | None]:
    """The copies as they are kept, else made now, and kept where that can be; and what is kept.

    Nothing is kept of a gallery whose rows are in memory, as they are few, that is shipped, or is being written: of its next
    state others are made.
    """
    image, captions, folder = gallery.image_features, gallery.caption_features, gallery.folder
    if (
        folder is None
        or gallery.packed
        or not isinstance(image, StoredRows)
        or not isinstance(captions, StoredRows)
    ):
        return Quantised(quantise(image, captions, gallery.captioned), gallery.captioned), None
    source = digest_of(VERSION, image.identity, captions.identity, gallery.captioned)
    kept = read_arrays(folder, KIND, source)
    if kept is not None and _is_order(kept.arrays["order"]):
        return Quantised(kept.arrays, gallery.captioned), kept
    arrays = quantise(image, captions, gallery.captioned)
    if not is_being_written(folder):
        try:
            kept = keep_arrays(folder, KIND, source, arrays)
        except OSError as error:  # a full disk, or a folder that cannot be written: they stay in memory
            _log.info("What searches %s quickly is not kept: %s", gallery.name, error)
    return Quantised(kept.arrays if kept else arrays, gallery.captioned), kept


def _is_order(places: NDArray[np.int32]) -> bool:
    """Whether each place is there once. Loops that are compiled would go to wherever a damaged one points."""
    return np.array_equal(np.sort(places), np.arange(len(places)))
