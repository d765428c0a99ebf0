"""Reading images: what a camera, a phone, a scanner or an attacker may hand over."""

from __future__ import annotations

import gzip
import io
import os
import random
import socket
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import GifImagePlugin, Image, ImageFile, TiffImagePlugin

from cir import decoding
from cir.errors import BadImage
from cir.images import (
    content_hash,
    display_name,
    image_id_of,
    make_thumbnail,
    read_image,
    walk_images,
)

LEFT_RED = np.zeros((24, 32, 3), np.uint8)  # red with a blue right half and a white top left corner
LEFT_RED[:, :16, 0], LEFT_RED[:, 16:, 2], LEFT_RED[:8, :8] = 255, 255, 255


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def idat(width: int, height: int) -> bytes:
    return png_chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 3 * width) * height))


@pytest.fixture
def undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, decoding pixels is a failure of the test."""

    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_give_the_very_pixels(format: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(encode(Image.fromarray(LEFT_RED), format))
    assert (pixels(read_image(path)) == LEFT_RED).all()


def test_a_path_bytes_a_stream_and_an_image_read_the_same(tmp_path: Path) -> None:
    data = encode(Image.fromarray(LEFT_RED), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    sources = (path, str(path), data, io.BytesIO(data), Image.fromarray(LEFT_RED))
    assert all((pixels(read_image(source)) == LEFT_RED).all() for source in sources)


def test_reading_an_image_of_pillow_leaves_it_as_it_was() -> None:
    image = Image.fromarray(LEFT_RED)
    image.info["exif"] = b"place"
    result = read_image(image)
    assert image.info == {"exif": b"place"}
    assert result.info == {}
    assert result is not image


@pytest.mark.parametrize("source", [None, 3, ["a.png"], {"path": "a.png"}])
def test_what_is_no_source_at_all_is_refused_in_words(source: object) -> None:
    with pytest.raises(BadImage, match="cannot be read from"):
        read_image(source)  # type: ignore[arg-type]


def test_a_link_that_a_person_names_is_followed_to_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(LEFT_RED), "PNG"))
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert (pixels(read_image(tmp_path / "link.png")) == LEFT_RED).all()
    with pytest.raises(BadImage, match="not a file but a device"):
        read_image(tmp_path / "zero.png")


@pytest.mark.parametrize("path", ["missing.png", "a\0b.png", "x" * 300 + ".png", "\ud800.png"])
def test_a_path_that_leads_nowhere_is_one_sentence(path: str) -> None:
    with pytest.raises(BadImage) as caught:
        read_image(Path(path))
    assert caught.value.remedy
    assert "Errno" not in caught.value.message


def test_fault_17_one_pixel_is_read() -> None:
    image = read_image(encode(Image.new("RGB", (1, 1), (10, 20, 30)), "PNG"))
    assert pixels(image).tolist() == [[[10, 20, 30]]]


@pytest.mark.parametrize(("size", "expected"), [((10_000, 1), (4096, 205)), ((1, 10_000), (205, 4096))])
def test_fault_18_a_strip_is_set_on_a_white_ground_of_bearable_shape(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = read_image(encode(Image.new("RGB", size, "red"), "PNG"))
    assert image.size == expected
    middle = image.width // 2, image.height // 2
    assert image.getpixel(middle) == (255, 0, 0)
    assert image.getpixel((0, 0) if image.width > 205 else (0, 9)) == (255, 255, 255)


def test_an_image_of_one_to_twenty_is_left_as_it_is() -> None:
    assert read_image(Image.new("RGB", (200, 10))).size == (200, 10)


@pytest.mark.usefixtures("undecodable")
def test_fault_19_twenty_thousand_pixels_squared_are_refused_before_decoding() -> None:
    with pytest.raises(BadImage, match="400 megapixels; the limit is 250") as caught:
        read_image(png(20_000, 20_000, idat(1, 1)))
    assert "megapixels" in caught.value.message
    assert "smaller" in caught.value.remedy


@pytest.mark.usefixtures("undecodable")
def test_fault_20_eighty_one_megapixels_are_refused_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "available_bytes", lambda: 2 * 10**9)
    data = png(9000, 9000, idat(1, 1), bits=1, colour=0)
    for source in (data, Image.open(io.BytesIO(data))):
        with pytest.raises(BadImage, match=r"has 81 megapixels, which take 1\.3 GB") as caught:
            read_image(source)
        assert "JPEG" in caught.value.remedy


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_fault_21_a_truncated_file_is_damaged_and_not_half_grey(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    for keep in (0.3, 0.6, 0.9):
        with pytest.raises(BadImage) as caught:
            read_image(data[: int(len(data) * keep)])
        assert "damaged" in caught.value.message
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"just a note", "not a supported image"),
        (b"<html><script>alert(1)</script></html>", "not a supported image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a supported image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "not a supported image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a supported image"),
        (b"PK\x03\x04" + b"\0" * 60, "not a supported image"),
        (b"8BPS\0\x01" + b"\0" * 60, "not a supported image"),
    ],
)
def test_fault_22_what_only_calls_itself_png_is_not_a_supported_image(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=said) as caught:
        read_image(path)
    assert caught.value.message.startswith("picture.png is ")
    assert caught.value.remedy


def sixteen_bits(value: int) -> Image.Image:
    return Image.fromarray(np.full((4, 4), value, np.uint16))


@pytest.mark.parametrize(
    ("image", "format", "expected"),
    [
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
        (sixteen_bits(0x8000), "PNG", (128, 128, 128)),
        (sixteen_bits(0xFFFF), "TIFF", (255, 255, 255)),
        (sixteen_bits(300), "PNG", (75, 75, 75)),
        (Image.fromarray(np.full((4, 4), 65535, np.int32)), "TIFF", (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 200, np.int32)), "TIFF", (200, 200, 200)),
        (Image.new("1", (4, 4), 1), "PNG", (255, 255, 255)),
        (Image.new("RGB", (4, 4), (9, 99, 199)).quantize(4), "PNG", (9, 99, 199)),
        (Image.new("LA", (4, 4), (77, 255)), "PNG", (77, 77, 77)),
        (Image.new("L", (4, 4), 77), "PNG", (77, 77, 77)),
        (Image.new("YCbCr", (4, 4), (128, 128, 128)), "JPEG", (128, 128, 128)),
        (Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF", (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF", (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 100.0, np.float32)), "TIFF", (100, 100, 100)),
    ],
)
def test_fault_23_every_mode_becomes_rgb_of_the_right_colour(
    image: Image.Image, format: str, expected: tuple[int, int, int]
) -> None:
    result = pixels(read_image(encode(image, format)))
    assert result.shape == (4, 4, 3)
    assert np.abs(result - np.array(expected)).max() <= 2


def test_fault_23_floats_beyond_any_scale_keep_their_order() -> None:
    values = np.array([[-10.0, 0.0], [500.0, 1000.0]], np.float32)
    grey = pixels(read_image(encode(Image.fromarray(values), "TIFF")))[:, :, 0]
    assert grey.tolist() == [[0, 3], [129, 255]]


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 4), st.sampled_from(["PNG", "WEBP", "TIFF"]))
def test_fault_24_transparency_is_laid_on_white(colour: tuple[int, int, int, int], format: str) -> None:
    image = Image.new("RGBA", (4, 4), colour)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    *rgb, alpha = colour
    expected = [(value * alpha + 255 * (255 - alpha)) / 255 for value in rgb]
    for source in (encode(image, format, **options), image):
        assert np.abs(pixels(read_image(source)) - np.array(expected)).max() <= 1


def test_fault_24_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    for format in ("GIF", "PNG"):
        result = pixels(read_image(encode(image, format, transparency=0)))
        assert result.tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_fault_25_of_an_animation_only_the_first_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), (shade, 0, 90), np.uint8)) for shade in range(200)]
    gif = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    webp = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    apng = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    sought: list[int] = []
    seek = GifImagePlugin.GifImageFile.seek
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile, "seek", lambda self, n: (sought.append(n), seek(self, n))
    )
    for data in (gif, webp, apng):
        assert np.abs(pixels(read_image(data)) - (0, 0, 90)).max() <= 3
    assert [frame for frame in sought if frame > 0] == []


@pytest.mark.parametrize("format", ["TIFF", "MPO"])
def test_fault_26_of_several_pages_the_first_is_taken(format: str) -> None:
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "blue")]
    data = encode(pages[0], format, save_all=True, append_images=pages[1:])
    assert np.abs(pixels(read_image(data)) - (255, 0, 0)).max() <= 3


@settings(max_examples=32, deadline=None)
@given(st.integers(1, 8), st.sampled_from(["PNG", "TIFF", "WEBP", "JPEG", "AVIF"]))
def test_fault_27_all_eight_orientations_give_the_same_upright_pixels(orientation: int, format: str) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that a camera did
    image = Image.fromarray(LEFT_RED)
    if orientation in undo:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, format, exif=exif, **({"lossless": True} if format == "WEBP" else {"quality": 95}))
    result = pixels(read_image(data))
    assert result.shape == LEFT_RED.shape
    if format in ("JPEG", "AVIF"):
        corners = result[[4, 12, -1, -1], [4, 8, 2, -2]]
        assert np.abs(corners - ([255] * 3, [255, 0, 0], [255, 0, 0], [0, 0, 255])).max() <= 40
    else:
        assert (result == LEFT_RED).all()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (pixels(read_image(encode(Image.fromarray(LEFT_RED), "PNG", exif=exif))) == LEFT_RED).all()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on damaged metadata
@pytest.mark.parametrize(
    "blob",
    [
        b"Exif\0\0" + b"\xff" * 1_000_000,
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"x",
    ],
)
def test_fault_28_huge_or_malformed_exif_is_ignored(blob: bytes) -> None:
    data = encode(Image.fromarray(LEFT_RED), "PNG", exif=b"Exif\0\0" + blob)
    assert (pixels(read_image(data)) == LEFT_RED).all()


def test_fault_28_an_exif_that_gives_the_orientation_as_text_is_ignored() -> None:
    entry = struct.pack("<HHHI4sI", 1, 0x0112, 2, 4, b"six\0", 0)
    data = encode(Image.fromarray(LEFT_RED), "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0" + entry)
    assert (pixels(read_image(data)) == LEFT_RED).all()


def test_fault_28_of_a_malformed_exif_nothing_of_pillows_is_printed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "a camera" * 30
    for length in (20, 40, 60):
        Image.fromarray(LEFT_RED).save(tmp_path / f"{length}.jpg", exif=exif.tobytes()[:length])
    script = (
        "import sys; from pathlib import Path; from cir.images import read_dated_image\n"
        "for name in sys.argv[1:]: read_dated_image(Path(name).read_bytes())"
    )
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_fault_29_avif_is_read() -> None:
    result = pixels(read_image(encode(Image.new("RGB", (32, 32), (200, 40, 40)), "AVIF")))
    assert np.abs(result - (200, 40, 40)).max() <= 6


def test_fault_29_heic_is_read_where_its_package_is_installed() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    result = pixels(read_image(encode(Image.new("RGB", (32, 32), (200, 40, 40)), "HEIF")))
    assert np.abs(result - (200, 40, 40)).max() <= 6


def test_fault_29_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match="HEIC") as caught:
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)
    assert "pip install pillow-heif" in caught.value.remedy


@pytest.mark.parametrize("name", ["a.heic", "a.gif", "a.txt", "a"])
def test_fault_30_the_content_decides_and_not_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode(Image.fromarray(LEFT_RED), "PNG"))
    assert (pixels(read_image(path)) == LEFT_RED).all()
    assert [file.relative for file in walk_images(tmp_path)] == [name.encode()]


def test_fault_31_nan_and_infinity_become_ends_of_the_scale() -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, 0.5]], np.float32)
    grey = pixels(read_image(encode(Image.fromarray(values), "TIFF")))[:, :, 0]
    assert grey.tolist() == [[0, 255], [0, 128]]


def test_fault_31_a_picture_of_nothing_but_nan_is_black() -> None:
    values = np.full((3, 3), np.nan, np.float32)
    assert pixels(read_image(encode(Image.fromarray(values), "TIFF"))).max() == 0


def test_fault_32_bombs_in_text_and_profile_are_not_unpacked() -> None:
    bomb = zlib.compress(b"\0" * 70_000_000, 9)
    text = png_chunk(b"iTXt", b"Comment\0\x01\0\0\0" + bomb)
    xmp = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + bomb)
    profile = png_chunk(b"iCCP", b"name\0\0" + bomb)
    tracemalloc.start()
    for chunk in (text, xmp, profile):
        assert (pixels(read_image(png(4, 4, chunk, idat(4, 4)))) == 0x80).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_fault_32_formats_off_the_list_are_not_even_tried() -> None:
    fits = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80)
    for data in (gzip.compress(fits), fits, b"DDS \x7c\0\0\0" + b"\0" * 120):
        with pytest.raises(BadImage, match="not a supported image"):
            read_image(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on damaged metadata
def test_mutated_files_end_in_a_picture_or_in_bad_image_and_nothing_else() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    originals = [encode(noise, format) for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")]
    rng = random.Random(7)
    ends = {"picture": 0, "refused": 0}
    for turn in range(700):
        data = bytearray(originals[turn % len(originals)])
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            image = read_image(bytes(data))
            assert image.mode == "RGB"
            ends["picture"] += 1
        except BadImage:
            ends["refused"] += 1
    assert min(ends.values()) > 50


def test_a_decoder_that_fails_in_an_unheard_of_way_is_bad_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise RuntimeError("decoder exploded")

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)
    with pytest.raises(BadImage, match="damaged"):
        read_image(encode(Image.fromarray(LEFT_RED), "TIFF"))


def test_a_thumbnail_is_a_small_webp_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "the address of my house"
    image = Image.open(io.BytesIO(encode(Image.new("RGB", (1000, 500), "red"), "JPEG", exif=exif)))
    data = make_thumbnail(image)
    thumbnail = Image.open(io.BytesIO(data))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (320, 160))
    assert len(thumbnail.getexif()) == 0
    assert b"address" not in data


def test_ids_and_hashes_depend_on_bytes_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") == content_hash(b"same")
    assert content_hash(b"same") != content_hash(b"other")
    assert image_id_of(b"caf\xc3\xa9") != image_id_of(b"cafe\xcc\x81")
    assert image_id_of(b"a/b.png") == image_id_of(b"a/b.png")
    assert set(image_id_of(b"\xff\n<b>")) <= set("0123456789abcdef")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60))
def test_fault_55_any_file_name_is_shown_as_one_harmless_line(name: bytes) -> None:
    shown = display_name(name)
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert display_name("käse\u202egnp.exe\n".encode()) == "käse\ufffdgnp.exe\ufffd"


def make_traps(root: Path) -> None:
    """Everything in a folder that is no regular file of its own, and one picture."""
    (root / "deep" / "dir.png").mkdir(parents=True)
    (root / "deep" / "loop").symlink_to(root, target_is_directory=True)
    (root / "dangling.png").symlink_to(root / "nothing")
    (root / "outside.png").symlink_to("/etc/hostname")
    os.mkfifo(root / "pipe.png")
    (root / "a.png").write_bytes(encode(Image.fromarray(LEFT_RED), "PNG"))


def test_fault_51_links_are_skipped_and_counted_wherever_they_lead(tmp_path: Path) -> None:
    make_traps(tmp_path)
    met = {file.relative: file.skip_reason for file in walk_images(tmp_path)}
    links = {name for name, reason in met.items() if reason.startswith("a link")}
    assert links == {b"deep/loop", b"dangling.png", b"outside.png"}
    assert [name for name, reason in met.items() if not reason] == [b"a.png"]


def test_fault_52_pipes_sockets_and_devices_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_traps(tmp_path)
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        met = {file.relative: file.skip_reason for file in walk_images(tmp_path)}
        with pytest.raises(BadImage, match="not a file but a socket"):
            read_image(tmp_path / "socket.png")
    assert met[b"pipe.png"] == "not a file but a pipe"
    assert met[b"socket.png"] == "not a file but a socket"
    assert b"deep/dir.png" not in met
    for path, kind in (
        (tmp_path / "pipe.png", "a pipe"),
        (Path("/dev/zero"), "a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(BadImage, match=f"not a file but {kind}"):
            read_image(path)


def test_a_file_exchanged_for_a_pipe_between_look_and_opening_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a.png")
    regular = os.stat_result((stat.S_IFREG | 0o644, 1, 1, 1, 0, 0, 100, 0, 0, 0))
    monkeypatch.setattr(os, "lstat", lambda path: regular)
    with pytest.raises(BadImage, match="not a file but a pipe"):
        content_hash(tmp_path / "a.png")


def test_a_walk_is_in_order_and_passes_over_what_is_plainly_no_image(tmp_path: Path) -> None:
    picture = encode(Image.fromarray(LEFT_RED), "PNG")
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".git/d.png", "cache/e.png", "sub/no-suffix"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"\0" * 50)
    met = list(walk_images(tmp_path, exclude=[tmp_path / "cache"]))
    assert [file.relative for file in met] == [b"a.JPG", b"b.png", b"sub/c.webp", b"sub/no-suffix"]
    assert {file.size for file in met} == {len(picture)}
    assert met[0].mtime_ns == (tmp_path / "a.JPG").stat().st_mtime_ns


def test_files_named_like_images_are_not_opened_by_a_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(b"whatever")
    monkeypatch.setattr(os, "open", lambda *arguments: pytest.fail("a file was opened"))
    assert [file.relative for file in walk_images(tmp_path)] == [b"a.png"]
