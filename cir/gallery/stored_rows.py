"""The rows of a large gallery where they lie: in its shards, mapped into memory and read only where they are asked for.

This module knows neither galleries nor what the rows stand for.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.cache_keys import digest_of

BLOCK = 8192  # rows that are read at once
HELD = 128  # rows that were read whose pages count as this process's memory; the system maps their neighbours as well, up to 2 MB of them
SMALL, NONE = -1, -2
_PARSING, _PARSES = Lock(), 5


class StoredRows:
    """(K, D) float32 rows, read only. Indexed by an array of places, it answers as an array would.

    Args:
        files: of the shards that are mapped.
        small: the rows of all other shards, one after another (N, D).
        shards: (K,) which of the files a row is in; SMALL for `small`, NONE for a row of zeros.
        rows: (K,) which row of it.
        dim: D.
        divisors: (K,) what the stored rows are divided by; None for 1.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        files: Sequence[Path],
        small: NDArray[np.float32],
        shards: NDArray[np.int32],
        rows: NDArray[np.int32],
        dim: int,
        divisors: NDArray[np.float32] | None = None,
    ) -> None:
        self.shape = (len(shards), dim)
        self._mapped, self._small = tuple(map(_Mapped, files)), small
        self._shards, self._rows, self._divisors = shards, rows, divisors
        self._unreleased = 0

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def files(self) -> list[Path]:
        """Of the shards that are mapped, as they were named when they were."""
        return [one.path for one in self._mapped]

    @property
    def parts(self) -> dict[str, NDArray]:
        """What it was made of, beside files and divisors, by name."""
        return {"small": self._small, "shards": self._shards, "rows": self._rows}

    @property
    def identity(self) -> str:
        """Changes whenever a row does: shards are named by what is in them."""
        divisors = self._divisors if self._divisors is not None else np.zeros(0)
        return digest_of([path.name for path in self.files], *self.parts.values(), divisors)

    def __getitem__(self, index: ArrayLike | slice) -> NDArray[np.float32]:
        """(N, D) the rows at some places, (D,) the one at a place."""
        places = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        if not places.ndim:
            return self[places[None]][0]
        chosen = np.flatnonzero(places) if places.dtype == np.bool_ else places.astype(np.int64, copy=False)
        out = np.zeros((len(chosen), self.shape[1]), np.float32)
        for start in range(0, len(chosen), HELD):
            self._read(chosen[start : start + HELD], out[start : start + HELD])
        if self._divisors is not None:
            out /= self._divisors[chosen, None]
        return out

    def _read(self, places: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        shards, rows = self._shards[places], self._rows[places]
        for shard in np.unique(shards):
            if shard != NONE:
                here = np.flatnonzero(shards == shard)
                out[here] = (self._small if shard == SMALL else self._mapped[shard].rows)[rows[here]]
        self._unreleased += len(places)
        if self._unreleased > HELD:
            self.release()

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.float32]:
        return self[:]

    def among(self, places: NDArray[np.int64], divisors: NDArray[np.float32] | None = None) -> StoredRows:
        """Some of these rows, divided by something."""
        shards, rows = self._shards[places], self._rows[places]
        few = StoredRows((), self._small, shards, rows, self.shape[1], divisors)
        few._mapped = self._mapped
        return few

    def __matmul__(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, P) products with (D, P): every shard is read once, from its beginning to its end."""
        out = np.zeros((len(self), columns.shape[1]), np.float32)
        order = self.order()
        edges = np.searchsorted(self._shards[order], np.arange(SMALL, len(self._mapped) + 1))
        for shard in range(SMALL, len(self._mapped)):
            places = order[edges[shard - SMALL] : edges[shard - SMALL + 1]]
            matrix = self._small if shard == SMALL else self._mapped[shard].rows
            products = np.concatenate([matrix[:0] @ columns, *(part @ columns for part in _parts(matrix))])
            out[places] = products[self._rows[places]]
            self.release()
        if self._divisors is not None:
            out /= self._divisors[:, None]
        return out

    def order(self) -> NDArray[np.int64]:
        """(K,) the places in the order in which their rows lie on the disk."""
        return np.lexsort((self._rows, self._shards))

    def release(self) -> None:
        """Give back the memory of the pages that were read: the system keeps them as long as it likes."""
        self._unreleased = 0
        for one in self._mapped:
            one.release()


class _Mapped:
    """A file of rows in memory. It stays readable when it is deleted, as indexing again may do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = load_matrix(path, mapped=True)
        assert isinstance(head, np.memmap)
        self.rows = np.frombuffer(self._map, head.dtype, offset=head.offset).reshape(head.shape)

    def release(self) -> None:
        """Let the system take its pages."""
        if hasattr(mmap, "MADV_DONTNEED"):  # where the system can be told so
            self._map.madvise(mmap.MADV_DONTNEED)


def load_matrix(source: Path | BinaryIO, *, mapped: bool = False) -> NDArray:
    """What `np.load` finds, never a pickle; one at a time, and again where another thread was in the way.

    numpy reads a header by Python's own parser. Until Python 3.12 that fails with a SystemError where two threads are in it.
    """
    for _ in range(_PARSES):
        with _PARSING, suppress(SystemError):
            return np.load(source, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(source, Path):
            source.seek(0)
    raise ValueError("the header of a matrix cannot be read")


Rows = NDArray[np.float32] | StoredRows


def _parts(matrix: NDArray[np.floating]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(matrix), BLOCK):
        yield np.asarray(matrix[start : start + BLOCK], np.float32)
