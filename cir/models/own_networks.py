"""Mapping networks that a person has trained on this computer, each a method of its own. Nothing of torch is imported.

They lie in one folder; each says what method it is and which CLIP it was trained for. How they are trained:
`cir.training.own_triplets`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from cir.cache_keys import digest_of
from cir.errors import CirError
from cir.models.deferred import Deferred
from cir.models.mapping_files import mapping_facts
from cir.models.model_set import Models
from cir.models.protocols import ImageToWords

SUFFIX = ".safetensors"


class OwnNetworks:
    """The networks in a folder that fit a set's CLIP.

    Args:
        models: the set.
        folder: where they are; it need not be there.
    """

    def __init__(self, models: Models, folder: Path) -> None:
        self.models, self.folder = models, folder

    def names(self) -> list[str]:
        """The methods that they are."""
        return list(self._files())

    def words(self, name: str) -> ImageToWords:
        """What makes pseudo-words with a network; its file is read when it is used for the first time."""
        path = self._files()[name]

        def load() -> ImageToWords:
            from cir.models.mapping import load_mapping

            return self.models.with_network(load_mapping(path, name=name))

        return cast(ImageToWords, Deferred({}, load))

    def path(self, name: str) -> Path:
        """Where the network that is this method lies: for each name and CLIP another place."""
        slug = re.sub(r"[^\w-]+", "-", name).strip("-")[:40]
        return self.folder / f"{slug}-{digest_of(name, self.models.tower.fingerprint)[:6]}{SUFFIX}"

    def _files(self) -> dict[str, Path]:
        wanted = self.models.tower.fingerprint
        return {
            facts["method"]: path
            for path, facts in networks_in(self.folder)
            if facts.get("trained_for") == wanted
        }


def networks_in(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The networks that are methods of their own, whatever CLIP they fit, and what stands in each; damaged files are left out."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with suppress(CirError):
            facts = mapping_facts(path)
            if isinstance(facts.get("method"), str):
                yield path, facts
