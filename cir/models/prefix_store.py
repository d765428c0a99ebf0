"""Evaluated prefixes on disk: bytes by the tokens that they stand for, whole or not at all.

A prefix of a few hundred tokens takes seconds to evaluate and milliseconds to read. Knows neither llama.cpp
nor prompts. What is read is checked against its own SHA-256 first: it goes to a parser written in C.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cir.whole_files import replacing

KEPT = 12
DIGEST_BYTES = 32


class PrefixStore:
    """A folder of evaluated prefixes; the oldest are removed.

    Args:
        folder: made when something is first kept.
        model: fingerprint of the model and of what else that decides the bytes' meaning.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model

    def load(self, ids: Sequence[int]) -> bytes | None:
        """What was kept for these tokens, or None. A damaged file is removed."""
        path = self._path(ids)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
        return data[DIGEST_BYTES:]

    def save(self, ids: Sequence[int], data: bytes | memoryview) -> None:
        """Keep bytes for these tokens. Where that is impossible, the reason goes to standard error."""
        path = self._path(ids)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft, draft.open("wb") as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)
            self._remove_oldest()
        except OSError as error:
            sys.stderr.write(f"The evaluated prefix is not kept: {error}\n")

    def _path(self, ids: Sequence[int]) -> Path:
        key = hashlib.sha256(json.dumps([self.model, list(ids)]).encode()).hexdigest()
        return self.folder / f"{key[:32]}.prefix"

    def _remove_oldest(self) -> None:
        by_age = sorted(self.folder.glob("*.prefix"), key=lambda p: p.stat().st_mtime, reverse=True)
        for path in by_age[KEPT:]:
            path.unlink(missing_ok=True)
