"""Where things lie: what comes with the program, and what it writes.

In a checkout both are in it. Installed as a package, what comes with it is inside the package, and what it writes goes
to the person's own folders: nothing is ever written among installed packages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cir.environment import folder_setting, home_folder
from cir.errors import CirError

PACKAGE = Path(__file__).resolve().parent
IS_CHECKOUT = (PACKAGE.parent / "pyproject.toml").is_file()
ROOT = PACKAGE.parent if IS_CHECKOUT else PACKAGE  # of what comes with the program
ASSETS, DOCS = ROOT / "assets", ROOT / "docs"
SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS = ASSETS / "gallery", ASSETS / "photographs"
SAMPLE_FAMILIES = ASSETS / "families"  # scenes that are edits of each other, with triplets
SHIPPED_TRIPLETS = ASSETS / "triplets"
SAMPLES = {  # how people call them
    "Sample gallery": SAMPLE_GALLERY,
    "Sample photographs": SAMPLE_PHOTOGRAPHS,
    "Sample families": SAMPLE_FAMILIES,
}


def data_folder() -> Path:
    """Where an installed program keeps a person's data, as the platform has it."""
    home = home_folder()
    if sys.platform == "win32":
        base = folder_setting("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = folder_setting("XDG_DATA_HOME") or home / ".local" / "share"
    return base / "recompose"


def gallery_cache() -> Path:
    """Where galleries of people's own folders are kept: $CIR_CACHE, or a folder of the checkout or of the person."""
    return folder_setting("CIR_CACHE") or (ROOT if IS_CHECKOUT else data_folder()) / "gallery_cache"


def sample_called(name: str) -> Path | None:
    """The gallery that comes with the program under this name, in capitals or not; None for any other name."""
    return {title.casefold(): folder for title, folder in SAMPLES.items()}.get(name.casefold())


def title_of_sample(folder: Path | None) -> str:
    """How people call the gallery in a folder, where that comes with the program; "" for any other."""
    return next((title for title, place in SAMPLES.items() if place == folder), "")


def report_path(out: Path | None) -> Path:
    """Where measured tables are written: the file that was named, or one beside the evaluations."""
    return out if out is not None else gallery_cache() / "evaluations" / "results.md"


def own_networks_folder() -> Path:
    """Where the mapping networks are that a person has trained on the page."""
    return gallery_cache() / "networks"


def kept_beside(shipped: Path) -> Path:
    """Where answers and weights like those in a shipped folder are written.

    In a checkout beside those, to be shipped with them; else in the person's own folders.
    """
    if IS_CHECKOUT and os.access(shipped, os.W_OK):
        return shipped
    return gallery_cache() / "evaluations" / shipped.name


def made_anew(shipped: Path) -> Path:
    """What comes with the program, to be written by the command that makes it.

    Raises:
        CirError: an installed program has its own already; only a checkout makes what is shipped.
    """
    if IS_CHECKOUT:
        return shipped
    raise CirError(
        f"This makes what comes with the program ({shipped.name}), and an installed program is not changed.",
        "Run it in a checkout of the repository, or say where to write, where the command has --out.",
    )
