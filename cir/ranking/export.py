"""Results to keep: a table for spreadsheets, and pictures in one archive, encoded anew.

An original never leaves: what is packed has its metadata, such as where it was taken, left behind. Knows nothing
of pages.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Collection, Mapping, Sequence

from PIL import Image

from cir.errors import BadImage, BadQuery, GalleryError
from cir.gallery.searchable import Searchable
from cir.images import make_thumbnail, read_image
from cir.text import counted
from cir.types import RetrievedImage

COLUMNS = ("rank", "score", "image_id", "label", "caption", "selected")
PICTURE_SIDE = 1280
LARGEST_SIDE = 4096
MAX_PICTURES = 100
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(text: str) -> str:
    """A text as it may stand in a table: what a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_csv(results: Sequence[RetrievedImage], gallery: Searchable, selected: Collection[str] = ()) -> bytes:
    """The results as a table with the columns COLUMNS, UTF-8 with a mark that spreadsheets look for."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(COLUMNS)
    for result in results:
        captions = gallery.captions(result.image_id)
        texts = (result.image_id, gallery.label(result.image_id), captions[0] if captions else "")
        chosen = "yes" if result.image_id in selected else ""
        table.writerow([result.rank, f"{result.score:.6f}", *map(safe_cell, texts), chosen])
    return out.getvalue().encode("utf-8-sig")


def to_zip(
    image_ids: Sequence[str], gallery: Searchable, ranks: Mapping[str, int]
) -> tuple[bytes, list[str]]:
    """The pictures in one archive, each encoded anew with at most PICTURE_SIDE pixels a side.

    Args:
        image_ids: which, at most MAX_PICTURES.
        gallery: where they are.
        ranks: id -> rank, for their names.

    Returns:
        The archive, and the labels of pictures of which nothing is left.

    Raises:
        BadQuery: none, or too many.
    """
    if not 0 < len(image_ids) <= MAX_PICTURES:
        raise BadQuery(
            f"{counted(len(image_ids), 'picture')} cannot be packed.", f"Select 1 to {MAX_PICTURES}."
        )
    out, missing = io.BytesIO(), []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for image_id in image_ids:
            label = gallery.label(image_id)
            try:
                archive.writestr(
                    f"{ranks.get(image_id, 0):03d}-{_file_name(label)}.webp", _picture(gallery, image_id)
                )
            except (BadImage, GalleryError):
                missing.append(label)
    return out.getvalue(), missing


def whole_picture(gallery: Searchable, image_id: str) -> bytes:
    """A picture as a JPEG, encoded anew without metadata: as large as it is, up to LARGEST_SIDE pixels a side.

    Where only a small picture is left of it, that one.

    Raises:
        BadQuery: there is no such picture.
        GalleryError: nothing of it is left.
    """
    try:
        image = read_image(gallery.image_path(image_id))
    except (BadImage, GalleryError):
        image = read_image(gallery.thumbnail_path(image_id))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def _picture(gallery: Searchable, image_id: str) -> bytes:
    """The picture from its file, or what is left of it."""
    try:
        image = read_image(gallery.image_path(image_id))
    except (BadImage, GalleryError):
        if gallery.note(image_id):
            raise
        image = read_image(gallery.thumbnail_path(image_id))
    return make_thumbnail(image, max_side=PICTURE_SIDE)


def _file_name(label: str) -> str:
    """A name that every system takes, with its blanks and letters of any script: no folders, nothing that steers."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", unicodedata.normalize("NFC", label))
    plain = "".join("-" if c in '<>:"/\\|?*' or unicodedata.category(c)[0] == "C" else c for c in stem)
    return " ".join(plain.split())[:60].strip(" .-") or "picture"
