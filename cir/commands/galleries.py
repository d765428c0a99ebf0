"""`python -m cir galleries`: what there is, delete, rename, move."""

from __future__ import annotations

import argparse
import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cir.commands.console import print_json
from cir.errors import CirError, GalleryError
from cir.gallery.cache import is_being_written
from cir.gallery.manifest import GallerySummary, list_galleries
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.gallery.sources import move_gallery
from cir.places import gallery_cache

_HEAD = ("name", "pictures", "captions", "size", "state", "folder")


def galleries_list(options: argparse.Namespace) -> int:
    """Print a row for each gallery of people's own folders."""
    rows = [_described(summary) for summary in list_galleries(gallery_cache())]
    if options.json:
        print_json(rows)
    elif rows:
        shown = [[r["name"], f"{r['images']:,}", f"{r['captioned']:,}", _size(r["bytes"]), r["state"], r["folder"]]
                 for r in rows]  # fmt: skip
        _print_table([_HEAD, *shown])
    else:
        sys.stdout.write("There is no gallery yet. Make one: python -m cir index FOLDER\n")
    return 0


def galleries_delete(options: argparse.Namespace) -> int:
    """Delete a gallery once that is confirmed; the pictures that it was made from stay."""
    found = _summary_of(options.name)
    if not options.yes:
        _ask(f"{_what_goes(found)} Delete it? [y/N] ")
    delete_gallery(gallery_cache(), options.name)
    sys.stdout.write(f"{options.name} is deleted.\n")
    return 0


def galleries_rename(options: argparse.Namespace) -> int:
    """Give a gallery another name."""
    rename_gallery(gallery_cache(), options.name, options.new_name)
    sys.stdout.write(f"{options.name} is called {options.new_name} now.\n")
    return 0


def galleries_move(options: argparse.Namespace) -> int:
    """Point a gallery to the folder that its pictures are in now."""
    move_gallery(gallery_cache(), options.name, options.folder)
    sys.stdout.write(f"The pictures of {options.name} are looked for in {options.folder} now.\n")
    return 0


def _summary_of(name: str) -> GallerySummary:
    found = next((one for one in list_galleries(gallery_cache()) if one.folder.name == name), None)
    if found is None:
        raise GalleryError(f"There is no gallery {name}.", "See which there are: python -m cir galleries")
    return found


def _described(summary: GallerySummary) -> dict[str, Any]:
    return {
        "name": summary.folder.name,
        "images": summary.images,
        "captioned": summary.captioned,
        "bytes": _bytes_in(summary.folder),
        "folder": str(summary.root or ""),
        "kept_in": str(summary.folder.absolute()),
        "state": _state(summary),
    }


def _state(summary: GallerySummary) -> str:
    if is_being_written(summary.folder):
        return "is being indexed"
    if summary.problem:
        return f"{summary.problem} {summary.remedy}".strip()
    if summary.root is not None and not os.path.isdir(summary.root):
        return "ready; its folder is not there"
    return "ready"


def _what_goes(summary: GallerySummary) -> str:
    """What a deletion takes away, and what it leaves."""
    size = _size(_bytes_in(summary.folder))
    if summary.root is not None and summary.root.is_relative_to(summary.folder):
        return f"{summary.folder.name} holds {size}, the uploaded pictures among them."
    return f"{summary.folder.name} holds {size} of features, captions and thumbnails. Your pictures stay where they are."


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise CirError("There is nobody here to be asked, so nothing is deleted.", "If it is meant: --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CirError("Nothing is deleted.")


def _bytes_in(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder) for name in names
    )


def _size(count: int) -> str:
    """A number of bytes as people say it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese or Japanese letter takes two, an accent of its own none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
