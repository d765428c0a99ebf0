"""A process that ends at its n-th write of a gallery, as if it were killed there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO

from cir import whole_files
from cir.gallery.cache import GalleryCache


def die_at_write(number: int) -> None:
    """Let this process die before, amid or after a file, or around the end of a transaction. Call it in a child."""
    writes = count(1)

    def point() -> None:
        if next(writes) == number:
            os._exit(137)

    class TornFile:
        def __init__(self, file: BinaryIO) -> None:
            self._file = file

        def __enter__(self) -> TornFile:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def write(self, data: bytes) -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            point()
            self._file.write(data[len(data) // 2 :])

    def torn_open(*arguments: Any) -> TornFile:
        point()
        return TornFile(open(*arguments))

    replace, transaction = os.replace, GalleryCache.transaction

    def torn_replace(source: Any, target: Any) -> None:
        point()
        replace(source, target)
        point()

    @contextmanager
    def torn_transaction(cache: GalleryCache) -> Iterator[None]:
        with transaction(cache):
            yield
            point()
        point()

    whole_files.open = torn_open  # type: ignore[attr-defined]
    os.replace = torn_replace
    GalleryCache.transaction = torn_transaction  # type: ignore[method-assign]
