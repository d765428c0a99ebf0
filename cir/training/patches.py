"""The patches of triplets' pictures, for networks that read them.

What a tower has of a picture's patches is some dozens of times as large as its feature, so that it stays on the disk
until a batch asks for it. Does not know where pictures come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cir.models.clip import ClipModel
from cir.text import counted
from cir.whole_files import replacing

TOGETHER = 32  # pictures that are encoded at a time


@dataclass(frozen=True, slots=True, eq=False)
class TripletPatches:
    """Which pictures M triplets are of, and how their patches are read.

    Attributes:
        references, targets: (M,) numbers of pictures.
        read: numbers of N pictures -> (N, P, C), of any precision.
    """

    references: NDArray[np.int64]
    targets: NDArray[np.int64]
    read: Callable[[NDArray[np.int64]], NDArray[Any]]

    def chosen(self, rows: NDArray[np.int64]) -> TripletPatches:
        """Those of the triplets of these rows."""
        return TripletPatches(self.references[rows], self.targets[rows], self.read)


def encoded_patches(
    path: Path,
    clip: ClipModel,
    pictures: Iterable[Image.Image],
    count: int,
    say: Callable[[str], None] = lambda _: None,
) -> NDArray[np.float16]:
    """(K, P, C) what a CLIP has of the patches of K pictures, mapped from a file; encoded where that is not there.

    Args:
        path: of the file; its name says of what and by which CLIP it is.
        clip: encodes.
        pictures: K of them; looked at only where they have to be encoded.
        count: K.
        say: told how far it is.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        left, rows, kept = iter(pictures), 0, None
        with replacing(path) as draft:
            while batch := list(islice(left, TOGETHER)):
                found = clip.encode_patches(batch)
                if kept is None:
                    shape = (count, *found.shape[1:])
                    kept = np.lib.format.open_memmap(draft, "w+", np.float16, shape)
                kept[rows : rows + len(found)] = found
                rows += len(found)
                say(f"patches: {counted(rows, 'picture')} of {count}")
            assert kept is not None, "there are pictures"
            assert rows == count, "as many as were announced"
            kept.flush()
    return np.load(path, mmap_mode="r")
