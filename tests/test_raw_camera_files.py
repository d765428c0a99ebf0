"""Raw camera files as other cameras write them: their previews, turns and errors.

A double stands for rawpy, because no camera's own files are part of this project; its errors are rawpy's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cir.errors import BadImage
from cir.images import read_dated_image, read_image

rawpy = pytest.importorskip("rawpy")

RED, BLUE = (255, 0, 0), (0, 0, 255)
GREEN = np.full((600, 900, 3), (0, 200, 0), np.uint8)


def left_red(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width // 2, height))
    return image


def jpeg(image: Image.Image, orientation: int | None = None, date: str = "") -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    if date:
        exif[0x0132] = date
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


@dataclass
class Camera:
    """What a raw file holds, as rawpy shows it: a value is given, an error is raised."""

    preview: Any = field(default_factory=lambda: rawpy.LibRawNoThumbnailError("none"))
    pixels: Any = field(default_factory=lambda: GREEN)
    flip: int = 0
    size: tuple[int, int] = (900, 600)

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def sizes(self) -> SimpleNamespace:
        width, height = self.size
        return SimpleNamespace(flip=self.flip, width=width, height=height, raw_width=width, raw_height=height)

    def extract_thumb(self) -> SimpleNamespace:
        if isinstance(self.preview, Exception):
            raise self.preview
        is_jpeg = isinstance(self.preview, bytes)
        kind = rawpy.ThumbFormat.JPEG if is_jpeg else rawpy.ThumbFormat.BITMAP
        return SimpleNamespace(format=kind, data=self.preview)

    def postprocess(self, **_: object) -> np.ndarray:
        if isinstance(self.pixels, Exception):
            raise self.pixels
        return self.pixels


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    def read(camera: Camera | Exception) -> Image.Image:
        def imread(_: object) -> Camera:
            if isinstance(camera, Exception):
                raise camera
            return camera

        monkeypatch.setattr(rawpy, "imread", imread)
        return read_dated_image(b"some camera's file", "IMG_1.CR3")[0]

    return read


def is_red(image: Image.Image, x: float, y: float) -> bool:
    red, _, blue = image.getpixel((int(image.width * x), int(image.height * y)))  # type: ignore[misc]
    return red > 200 and blue < 60


def is_green(image: Image.Image) -> bool:
    return image.getpixel((5, 5)) == (0, 200, 0)


@pytest.mark.parametrize(
    "preview",
    [
        rawpy.LibRawNoThumbnailError("none"),
        rawpy.LibRawUnsupportedThumbnailError("H.265"),
        rawpy.LibRawRequestForNonexistentImageError("none"),
        rawpy.LibRawIOError("read"),
        rawpy.LibRawDataError("damaged"),
        b"\xff\xd8\xff no JPEG",
        jpeg(left_red(800, 600))[:-4_000],
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=range(9),
)
def test_without_a_preview_that_can_be_read_the_picture_is_developed(read: Any, preview: Any) -> None:
    assert is_green(read(Camera(preview)))


def test_an_icon_gives_way_to_the_developed_picture_and_is_taken_where_that_fails(read: Any) -> None:
    icon = jpeg(left_red(160, 120))
    assert is_green(read(Camera(icon)))
    for error in (
        rawpy.LibRawNotImplementedError("x"),
        rawpy.NotSupportedError("x"),
        MemoryError(),
        ValueError("x"),
    ):
        assert is_red(read(Camera(icon, pixels=error)), 0.2, 0.5)
    assert is_red(read(Camera(icon, size=(12_000, 9_000))), 0.2, 0.5)  # too large to be developed


@pytest.mark.parametrize("kind", ["bytes", "two bytes", "grey"])
def test_a_preview_without_a_format_is_read(read: Any, kind: str) -> None:
    values = np.asarray(left_red(800, 600))
    preview = {"bytes": values, "two bytes": values.astype(np.uint16) << 8, "grey": values[:, :, 0]}[kind]
    image = read(Camera(preview))
    left, right = (np.asarray(image)[300, x].tolist() for x in (100, 700))
    assert (left, right) == (([255] * 3, [0] * 3) if kind == "grey" else (list(RED), list(BLUE)))


@pytest.mark.parametrize("as_bitmap", [False, True])
def test_the_turn_of_the_raw_file_counts_for_a_preview_that_says_none(read: Any, as_bitmap: bool) -> None:
    for orientation in [None] if as_bitmap else [None, 1, 0, 77]:
        lying = left_red(800, 600)
        preview = np.asarray(lying) if as_bitmap else jpeg(lying, orientation)
        for flip, size, red in ((0, (800, 600), (0.2, 0.5)), (3, (800, 600), (0.8, 0.5))):
            image = read(Camera(preview, flip=flip))
            assert (image.size, is_red(image, *red)) == (size, True)
        for flip, red in ((5, (0.5, 0.8)), (6, (0.5, 0.2))):
            image = read(Camera(preview, flip=flip))
            assert (image.size, is_red(image, *red)) == ((600, 800), True)


def test_a_preview_that_says_how_it_is_turned_is_turned_once(read: Any) -> None:
    image = read(Camera(jpeg(left_red(800, 600), 6), flip=6))
    assert (image.size, is_red(image, 0.5, 0.2)) == ((600, 800), True)


def test_a_preview_that_the_camera_has_turned_already_is_left_as_it_is(read: Any) -> None:
    standing = left_red(600, 800)
    for preview in (jpeg(standing), jpeg(standing, 1), np.asarray(standing)):
        image = read(Camera(preview, flip=6))
        assert (image.size, is_red(image, 0.2, 0.5)) == ((600, 800), True)


@pytest.mark.parametrize(
    "error",
    [
        rawpy.LibRawFileUnsupportedError("x"),
        rawpy.LibRawIOError("x"),
        rawpy.LibRawTooBigError("x"),
        rawpy.LibRawUnsufficientMemoryError("x"),
        rawpy.NotSupportedError("x"),
        RuntimeError("x"),
        ValueError("x"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_rawpy_raises_the_file_is_refused_in_words(read: Any, error: Exception) -> None:
    for camera in (error, Camera(pixels=error)):
        with pytest.raises(BadImage, match="no raw camera file that can be read"):
            read(camera)


def test_a_picture_of_one_channel_is_read_and_one_of_four_refused(read: Any) -> None:
    assert read(Camera(pixels=np.full((600, 900, 1), 90, np.uint8))).getpixel((5, 5)) == (90, 90, 90)
    with pytest.raises(BadImage, match="pixels of a kind that is not read"):
        read(Camera(pixels=np.zeros((600, 900, 4), np.uint8)))


def test_the_day_is_that_of_the_preview_where_the_raw_file_is_no_tiff(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = jpeg(left_red(800, 600), date="2024:05:17 18:30:00")
    monkeypatch.setattr(rawpy, "imread", lambda _: Camera(preview))
    assert read_dated_image(b"no TIFF", "IMG_1.RAF")[1] == "2024-05-17T18:30:00"


def test_a_raw_reference_image_is_read_in_the_same_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(rawpy, "imread", lambda _: Camera(jpeg(left_red(800, 600)), flip=6))
    (tmp_path / "IMG_1.NEF").write_bytes(b"some camera's file")
    assert read_image(tmp_path / "IMG_1.NEF").size == (600, 800)
