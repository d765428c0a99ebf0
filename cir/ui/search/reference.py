"""The reference of a search: from what the page sends to a picture, and to what the page shows of it. No gradio, no HTML."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from cir.errors import CirError
from cir.images import make_thumbnail, read_image
from cir.ui.reading import read_picked, read_upload

if TYPE_CHECKING:
    from cir.gallery.searchable import Searchable
    from cir.ui.session import Session

PICTURE_SIDE = 56  # pixels, beside a step
SHOWN_SIDE = 2048  # encoders look at far less
_SHOWN_BY_BROWSERS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")


def read_reference(gallery: Searchable, session: Session, image: object) -> tuple[Path | None, str]:
    """The reference as a file, and its id if it is an image of the gallery, with no upload over it.

    A picture that is picked on the page is named by its id. Where the server filled it in, the page shows a copy,
    which may not be kept as long as the page is open.

    Raises:
        BadImage: something came that is no upload.
        BadQuery: the picked image is not in the gallery that is searched.
        GalleryError: nothing of the picked image is left.
    """
    picked = read_picked(image, (session.gallery, *session.former_names))
    if picked:
        return pick(gallery, session, picked), picked
    path = read_upload(image)
    if not session.picked_id or path is None:
        return path, ""
    kept = Path(gallery.thumbnail_path(session.picked_id))
    same = path.name == kept.name and (not path.is_file() or path.read_bytes() == kept.read_bytes())
    return (kept, session.picked_id) if same else (path, "")


def pick(gallery: Searchable, session: Session, image_id: str) -> Path:
    """Make a gallery image the reference; its thumbnail is what the page shows and what is searched with.

    Raises:
        BadQuery: the gallery has no such image.
        GalleryError: nothing of it is left.
    """
    path = Path(gallery.thumbnail_path(image_id))
    session.picked_id = image_id
    return path


def kept_picture(session: Session) -> tuple[str | None, str]:
    """The reference's file, and a note when it was uploaded too long ago to be still there."""
    if session.image_path is None:
        return None, ""
    if not session.image_path.is_file():
        return None, "The picture of that step is not kept any more; its results are."
    return str(session.image_path), ""


def small_picture(image: Image.Image | None) -> str:
    """A picture as an address that holds it; "" for none."""
    if image is None:
        return ""
    return "data:image/webp;base64," + base64.b64encode(make_thumbnail(image, max_side=PICTURE_SIDE)).decode()


def for_browsers(image: object) -> Image.Image | None:
    """What was read of an upload that browsers do not show, HEIC and TIFF above all; None where they show it.

    A picture that cannot be read is left to the search, which says why.
    """
    try:
        path = read_upload(image)
        if path is None or _is_shown_by_browsers(path):
            return None
        picture = read_image(path)
    except (CirError, OSError):  # said when it is searched, as of any picture
        return None
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return picture


def _is_shown_by_browsers(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(16)
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    is_avif = head[4:12] in (b"ftypavif", b"ftypavis")
    return head.startswith(_SHOWN_BY_BROWSERS) or is_webp or is_avif
