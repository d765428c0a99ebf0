"""What the environment says: one reader for all variables, and what of them reaches the libraries.

Values come from shells, `.env` files and container settings, which leave blanks, line ends, quotes and a last
separator around them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Read by libraries when they are imported. One thread in each pool: pools that wait for each other by spinning cost
# more than a second core brings. And no request leaves the machine unless somebody asks for a download.
DEFAULTS: Mapping[str, str] = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}
_AROUND = " \t\r\n\"'"
_AFTER = ":;,"


def set_defaults() -> None:
    """Settle what libraries read at their import. What the environment says already stays."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def setting(name: str, default: str = "") -> str:
    """The value of a variable without what stands around it by accident; `default` where nothing is left."""
    value = os.environ.get(name, "").strip(_AROUND).rstrip(_AFTER + _AROUND)
    return value or default


def folder_setting(name: str) -> Path | None:
    """A variable that names a folder, with `~` resolved; None where it says nothing."""
    value = setting(name)
    return Path(value).expanduser() if value else None


def home_folder() -> Path:
    """The person's home; where the system knows of none, as for a bare user id, a folder in which nothing is found and nothing kept."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.sep, "nonexistent")


def folder_list(name: str) -> list[Path]:
    """A variable that names several folders, as PATH does."""
    parts = (part.strip(_AROUND) for part in setting(name).split(os.pathsep))
    return [Path(part).expanduser() for part in parts if part]


def leave_proxies_out() -> None:
    """Take every proxy variable out of this process and those it starts from now on.

    A process that serves the page asks nobody for anything. The libraries all the same build a client for each
    proxy that is named, at their import, and die of a value or a kind of proxy that they do not know.
    """
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
