"""Queries that are known to work, as chips with their picture: those of the gallery that is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cir.errors import CirError
from cir.gallery.searchable import Searchable
from cir.images import read_image
from cir.ui.search import reference, render
from cir.ui.server.pictures import address_of
from cir.ui.session import Example

SHOWN = 5


def read_examples(path: Path) -> list[Example]:
    """All queries of a file, of whatever gallery; none without the file."""
    if not path.is_file():
        return []
    return [Example(row["image_id"], row["text"]) for row in json.loads(path.read_text(encoding="utf-8"))]


def of_gallery(examples: Sequence[Example], gallery: Searchable) -> list[Example]:
    """The first few whose picture this gallery has."""
    return [example for example in examples if example.image_id in gallery][:SHOWN]


def chips(examples: Sequence[Example], gallery: Searchable) -> str:
    """Those of this gallery as HTML; "" where there are none."""
    shown = []
    for example in of_gallery(examples, gallery):
        with suppress(CirError):  # its picture is gone, so there is nothing to try
            path = gallery.thumbnail_path(example.image_id)
            small = reference.small_picture(read_image(Path(path)))
            shown.append((small, example.text, example.image_id, address_of(path)))
    return render.examples(shown)
