"""Check what the fields of the tab "Galleries" send."""

from __future__ import annotations

from pathlib import Path

from cir.errors import BadQuery
from cir.exclusions import read_patterns
from cir.text import counted

MOST_UPLOADS = 500


def read_uploads(files: object) -> list[tuple[Path, str]]:
    """(file, its name) of each upload, as the page sends them.

    Raises:
        BadQuery: nothing, too many, or something that is no upload.
    """
    rows = files if isinstance(files, list) else []
    if not rows:
        raise BadQuery("There is nothing to make a gallery of yet.", "Choose pictures, or a zip of pictures.")
    if len(rows) > MOST_UPLOADS:
        raise BadQuery(
            f"That is {counted(len(rows), 'file')} at once.",
            f"Upload at most {MOST_UPLOADS}, then the others.",
        )
    found = []
    for row in rows:
        path = row.get("path") if isinstance(row, dict) else None
        if not isinstance(path, str) or not path:
            raise BadQuery("An upload did not arrive as a file.", "Choose the files again.")
        name = row.get("orig_name")
        found.append((Path(path), name if isinstance(name, str) and name else Path(path).name))
    return found


def read_exclude(typed: object) -> tuple[str, ...] | None:
    """Patterns of what is left out; () for none any more, None for those of the run before.

    Raises:
        BadQuery: no text, or no such pattern.
    """
    if typed is not None and not isinstance(typed, str):
        raise BadQuery("What is to be left out has to be text.", "Type patterns: *.png, Previews/")
    text = (typed or "").strip()
    if not text:
        return None
    return () if text.lower() == "nothing" else read_patterns([text])


def read_name(name: object) -> str:
    """The name that was typed, "" for none.

    Raises:
        BadQuery: no text.
    """
    if name is not None and not isinstance(name, str):
        raise BadQuery("The name has to be text.", "Type a name.")
    return " ".join((name or "").split())
