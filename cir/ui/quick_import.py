"""Importing gradio without its type stubs.

For each of its components gradio parses the component's source and writes a stub file for editors into its own
package, at every import: half of the import's time, and it fails to where the package may not be written to. The stubs
are in its wheel already. Should gradio stop doing so, nothing here has an effect.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE, WRITER = "gradio.component_meta", "create_or_modify_pyi"


class WithoutStubs(MetaPathFinder):
    """Finds one module of gradio, once, and takes the writing of stubs out of it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, whose loader also replaces the function that writes stubs."""
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_without(module: ModuleType) -> None:
            load(module)
            if hasattr(module, WRITER):
                setattr(module, WRITER, lambda *_: None)

        spec.loader.exec_module = load_without
        return spec


def leave_out_stubs() -> None:
    """To be called before gradio is imported; later, it does nothing."""
    if MODULE not in sys.modules and not any(isinstance(one, WithoutStubs) for one in sys.meta_path):
        sys.meta_path.insert(0, WithoutStubs())
