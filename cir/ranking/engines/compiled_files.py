"""The machine code that numba keeps of the loops in `kernels.py`: what earlier versions left behind is removed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from cir.ranking.engines import kernels


def remove_earlier_loops() -> None:
    """Remove what is kept of earlier versions of the loops: some megabytes each. Who still runs one compiles it again."""
    loop = cast(Any, kernels.quantise)
    remove_earlier(
        Path(loop.stats.cache_path), "kernels", loop.py_func.__qualname__.removeprefix("quantise_")
    )


def remove_earlier(folder: Path, module: str, source: str) -> None:
    """Remove the files of a module's loops that are not of its present text.

    Args:
        folder: where numba keeps them.
        module: the last part of the module's name.
        source: what the names of the present loops end in; those of earlier ones end in another, or in none.
    """
    kept = re.compile(
        rf"{re.escape(module)}\.\w+?(_(?P<source>[0-9a-f]{{8}}))?-\d+\.py\d+\w*(\.\d+)?\.nb[ic]"
    )
    for path in folder.glob(f"{module}.*.nb[ic]"):
        named = kept.fullmatch(path.name)
        if named and named["source"] != source:
            try:
                path.unlink()
            except OSError:  # gone meanwhile, or not ours to remove
                continue
