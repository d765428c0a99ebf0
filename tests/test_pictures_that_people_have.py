"""Files of today's cameras, editors and image generators: large, cut, full of metadata, of other colours and depths."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_images import LEFT_RED, encode, pixels, png, png_chunk

from cir import decoding, memory
from cir.errors import BadImage
from cir.gallery.manifest import Models
from cir.images import read_dated_image, read_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8))


# --- large ---


def large_jpeg(megapixels: int, **options: object) -> bytes:
    image = Image.new("RGB", (10_000, megapixels * 100), (200, 40, 40))
    image.paste((20, 20, 220), (5_000, 0, *image.size))
    return encode(image, "JPEG", **options)


def test_a_jpeg_of_sixty_megapixels_is_made_smaller_while_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "available_bytes", lambda: 10**8)  # it takes next to none
    image = read_image(large_jpeg(60))
    assert image.size == (5_000, 3_000)
    assert np.abs(pixels(image)[1_500, [100, 4_900]] - ((200, 40, 40), (20, 20, 220))).max() <= 4


PEAK = """
import sys
from pathlib import Path
from cir.images import read_image
def peak():  # of this process alone: what getrusage tells begins with that of the parent
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
assert read_image(Path(sys.argv[1])).size == (5000, 5000)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_jpeg_of_a_hundred_megapixels_is_never_held_whole(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(large_jpeg(100))
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", PEAK, str(tmp_path / "large.jpg")]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 300_000  # kilobytes; all of its pixels alone have 400,000


def test_a_progressive_jpeg_holds_all_of_it_and_is_judged_by_the_memory_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = large_jpeg(60, progressive=True)
    monkeypatch.setattr(decoding, "available_bytes", lambda: 800_000_000)
    with pytest.raises(BadImage, match=r"60 megapixels, which take 0\.4 GB"):
        read_image(data)
    monkeypatch.setattr(decoding, "available_bytes", lambda: 900_000_000)
    assert read_image(data).size == (5_000, 3_000)


def test_other_large_formats_are_read_where_there_is_memory_and_made_smaller() -> None:
    data = encode(Image.new("L", (8_000, 7_000), 77), "PNG", compress_level=1)
    image = read_image(data)
    assert image.size == (4_000, 3_500)
    assert pixels(image)[::500, ::500].min() == pixels(image)[::500, ::500].max() == 77


def test_above_two_hundred_and_fifty_megapixels_nothing_is_decoded() -> None:
    header = large_jpeg(1).replace(struct.pack(">HH", 100, 10_000), struct.pack(">HH", 60_000, 10_000))
    with pytest.raises(BadImage, match=r"(600|more than 250) megapixels"):
        read_image(header)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts_as_memory(
    tmp_path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    names = ("memory.max", "memory.current", "inactive_file")
    top, line = tmp_path, "0::/box\n"
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        top, line = tmp_path / "memory", "4:memory:/box\n"
    (top / "box").mkdir(parents=True)
    for name, text in zip(names, ("1000000", "400000", ""), strict=True):
        (top / "box" / name).write_text(text)
    (top / "box" / "memory.stat").write_text(f"anon 1\n{names[2]} 100000\n")
    (tmp_path / "own").write_text(line)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    assert memory.available_bytes() == 700_000
    (top / "box" / names[0]).write_text("max" if version == 2 else str(2**63 - 4096))
    assert memory.available_bytes() > 10_000_000


# --- cut ---


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_without_its_end_has_all_its_rows(options: dict, cut: int) -> None:
    data = encode(NOISE, "JPEG", quality=90, **options)
    assert (pixels(read_image(data[:-cut])) == pixels(read_image(data))).all()


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.97])
def test_a_jpeg_of_which_rows_are_missing_is_damaged(options: dict, keep: float) -> None:
    data = encode(NOISE, "JPEG", quality=90, **options)
    with pytest.raises(BadImage, match="damaged"):
        read_image(data[: int(len(data) * keep)])


def test_a_progressive_jpeg_is_judged_by_its_first_passes() -> None:
    data = encode(NOISE, "JPEG", quality=90, progressive=True)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    with pytest.raises(BadImage, match="damaged"):
        read_image(data[: (scans[0] + scans[1]) // 2])
    coarse = pixels(read_image(data[: scans[-1] + 40]))
    assert coarse.shape == (96, 80, 3)
    assert np.abs(coarse - pixels(read_image(data))).mean() < 16


def test_a_png_without_its_end_is_read_and_one_without_its_last_rows_is_not() -> None:
    data = encode(NOISE, "PNG")
    assert (pixels(read_image(data[:-12])) == np.asarray(NOISE)).all()
    with pytest.raises(BadImage, match="damaged"):
        read_image(data[:-300])


# --- metadata ---


def with_chunks(*chunks: bytes) -> bytes:
    data = encode(Image.fromarray(LEFT_RED), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"parameters\0" + b"a castle, " * 150_000),
        png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"{node}" * 500_000)),
        png_chunk(b"iTXt", b"prompt\0\0\0\0\0" + b"x" * 1_500_000),
        png_chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(b"y" * 5_000_000)),
        png_chunk(b"tEXt", b"x\0y") * 5_000,
        png_chunk(b"caBX", b"c2pa" * 500_000),
        png_chunk(b"iCCP", b"broken\0\0" + zlib.compress(b"p" * 1_500_000)),
        png_chunk(b"iCCP", b"cut\0\0" + zlib.compress(b"p" * 1_500_000)[:40]),
        png_chunk(b"eXIf", b"MM\0*" + b"\xff" * 1_500_000),
        png_chunk(b"tIME", b"\xff" * 7),
    ],
    ids=range(10),
)
def test_metadata_of_a_png_is_no_reason_to_refuse_its_pixels(chunk: bytes) -> None:
    assert (pixels(read_image(with_chunks(chunk))) == LEFT_RED).all()


def test_segments_of_a_jpeg_are_no_reason_to_refuse_its_pixels() -> None:
    data = encode(NOISE, "JPEG", quality=95)
    broken = [
        b"\xff\xe1\xff\xff" + b"Exif\0\0" + b"\xee" * 65_527,
        b"\xff\xe2\0\x10ICC_PROFILE\0\1",
        b"\xff\xe2\0\x0cMPF\0MM\0*\xff\xff",
        b"\xff\xed\0\x12Photoshop 3.0\0" + b"8",
        (b"\xff\xe1\xff\xff" + b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 65_504) * 40,
    ]
    for segment in broken:
        assert (pixels(read_image(data[:2] + segment + data[2:])) == pixels(read_image(data))).all()


# --- colour profiles ---


def matrix_profile(*primaries: tuple[float, float, float], gamma: float = 2.2) -> bytes:
    """An ICC profile of three colorants (XYZ at D50) and one exponent."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79
    tags = [(b"desc", text), (b"wtpt", xyz((0.9642, 1.0, 0.8249)))]
    tags += [(name, xyz(value)) for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags:
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value.ljust(-(-len(value) // 4) * 4, b"\0")
    size = at + len(body)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"\0" * 12, b"acsp"
    )
    head = head.ljust(68, b"\0") + b"".join(
        struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249)
    )
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


DISPLAY_P3 = matrix_profile((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
ADOBE_RGB = matrix_profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_srgb(
    profile_primaries: np.ndarray, colour: tuple[int, int, int], gamma: float = 2.2
) -> np.ndarray:
    """What a colour is in sRGB, by the definition of both spaces."""
    to_srgb = np.linalg.inv(
        np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    )
    linear = to_srgb @ profile_primaries.T @ (np.array(colour) / 255) ** gamma
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


PRIMARIES = {
    "P3": (DISPLAY_P3, [(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)]),
    "Adobe": (ADOBE_RGB, [(0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)]),
}


@pytest.mark.parametrize("space", list(PRIMARIES))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_colours_of_a_wide_space_become_those_of_srgb(space: str, format: str) -> None:
    profile, primaries = PRIMARIES[space]
    options: dict = (
        {"quality": 98} if format in ("JPEG", "AVIF") else {"lossless": True} if format == "WEBP" else {}
    )
    for colour in ((150, 120, 90), (90, 140, 100), (120, 120, 200), (128, 128, 128)):
        data = encode(Image.new("RGB", (16, 16), colour), format, icc_profile=profile, **options)
        expected = linear_srgb(np.array(primaries), colour)
        assert np.abs(pixels(read_image(data)) - expected).max() <= (
            2 if format in ("PNG", "TIFF", "WEBP") else 5
        )


def test_a_heic_of_a_phone_is_read_in_its_own_colours() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encode(Image.new("RGB", (64, 64), (90, 140, 100)), "HEIF", icc_profile=DISPLAY_P3, quality=95)
    expected = linear_srgb(np.array(PRIMARIES["P3"][1]), (90, 140, 100))
    assert np.abs(pixels(read_image(data)) - expected).max() <= 6


@pytest.mark.parametrize("profile", [SRGB, b"", b"no profile", DISPLAY_P3[:200], b"\0" * 9_000_000])
def test_an_srgb_profile_and_a_broken_one_change_no_pixel(profile: bytes) -> None:
    data = encode(Image.fromarray(LEFT_RED), "TIFF", icc_profile=profile)
    assert (pixels(read_image(data)) == LEFT_RED).all()


def test_transparency_stays_beside_a_profile() -> None:
    image = Image.new("RGBA", (8, 8), (90, 140, 100, 0))
    image.paste((90, 140, 100, 255), (0, 0, 8, 4))
    result = pixels(read_image(encode(image, "PNG", icc_profile=DISPLAY_P3)))
    assert (result[6] == 255).all()
    assert np.abs(result[1] - linear_srgb(np.array(PRIMARIES["P3"][1]), (90, 140, 100))).max() <= 2


def test_grey_with_a_profile_of_its_own_becomes_srgb() -> None:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(1.0 * 256)) + b"\0\0"
    grey = (
        matrix_profile((0, 0, 0), (0, 0, 0), (0, 0, 0))
        .replace(b"RGB XYZ ", b"GRAYXYZ ")
        .replace(b"rTRC", b"kTRC")
    )
    grey = grey[: grey.rindex(b"curv")] + curve  # linear
    start = grey.index(b"kTRC")
    at = struct.unpack(">I", grey[start + 4 : start + 8])[0]
    grey = grey[:at] + curve + grey[at + len(curve) :]
    result = pixels(read_image(encode(Image.new("L", (4, 4), 64), "TIFF", icc_profile=grey)))
    assert np.abs(result - 137).max() <= 2  # 64 of 255, linear, is 137 in sRGB


def test_a_profile_for_other_pixels_is_not_applied() -> None:
    data = encode(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", icc_profile=DISPLAY_P3)
    assert (pixels(read_image(data)) == (255, 0, 0)).all()


def test_features_of_pictures_that_were_read_in_another_way_are_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cir.gallery import manifest

    now = Models("clip").image_key
    monkeypatch.setattr(manifest, "READER_VERSION", "rgb8-upright-white-1")
    assert Models("clip").image_key != now


# --- bits ---


def png_of_16_bits(values: np.ndarray) -> bytes:
    height, width, samples = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[samples]
    return png(width, height, png_chunk(b"IDAT", zlib.compress(rows)), bits=16, colour=colour)


def tiff_of_16_bits(values: np.ndarray, order: str, packed: bool) -> bytes:
    height, width, samples = values.shape
    data = values.astype(order + "u2").tobytes()
    data = zlib.compress(data) if packed else data
    tags = [
        (256, width),
        (257, height),
        (259, 8 if packed else 1),
        (262, 2 if samples == 3 else 1),
        (277, samples),
    ]
    tags += [(278, height), (284, 1)]
    after = 8 + 2 + 12 * (len(tags) + 3) + 4
    bits = struct.pack(f"{order}{samples}H", *[16] * samples)
    entries = [(tag, struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)) for tag, value in tags]
    inline = samples == 1
    where = struct.pack(f"{order}HH", 16, 0) if inline else struct.pack(f"{order}I", after)
    entries.append((258, struct.pack(f"{order}HHI", 258, 3, samples) + where))
    entries.append((273, struct.pack(f"{order}HHII", 273, 4, 1, after + len(bits))))
    entries.append((279, struct.pack(f"{order}HHII", 279, 4, 1, len(data))))
    folder = (
        struct.pack(f"{order}H", len(entries)) + b"".join(entry for _, entry in sorted(entries)) + b"\0" * 4
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + folder + bits + data


ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "png": png_of_16_bits,
    "tiff": lambda values: tiff_of_16_bits(values, "<", False),
    "tiff of another order": lambda values: tiff_of_16_bits(values, ">", False),
    "packed tiff": lambda values: tiff_of_16_bits(values, "<", True),
    "packed tiff of another order": lambda values: tiff_of_16_bits(values, ">", True),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("kind", list(ENCODERS))
def test_fewer_bits_in_a_file_of_sixteen_are_scaled_by_their_range(
    kind: str, samples: int, bits: int
) -> None:
    top = 2**bits - 1
    ramp = np.linspace(0, top, 48).round().astype(np.uint16).reshape(4, 12, 1)
    values = np.concatenate([ramp, top - ramp, ramp // 2][:samples], axis=2)
    result = pixels(read_image(ENCODERS[kind](values)))
    expected = np.broadcast_to(values / top * 255, result.shape)
    assert np.abs(result - expected).max() <= 1


def test_transparency_of_sixteen_bits_is_kept_beside_dark_colours() -> None:
    values = np.full((4, 4, 4), 65535, np.uint16)
    values[:, :, :3] = (4095, 0, 2048)
    values[2:, :, 3] = 0
    result = pixels(read_image(png_of_16_bits(values)))
    assert np.abs(result[0] - (255, 0, 128)).max() <= 1
    assert (result[3] == 255).all()


@pytest.mark.parametrize(("top", "grey"), [(1.0, 128), (255.0, 128), (4095.0, 128), (65535.0, 128)])
def test_floats_are_scaled_by_their_range(top: float, grey: int) -> None:
    values = np.array([[0.0, top / 2, top]], np.float32)
    result = pixels(read_image(encode(Image.fromarray(values), "TIFF")))
    assert np.abs(result[0, :, 0] - (0, grey, 255)).max() <= 1


# --- dates that are written in the picture ---


def exif_of(**tags: str) -> Image.Exif:
    exif = Image.Exif()
    if "changed" in tags:
        exif[0x0132] = tags["changed"]
    inner = exif.get_ifd(0x8769)
    for name, tag in (("taken", 0x9003), ("digitized", 0x9004)):
        if name in tags:
            inner[tag] = tags[name]
    return exif


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024:05:17 18:30:00", "2024-05-17T18:30:00"),
        ("2024-05-17 18:30:00", "2024-05-17T18:30:00"),
        ("2024/05/17 18:30:00", "2024-05-17T18:30:00"),
        ("2024.05.17 18.30.00", "2024-05-17T18:30:00"),
        ("2024-05-17T18:30:00+02:00", "2024-05-17T18:30:00"),
        ("2024-05-17T18:30:00.123Z", "2024-05-17T18:30:00"),
        ("2024:05:17", "2024-05-17"),
        ("2024-05-17", "2024-05-17"),
        ("20240517", "2024-05-17"),
        ("20240517T183000Z", "2024-05-17T18:30:00"),
        ("2024:05:17 18:30", "2024-05-17T18:30:00"),
        ("2024: 5: 7  8:30: 0", "2024-05-07T08:30:00"),
        ("2024:05:17 24:00:00", "2024-05-17"),
        ("17.05.2024 18:30:00", "2024-05-17T18:30:00"),
        ("05/17/2024 18:30", "2024-05-17T18:30:00"),
        ("Fri May 17 18:30:00 2024", "2024-05-17T18:30:00"),
        ("01/02/2024", ""),
        ("0000:00:00 00:00:00", ""),
        ("    :  :     :  :  ", ""),
        ("", ""),
        ("2024:00:00 00:00:00", ""),
        ("2024:13:17 18:30:00", ""),
        ("1970:01:01 00:00:00", ""),
        ("2054:05:17 18:30:00", ""),
        ("no date", ""),
    ],
)
@pytest.mark.parametrize("tag", ["taken", "digitized", "changed"])
def test_dates_of_exif_are_read_in_the_forms_that_are_written(tag: str, written: str, read: str) -> None:
    data = encode(Image.fromarray(LEFT_RED), "JPEG", exif=exif_of(**{tag: written}))
    assert read_dated_image(data)[1] == read


def test_a_blank_tag_gives_way_to_the_next() -> None:
    exif = exif_of(
        taken="0000:00:00 00:00:00", digitized="    :  :     :  :  ", changed="2023:01:02 03:04:05"
    )
    assert read_dated_image(encode(Image.fromarray(LEFT_RED), "JPEG", exif=exif))[1] == "2023-01-02T03:04:05"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_date_of_xmp_is_read(format: str) -> None:
    xmp = b'<x:xmpmeta><rdf:Description photoshop:DateCreated="2024-05-17T18:30:00"/></x:xmpmeta>'
    if format == "PNG":
        data = with_chunks(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    elif format == "TIFF":
        data = encode(Image.fromarray(LEFT_RED), format, tiffinfo={700: xmp})
    else:
        data = encode(Image.fromarray(LEFT_RED), format, xmp=xmp)
    assert read_dated_image(data)[1] == "2024-05-17T18:30:00"


def test_the_time_of_a_png_is_read() -> None:
    data = with_chunks(png_chunk(b"tIME", struct.pack(">H5B", 2024, 5, 17, 18, 30, 0)))
    assert read_dated_image(data)[1] == "2024-05-17T18:30:00"
