"""A reference picture of a kind that browsers do not show, HEIC and TIFF above all, is shown as what was read of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from cir.images import read_image
from cir.ui.page import Ask
from cir.ui.reading import read_upload
from cir.ui.server.gradio_private import copied_among_uploads

SHOWN_SIDE = 2048  # pixels; encoders look at far less
_SHOWN_BY_BROWSERS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")


def wire_shown(ask: Ask) -> None:
    """After an upload that a browser cannot show, the page shows, and searches with, what was read of it."""
    ask.image.upload(
        shown_instead,
        [ask.image],
        [ask.image],
        show_progress="hidden",
        api_visibility="private",
        preprocess=False,
        queue=False,
    )


def shown_instead(image: object) -> Any:
    """The picture that takes the place of an upload on the page; nothing changes where browsers show the upload.

    A picture that cannot be read is left to the search, which says why.
    """
    try:
        path = read_upload(image)
        if path is None or _is_shown_by_browsers(path):
            return gr.skip()
        picture = read_image(path)
    except Exception:  # said when it is searched, as of any picture
        return gr.skip()
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder, f"{path.stem[:60]}.png")
        picture.save(kept, compress_level=1)
        return copied_among_uploads(kept)


def _is_shown_by_browsers(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(16)
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    is_avif = head[4:12] in (b"ftypavif", b"ftypavis")
    return head.startswith(_SHOWN_BY_BROWSERS) or is_webp or is_avif
