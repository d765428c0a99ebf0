"""Which set of models a person has chosen on the page: it is begun with from then on, until another is chosen.

It is kept in the models folder, as what it names is, and holds for the page alone: commands take the set that they are told.
"""

from __future__ import annotations

import json
from pathlib import Path

from cir.models.model_files import models_folder
from cir.whole_files import write_json

FILE = "chosen.json"


def chosen_set(folder: Path | None = None) -> str:
    """The name of the set; "" where none was chosen, or what was written down cannot be read."""
    try:
        row = json.loads(((folder or models_folder()) / FILE).read_text(encoding="utf-8"))
        return str(row["set"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def choose_set(name: str, folder: Path | None = None) -> None:
    """Write down which set was chosen; "" for what the program comes with.

    Raises:
        OSError: the models folder cannot be written to.
    """
    folder = folder or models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, {"set": name})
