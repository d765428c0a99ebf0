"""Pictures that name their colours without a profile, and depths and kinds that Pillow alone does not read."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from test_images import encode, pixels, png_chunk
from test_pictures_that_people_have import PRIMARIES, linear_srgb, png_of_16_bits, tiff_of_16_bits

from cir.errors import BadImage
from cir.images import read_image

COLOURS = ((150, 120, 90), (90, 140, 100), (120, 120, 200), (128, 128, 128))


def of_display_p3(colour: tuple[int, int, int]) -> np.ndarray:
    """What a colour of Display P3 is in sRGB, whose curve both have."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear_srgb(np.array(PRIMARIES["P3"][1]), tuple(255 * linear), gamma=1.0)


def exif_of_a_camera(index: str | None, colour_space: int) -> bytes:
    """EXIF with a folder of interoperability, as DCF asks for."""
    exif = Image.Exif()
    inner = exif.get_ifd(0x8769)
    inner[0xA001] = colour_space
    if index is not None:
        inner[0xA005] = {1: index}
    return exif.tobytes()


@pytest.mark.parametrize(
    ("format", "index", "colour_space"),
    [
        *(
            (format, *said)
            for format in ("JPEG", "PNG", "WEBP")
            for said in (("R03", 65535), ("R03", 1), (None, 2))
        ),
        ("TIFF", None, 2),  # Pillow writes no folder of interoperability into TIFF
    ],
)
def test_adobe_rgb_that_only_exif_names_becomes_srgb(
    format: str, index: str | None, colour_space: int
) -> None:
    options: dict = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(format, {})
    for colour in COLOURS:
        exif = exif_of_a_camera(index, colour_space)
        data = encode(Image.new("RGB", (16, 16), colour), format, exif=exif, **options)
        expected = linear_srgb(np.array(PRIMARIES["Adobe"][1]), colour)
        assert np.abs(pixels(read_image(data)) - expected).max() <= (5 if format == "JPEG" else 2)


@pytest.mark.parametrize(("index", "colour_space"), [("R98", 1), ("R98", 65535), (None, 65535), ("THM", 1)])
def test_exif_that_does_not_name_adobe_rgb_changes_no_pixel(index: str | None, colour_space: int) -> None:
    data = encode(Image.new("RGB", (8, 8), (90, 140, 100)), "PNG", exif=exif_of_a_camera(index, colour_space))
    assert (pixels(read_image(data)) == (90, 140, 100)).all()


def test_a_profile_counts_before_what_exif_names() -> None:
    image, exif = Image.new("RGB", (8, 8), (90, 140, 100)), exif_of_a_camera("R03", 65535)
    data = encode(image, "PNG", exif=exif, icc_profile=PRIMARIES["P3"][0])
    expected = linear_srgb(np.array(PRIMARIES["P3"][1]), (90, 140, 100))
    assert np.abs(pixels(read_image(data)) - expected).max() <= 2


def png_of_code(colour: tuple[int, int, int], *code: int) -> bytes:
    data = encode(Image.new("RGB", (8, 8), colour), "PNG")
    return data[:33] + png_chunk(b"cICP", bytes(code)) + data[33:]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_png_that_names_display_p3_becomes_srgb(colour: tuple[int, int, int]) -> None:
    result = pixels(read_image(png_of_code(colour, 12, 13, 0, 1)))
    assert np.abs(result - of_display_p3(colour)).max() <= 2


@pytest.mark.parametrize("code", [(1, 13, 0, 1), (12, 16, 0, 1), (9, 18, 0, 1), (255, 255, 0, 1), (12, 13)])
def test_a_png_that_names_srgb_or_what_is_not_known_keeps_its_pixels(code: tuple[int, ...]) -> None:
    assert (pixels(read_image(png_of_code((90, 140, 100), *code))) == (90, 140, 100)).all()


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("colour", COLOURS)
def test_avif_and_heic_that_name_display_p3_become_srgb(format: str, colour: tuple[int, int, int]) -> None:
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encode(Image.new("RGB", (64, 64), colour), format, quality=98)
    said_srgb = b"colrnclx" + struct.pack(">HH", 1, 13)
    assert data.count(said_srgb) == 1
    named = data.replace(said_srgb, b"colrnclx" + struct.pack(">HH", 12, 13))
    assert np.abs(pixels(read_image(data)) - colour).max() <= 4
    assert np.abs(pixels(read_image(named)) - of_display_p3(colour)).max() <= 5


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_with_transparency_is_scaled_by_the_range_of_its_values(bits: int) -> None:
    top = 2**bits - 1
    values = np.full((4, 12, 2), 65535, np.uint16)
    values[:, :, 0] = np.linspace(0, top, 48).round().reshape(4, 12)
    values[3, :, 1] = 0
    result = pixels(read_image(png_of_16_bits(values)))
    assert np.abs(result[:3, :, 0] - values[:3, :, 0] / top * 255).max() <= 1
    assert (result[3] == 255).all()


def tiff_of_floats() -> bytes:
    """RGB of three 32-bit floats, without compression."""
    data = np.linspace(0, 1, 4 * 4 * 3, dtype="<f4").tobytes()
    tags = [
        (256, 3, 1, 4),
        (257, 3, 1, 4),
        (258, 3, 3, 142),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 154),
    ]
    tags += [(277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 1, len(data)), (284, 3, 1, 1), (339, 3, 3, 148)]
    folder = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (
        (b"II*\0" + struct.pack("<I", 8) + folder).ljust(142, b"\0")
        + struct.pack("<6H", *[32] * 3, *[3] * 3)
        + data
    )


def test_a_tiff_of_floating_point_colours_is_refused_in_words_with_a_way_out() -> None:
    with pytest.raises(BadImage, match="floating-point") as caught:
        read_image(tiff_of_floats())
    assert "8 or 16 bits" in caught.value.remedy


def test_another_tiff_that_is_not_read_says_that_it_is_a_tiff() -> None:
    values = np.zeros((4, 4, 3), np.uint16)
    data = tiff_of_16_bits(values, "<", False).replace(
        struct.pack("<3H", 16, 16, 16), struct.pack("<3H", 24, 24, 24)
    )
    with pytest.raises(BadImage, match="a TIFF image of a kind that is not read"):
        read_image(data)


# --- cut short ---

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8))
CUT_FORMATS: dict[str, tuple[str, dict]] = {
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "AVIF": ("AVIF", {}),
    "HEIC": ("HEIF", {}),
    "TIFF": ("TIFF", {}),
    "packed TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF of JPEGs": ("TIFF", {"compression": "jpeg"}),
    "BMP": ("BMP", {}),
    "GIF": ("GIF", {}),
    "JPEG": ("JPEG", {"quality": 90}),
}


@pytest.mark.parametrize("keep", [0.02, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", list(CUT_FORMATS))
def test_a_file_of_which_rows_are_missing_says_that_it_is_cut_short(kind: str, keep: float) -> None:
    format, options = CUT_FORMATS[kind]
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encode(NOISE, format, **options)
    with pytest.raises(BadImage) as caught:
        read_image(data[: int(len(data) * keep)])
    assert str(caught.value) == "The image is damaged: it is cut short, its end is missing. Fetch it anew."


@pytest.mark.parametrize(
    ("kind", "cut"), [("PNG", 12), ("lossless WebP", 1), ("GIF", 1), ("GIF", 3), ("JPEG", 2)]
)
def test_a_file_without_its_end_is_read_where_all_rows_are_there(kind: str, cut: int) -> None:
    format, options = CUT_FORMATS[kind]
    data = encode(NOISE, format, **options)
    assert (pixels(read_image(data[:-cut])) == pixels(read_image(data))).all()


@pytest.mark.parametrize("cut", [1, 100, 990])
def test_a_webp_that_lost_its_metadata_keeps_its_picture(cut: int) -> None:
    data = encode(NOISE, "WEBP", xmp=b"<" * 1_000)
    assert (pixels(read_image(data[:-cut])) == pixels(read_image(data))).all()


def test_the_first_picture_of_an_animation_that_was_cut_is_read() -> None:
    pictures = {"save_all": True, "append_images": [NOISE.rotate(180)]}
    for format in ("WEBP", "GIF"):
        data = encode(NOISE, format, **pictures)
        assert (pixels(read_image(data[:-200])) == pixels(read_image(data))).all()


@pytest.mark.parametrize(
    "data",
    [
        b"BM, this is a text about BMW",
        b"no picture at all",
        b"\x89PNG\r\n\x1a\n" + zlib.compress(b"x" * 9),
        encode(NOISE, "WEBP")[:200] + b"\xff" * 4_000 + encode(NOISE, "WEBP")[4_200:],
    ],
)
def test_what_is_damaged_otherwise_is_not_called_cut_short(data: bytes) -> None:
    whole_png = data.startswith(b"\x89PNG")
    with pytest.raises(BadImage) as caught:
        read_image(data + png_chunk(b"IEND", b"") if whole_png else data)
    assert whole_png or "cut short" not in str(caught.value)
