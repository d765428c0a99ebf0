"""Sprites of the atlas, ready to be pasted: trimmed, scaled, mirrored and tinted, with a bounded cache.

A tint is a luminance ramp: the tone that fills most of the sprite becomes the colour itself, darker details
its shade, lighter ones its light tint, so that the shape stays readable in any colour.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from cir.world.vocabulary import WORLD_FOLDER, Sprite

CELL_PX = 128
SIZE_STEP_PX = 2  # sizes are rounded to it, so that the cache is hit
RIM_STRENGTH = 0.6
CACHE_BYTES = 320 * 2**20

# colour -> (dark shade, the colour, light tint), sRGB. Chosen apart from one another: yellow leans to lemon
# and orange to tangerine, pink is much lighter than red and purple, white has cool shadows that no grey
# sprite has.
RAMPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((104, 4, 16), (220, 28, 34), (255, 186, 176)),
    "orange": ((146, 52, 0), (250, 126, 10), (255, 220, 168)),
    "yellow": ((158, 116, 0), (255, 222, 24), (255, 250, 196)),
    "green": ((6, 74, 26), (46, 164, 54), (204, 246, 186)),
    "blue": ((6, 30, 116), (30, 98, 230), (190, 222, 255)),
    "purple": ((58, 10, 100), (132, 50, 192), (228, 200, 250)),
    "pink": ((186, 34, 106), (255, 124, 184), (255, 226, 240)),
    "white": ((112, 122, 146), (244, 246, 250), (255, 255, 255)),
    "black": ((6, 6, 10), (42, 43, 52), (176, 180, 194)),
}


class ImageCache:
    """Least-recently-used images up to a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self._images: OrderedDict[Hashable, Image.Image] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Image.Image]) -> Image.Image:
        """Return the image of `key`, made by `make` when it is not held."""
        image = self._images.get(key)
        if image is not None:
            self._images.move_to_end(key)
            return image
        image = self._images[key] = make()
        self.used_bytes += _image_bytes(image)
        while self.used_bytes > self.max_bytes and len(self._images) > 1:
            self.used_bytes -= _image_bytes(self._images.popitem(last=False)[1])
        return image


def _image_bytes(image: Image.Image) -> int:
    # Pillow stores RGB in four bytes as well; the constant is about what the objects themselves take.
    return image.width * image.height * (1 if image.mode == "L" else 4) + 1024


_cache = ImageCache(CACHE_BYTES)


@lru_cache(maxsize=1)
def _atlas() -> tuple[Image.Image, int]:
    columns = int(json.loads((WORLD_FOLDER / "nouns.json").read_text(encoding="utf-8"))["columns"])
    with Image.open(Path(WORLD_FOLDER) / "sprites.webp") as image:
        return image.convert("RGBA"), columns


@lru_cache(maxsize=4096)
def _trimmed(cell: int) -> tuple[Image.Image, int]:
    """The sprite of a cell, trimmed to its alpha box, and the median luminance (0..255) of its opaque pixels.

    Raises:
        ValueError: The atlas has no such cell, or nothing is drawn in it.
    """
    atlas, columns = _atlas()
    left, top = cell % columns * CELL_PX, cell // columns * CELL_PX
    image = atlas.crop((left, top, left + CELL_PX, top + CELL_PX))
    # faint pixels that the compression left around a sprite are no part of it
    box = image.getchannel("A").point([0] * 25 + [255] * 231).getbbox()
    if box is None:
        raise ValueError(f"cell {cell} of the sprite atlas is empty")
    image = image.crop(box)
    pixels = np.asarray(image)
    luminance = np.asarray(image.convert("L"))[pixels[..., 3] > 128]
    return image, int(np.median(luminance)) if luminance.size else 128


def sprite_aspect(sprite: Sprite) -> float:
    """Width / height of the drawn part of the sprite, as `sprite_image` returns it."""
    image, _ = _trimmed(sprite.cell)
    return image.width / image.height


@lru_cache(maxsize=4096)
def _ramp_tables(median: int, colour: str) -> tuple[list[int], ...]:
    """Three look-up tables luminance -> channel, with `median` mapped to the colour itself."""
    knots = (median - 135, median, median + 115)
    levels = np.arange(256)
    channels = zip(*RAMPS[colour], strict=True)
    return tuple(np.interp(levels, knots, channel).round().astype(int).tolist() for channel in channels)


def _tint(image: Image.Image, median: int, colour: str) -> Image.Image:
    luminance = image.convert("L")
    channels = [luminance.point(table) for table in _ramp_tables(median, colour)]
    return Image.merge("RGBA", (*channels, image.getchannel("A")))


def _draw(cell: int, long_side_px: int, colour: str | None, mirrored: bool) -> Image.Image:
    image, median = _trimmed(cell)
    factor = long_side_px / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    # HAMMING reduces about as well as LANCZOS, at a third of the time
    image = image.resize(size, Image.Resampling.HAMMING if factor < 1 else Image.Resampling.LANCZOS)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _tint(image, median, colour) if colour else image


def _rounded_size(long_side_px: float) -> int:
    return max(4, SIZE_STEP_PX * round(long_side_px / SIZE_STEP_PX))


def sprite_image(sprite: Sprite, long_side_px: float, colour: str | None, mirrored: bool) -> Image.Image:
    """Return the sprite, trimmed to its alpha box, with its longer side `long_side_px` (rounded to 2 px).

    Args:
        sprite: Which picture of the atlas.
        long_side_px: Pixels of the longer side.
        colour: One of `COLOURS`, or None for the natural colours.
        mirrored: Whether left and right change places.

    Returns:
        An RGBA image that the cache shares: do not draw on it.

    Raises:
        KeyError: No such colour.
        ValueError: The atlas has nothing in the sprite's cell.
    """
    side = _rounded_size(long_side_px)
    key = (sprite.cell, side, colour, mirrored)
    return _cache.get(key, lambda: _draw(sprite.cell, side, colour, mirrored))


def rim_mask(sprite: Sprite, long_side_px: float, mirrored: bool, width_px: int) -> Image.Image:
    """Return the sprite's silhouette grown by `width_px` and softened.

    Pasted in a contrasting colour below the sprite, it keeps a dark sprite apart from a dark background.

    Returns:
        An L mask, wider than the sprite by 2 * `width_px` on every side.
    """
    side = _rounded_size(long_side_px)

    def draw() -> Image.Image:
        alpha = sprite_image(sprite, side, None, mirrored).getchannel("A")
        grown = Image.new("L", (alpha.width + 4 * width_px, alpha.height + 4 * width_px))
        grown.paste(alpha, (2 * width_px, 2 * width_px))
        grown = grown.filter(ImageFilter.MaxFilter(2 * width_px + 1)).filter(
            ImageFilter.BoxBlur(width_px / 2)
        )
        return grown.point(lambda level: level * RIM_STRENGTH)

    return _cache.get((sprite.cell, side, mirrored, width_px), draw)
