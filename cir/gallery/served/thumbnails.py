"""Small pictures of a gallery on a server: from a folder or a web address by content hash, or made of the pictures themselves.

What was shown once is kept in one folder, which alone is served to browsers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from cir.errors import BadImage, GalleryError
from cir.images import make_thumbnail, read_image
from cir.whole_files import write_whole

if TYPE_CHECKING:
    from cir.gallery.served.gallery import ServedGallery

SECONDS = 5.0  # within which a web server has to give one
MOST_BYTES = 2 * 2**20
SIDE = 64  # of the grey tile that stands for a picture of which there is none
GREY = "#9a9a9a"


class Thumbnails:
    """Called with a gallery and an id, it answers with a file.

    Args:
        folder: where they are kept.
        source: a folder, or a web address, with files CONTENT_HASH.webp.
    """

    def __init__(self, folder: Path, source: str | Path) -> None:
        self.folder, self.source = folder, source

    def __call__(self, gallery: ServedGallery, image_id: str) -> Path:
        """The small picture of an image; a grey tile where there is none.

        Raises:
            BadQuery: there is no such image.
        """
        name = f"{gallery.content(image_id) or image_id}.webp"
        kept = self.folder / name
        if kept.is_file():
            return kept
        data = self._given(name) or _made(gallery, image_id)
        self.folder.mkdir(parents=True, exist_ok=True)
        if data is None:
            kept = self.folder / "none.webp"
            data = make_thumbnail(Image.new("RGB", (SIDE, SIDE), GREY))
        write_whole(kept, data, durable=False)
        return kept

    def _given(self, name: str) -> bytes | None:
        """What the source has."""
        if not str(self.source).startswith(("http://", "https://")):
            place = Path(self.source) / name
            return place.read_bytes() if place.is_file() else None
        import httpx

        try:
            answer = httpx.get(f"{str(self.source).rstrip('/')}/{name}", timeout=SECONDS)
        except httpx.HTTPError:  # the tile says that there is none
            return None
        sound = answer.is_success and len(answer.content) <= MOST_BYTES and answer.content[8:12] == b"WEBP"
        return answer.content if sound else None


def _made(gallery: ServedGallery, image_id: str) -> bytes | None:
    """One that is made of the picture, where it is on this machine."""
    try:
        return make_thumbnail(read_image(gallery.image_path(image_id)))
    except (BadImage, GalleryError, OSError):
        return None
