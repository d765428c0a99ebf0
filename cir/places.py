"""Where things lie: what comes with the program, and what it writes.

In a checkout both are in it. Installed as a package, what comes with it is inside the package, and what it writes goes
to the person's own folders: nothing is ever written among installed packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cir.environment import folder_setting

PACKAGE = Path(__file__).resolve().parent
IS_CHECKOUT = (PACKAGE.parent / "pyproject.toml").is_file()
ROOT = PACKAGE.parent if IS_CHECKOUT else PACKAGE  # of what comes with the program
ASSETS, DOCS = ROOT / "assets", ROOT / "docs"
SAMPLE_GALLERY = ASSETS / "gallery"


def data_folder() -> Path:
    """Where an installed program keeps a person's data, as the platform has it."""
    home = Path.home()
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
