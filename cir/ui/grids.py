"""Pictures to choose from, as HTML: the results, the gallery, the columns of a comparison.

Each picture is a button that knows its place; what a click means is up to who listens. It is plain HTML because a
moved weight draws thirty of them anew, and has 150 ms for everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from cir.errors import GalleryError
from cir.ui.pieces import escape
from cir.ui.server.pictures import address_of

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable

_EMPTY_TILE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'%3E%3Cpath fill='%23d5d1ca' d='M0 0h1v1H0z'/%3E%3C/svg%3E"


class Tile(NamedTuple):
    """One picture: its address, the words under it, how it is drawn ("looked", "ticked"), a machine's caption, its file, its id."""

    address: str
    words: str
    state: str = ""
    caption: str = ""
    file: str = ""
    image_id: str = ""


def tile(gallery: Searchable, image_id: str, words: str, *, state: str = "", caption: str = "") -> Tile:
    """The thumbnail of a gallery image; an empty tile where nothing of the image is left, as the words say then.

    Its file is told without its folders.
    """
    try:
        address = address_of(gallery.thumbnail_path(image_id))
    except GalleryError:
        address = _EMPTY_TILE
    return Tile(address, words, state, caption, gallery.label(image_id).rpartition("/")[2], image_id)


def _named(shown: Tile) -> str:
    return f' data-id="{escape(shown.image_id)}"' if shown.image_id else ""


def grid(tiles: Iterable[Tile], **data: str | int) -> str:
    """Pictures in their order.

    Args:
        tiles: what is shown.
        **data: `data-` attributes of each of the buttons, beside its place.
    """
    given = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    shown = "".join(
        f'<button type="button" class="{f"picture {shown.state}".rstrip()}" data-place="{place}"{_named(shown)}{given} '
        f'aria-label="{escape(_spoken(shown))}"><img src="{escape(shown.address)}" alt="" loading="lazy">'
        f'<span class="words">{escape(shown.words)}{_caption(shown)}</span>{_file(shown)}</button>'
        for place, shown in enumerate(tiles)
    )
    return f'<div class="grid">{shown}</div>' if shown else ""


def _spoken(shown: Tile) -> str:
    """All that is written under a picture, in one line."""
    return ", ".join(part for part in (" ".join(shown.words.split()), shown.caption, shown.file) if part)


def _caption(shown: Tile) -> str:
    """The caption, marked as a machine's: it may be wrong."""
    made_by = "Written by the machine, which may be wrong"
    return f'\n<i class="machine" title="{made_by}">{escape(shown.caption)}</i>' if shown.caption else ""


def _file(shown: Tile) -> str:
    return (
        f'<span class="file" title="{escape(shown.file)}">{escape(shown.file)}</span>' if shown.file else ""
    )
