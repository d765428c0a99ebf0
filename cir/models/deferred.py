"""Models that are known before they are loaded, so that the page is there while their libraries are still read.

Importing torch, open_clip and transformers takes most of a start. What is asked of a model while everything is joined
is little: its fingerprint and a few numbers. They are written down when it is loaded for the first time and hold for
as long as its files, the libraries and our own wrappers stay as they are. Does not know which models there are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import RLock
from typing import Any

from cir.cache_keys import code_digest
from cir.errors import UnsafeFile
from cir.models.model_files import LockFile

KNOWN_FILE = "known.json"
FACTS = ("fingerprint", "dim", "tokens")
# Two threads that import the same large library at once may each see half of it: its parts import one another in a circle.
# One may be loaded while another is, by the same thread.
ONE_AT_A_TIME = RLock()
LIBRARIES = ("torch", "open_clip_torch", "timm", "transformers", "numpy")


class Deferred:
    """Stands for a model that is loaded when something is asked of it that is not known yet; once, by one thread.

    Args:
        facts: attributes that are known beforehand.
        load: loads the model.

    Raises:
        CirError: what `load` raises, at the first use.
        UnsafeFile: the model that was loaded is another one than was promised.
    """

    def __init__(self, facts: Mapping[str, Any], load: Callable[[], Any]) -> None:
        self.__dict__.update(facts)
        self._promised, self._load_now = dict(facts), load
        self._model: Any = None

    def load(self) -> Any:
        """The model itself."""
        if self._model is None:
            with ONE_AT_A_TIME:
                if self._model is None:
                    self._model = self._checked(self._load_now())
        return self._model

    def _checked(self, model: Any) -> Any:
        for name, value in self._promised.items():
            if getattr(model, name) != value:
                raise UnsafeFile(
                    f"A model has changed since it was last loaded: {value} is now {getattr(model, name)}.",
                    "Stop the program and start it again.",
                )
        return model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and the like ask for what is not there; that loads nothing
            raise AttributeError(name)
        return getattr(self.load(), name)


class KnownModels:
    """`known.json`: what was found out about a model when it was loaded, by the state of its files.

    Args:
        folder: the models folder.
    """

    def __init__(self, folder: Path) -> None:
        self._rows = LockFile(folder, KNOWN_FILE)

    def facts(self, path: Path) -> dict[str, Any] | None:
        """The facts of the model at `path`; None when it, or a library, is not as it was."""
        row = self._rows.read().get(str(path), {})
        facts = row.get("facts")
        return facts if isinstance(facts, dict) and row.get("state") == state_of(path) else None

    def record(self, path: Path, model: object) -> None:
        """Write down the facts of a model that was just loaded. Where nothing can be written, nothing is known."""
        facts = {name: getattr(model, name) for name in FACTS if hasattr(model, name)}
        row = {"state": state_of(path), "facts": facts}
        if self._rows.read().get(str(path)) == row:
            return
        try:
            self._rows.record(str(path), row)
        except OSError:
            return


def state_of(path: Path) -> dict[str, Any]:
    """What a model's facts depend on: names, sizes and times of its files, the libraries' versions, our own source text."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    stats = [(str(p.relative_to(path)), p.stat()) for p in files]
    return {
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
        "program": code_digest("models"),
        "libraries": {"python": sys.version.split()[0], **{name: _version(name) for name in LIBRARIES}},
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
