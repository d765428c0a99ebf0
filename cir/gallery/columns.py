"""One text of each image, as a sequence, though they lie one after another in the bytes of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

Text = TypeVar("Text", str, bytes)


class Column(Sequence[Text], Generic[Text]):
    """K texts, each made when it is asked for.

    Args:
        data: (N,) all their bytes.
        ends: (K,) where each ends.
        kind: `str` or `bytes`.
    """

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64], kind: type[Text]) -> None:
        self.data, self.ends, self._kind = data, ends, kind

    @classmethod
    def of(cls, texts: Iterable[Text], kind: type[Text]) -> Column[Text]:
        """The same texts."""
        parts = [one.encode("utf-8", "surrogatepass") if isinstance(one, str) else one for one in texts]
        ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
        return cls(np.frombuffer(b"".join(parts), np.uint8), ends, kind)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Text: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Text, ...]: ...
    def __getitem__(self, index: int | slice) -> Text | tuple[Text, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        place = range(len(self))[index]
        first = int(self.ends[place - 1]) if place else 0
        return self._text(self.data[first : int(self.ends[place])].tobytes())

    def __iter__(self) -> Iterator[Text]:
        whole = self.data.tobytes()
        text = self._text(whole)
        if len(text) == len(whole):  # one byte a character
            return (text[first:last] for first, last in pairwise([0, *self.ends.tolist()]))
        return (self._text(whole[first:last]) for first, last in pairwise([0, *self.ends.tolist()]))

    def _text(self, found: bytes) -> Text:
        return cast(Text, found if self._kind is bytes else found.decode("utf-8", "surrogatepass"))
