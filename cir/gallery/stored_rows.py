"""The rows of a large gallery where they lie: in its shards, of which only the rows that are asked for are read.

This module knows neither galleries nor what the rows stand for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cir.cache_keys import digest_of
from cir.errors import UnsafeFile

BLOCK = 8192  # rows that are read at once
AT_ONCE = 2048  # of rows that lie apart
NEAR = 8  # rows that lie so near to one another are read with what is between them
SMALL, NONE = -1, -2
_PARSING, _PARSES = Lock(), 5


class StoredRows:
    """(K, D) float32 rows, read only. Indexed by an array of places, it answers as an array would.

    Args:
        files: of the shards that stay on the disk.
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
        self._files, self._small = tuple(map(_File, files)), small
        self._shards, self._rows, self._divisors = shards, rows, divisors

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def files(self) -> list[Path]:
        """Of the shards that stay on the disk, as they were named when they were opened."""
        return [one.path for one in self._files]

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
        shards, rows = self._shards[chosen], self._rows[chosen]
        small = np.flatnonzero(shards == SMALL)
        out[small] = self._small[rows[small]]
        order = np.lexsort((rows, shards))[np.count_nonzero(shards < 0) :]  # as they lie on the disk
        for start in range(0, len(order), AT_ONCE):
            at = order[start : start + AT_ONCE]
            out[at] = self._read(shards[at], rows[at])
        if self._divisors is not None:
            out /= self._divisors[chosen, None]
        return out

    def _read(self, shards: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(N, D) rows of shards, ascending. The disk is told of all of them before the first is waited for."""
        starts = np.flatnonzero(np.append(True, (np.diff(shards) != 0) | (np.diff(rows) > NEAR)))
        lengths = np.diff(starts, append=len(rows))
        firsts = rows[starts].astype(np.int64)
        counts = rows[starts + lengths - 1] - firsts + 1
        bases = np.cumsum(counts) - counts
        read = np.empty((counts.sum(), self.shape[1]), np.float32)
        files = [self._files[shard] for shard in shards[starts].tolist()]
        spans = list(zip(files, firsts.tolist(), bases.tolist(), (bases + counts).tolist(), strict=True))
        if len(spans) > 1:
            for file, first, start, stop in spans:
                file.expect(first, stop - start)
        for file, first, start, stop in spans:
            file.read(first, read[start:stop])
        return read[rows + np.repeat(bases - firsts, lengths)]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.float32]:
        return self[:]

    def among(self, places: NDArray[np.int64], divisors: NDArray[np.float32] | None = None) -> StoredRows:
        """Some of these rows, divided by something."""
        shards, rows = self._shards[places], self._rows[places]
        few = StoredRows((), self._small, shards, rows, self.shape[1], divisors)
        few._files = self._files
        return few

    def __matmul__(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, P) products with (D, P): every shard is read once, from its beginning to its end."""
        out = np.zeros((len(self), columns.shape[1]), np.float32)
        order = self.order()
        edges = np.searchsorted(self._shards[order], np.arange(SMALL, len(self._files) + 1))
        for shard in range(SMALL, len(self._files)):
            places = order[edges[shard - SMALL] : edges[shard - SMALL + 1]]
            products = (self._small if shard == SMALL else self._files[shard]) @ columns
            out[places] = products[self._rows[places]]
        if self._divisors is not None:
            out /= self._divisors[:, None]
        return out

    def order(self) -> NDArray[np.int64]:
        """(K,) the places in the order in which their rows lie on the disk."""
        return np.lexsort((self._rows, self._shards))


class _File:
    """A file of rows. It stays readable when it is deleted, as indexing again may do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, self._reading = path.open("rb", buffering=0), Lock()
        head = load_matrix(path, mapped=True)
        assert isinstance(head, np.memmap)
        self._dtype, self._shape, self._offset = head.dtype, head.shape, head.offset
        self._row_bytes = head.shape[1] * head.itemsize

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # it could be opened
            self._file.close()  # no earlier: whoever still searches an older state of the gallery reads from it

    def expect(self, first: int, count: int) -> None:
        """Tell the system, where it can be told, that some rows will be read, and nothing around them."""
        if hasattr(os, "posix_fadvise"):
            at = self._offset + first * self._row_bytes
            os.posix_fadvise(self._file.fileno(), at, count * self._row_bytes, os.POSIX_FADV_WILLNEED)

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Fill in the rows (N, D) from `first` on.

        Raises:
            UnsafeFile: the file has become shorter.
        """
        rows = out if out.dtype == self._dtype else np.empty(out.shape, self._dtype)
        left, at = rows.reshape(-1).view(np.uint8).data, self._offset + first * self._row_bytes
        while len(left):
            if not (found := self._read(left, at)):
                raise UnsafeFile(
                    f"The features in {self.path.name[:12]} are cut off.",
                    "Index again: python -m cir index PHOTOS",
                )
            left, at = left[found:], at + found
        if rows is not out:
            out[:] = rows

    def _read(self, out: memoryview, at: int) -> int:
        """How many bytes were read from there: all, or fewer."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [out], at)
        with self._reading:
            self._file.seek(at)
            return self._file.readinto(out)

    def __matmul__(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, P) products of all rows with (D, P)."""
        count, dim = self._shape
        out, block = np.empty((count, columns.shape[1]), np.float32), np.empty((BLOCK, dim), np.float32)
        for start in range(0, count, BLOCK):
            part = block[: min(BLOCK, count - start)]
            self.read(start, part)
            np.matmul(part, columns, out=out[start : start + BLOCK])
        return out


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
