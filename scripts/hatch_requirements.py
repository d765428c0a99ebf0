"""Dependencies of the package, from the requirements files: they stand in one place alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

EXTRAS = {name: f"requirements-{name}.txt" for name in ("llm", "mcp", "raw", "scale")}


class RequirementsHook(MetadataHookInterface):
    """Fill in `dependencies` and the optional ones."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read the files into the project's metadata."""
        metadata["dependencies"] = self._read("requirements.txt")
        metadata["optional-dependencies"] = {extra: self._read(file) for extra, file in EXTRAS.items()}

    def _read(self, name: str) -> list[str]:
        lines = (Path(self.root) / name).read_text(encoding="utf-8").splitlines()
        rows = (line.partition("#")[0].strip() for line in lines)
        return [row for row in rows if row and not row.startswith("-")]
