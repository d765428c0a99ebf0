"""The structure of PNG, JPEG and WebP files: what a decoder needs of them without the metadata, and where a pass ends.

It unpacks metadata within bounds and decodes no pixel.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_MOST_EXIF = 1 << 20
_MOST_TEXT = 1 << 20  # of XMP that is read for its date


@dataclass(frozen=True, slots=True)
class PngParts:
    """A PNG file taken apart.

    Attributes:
        data: the same picture without text, profile, animation and private chunks.
        profile: its colour profile; b"" for none, or one that is too large.
        xmp: its XMP; "" for none.
        time: "2024:05:17 18:30:00" of its chunk tIME; "" for none.
        colour_code: the primaries and the transfer function of its chunk cICP, as numbers of H.273.
    """

    data: bytes
    profile: bytes = b""
    xmp: str = ""
    time: str = ""
    colour_code: tuple[int, int] | None = None


def is_png(head: bytes) -> bool:
    """Whether these are the first bytes of a PNG file."""
    return head.startswith(_PNG_HEAD)


def is_webp(head: bytes) -> bool:
    """Whether these are the first bytes of a WebP file."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def is_jpeg(head: bytes) -> bool:
    """Whether these are the first bytes of a JPEG file."""
    return head.startswith(b"\xff\xd8\xff")


def png_parts(data: bytes, most_profile: int) -> PngParts:
    """Take a PNG file apart. Compressed metadata is unpacked up to a bound and no further.

    Args:
        data: the file.
        most_profile: bytes of the largest colour profile that is taken.
    """
    kept, profile, xmp, time, code = [_PNG_HEAD], b"", "", "", None
    for kind, start, end, size in png_chunks(data):
        body = data[start + 8 : start + 8 + size] if kind in (b"iCCP", b"iTXt", b"tIME", b"cICP") else b""
        if kind == b"iCCP":
            profile = _unpacked(body.partition(b"\0")[2][1:], most_profile)
        elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
            xmp = _text_of(body)
        elif kind == b"tIME" and len(body) == 7:
            time = "{:04}:{:02}:{:02} {:02}:{:02}:{:02}".format(*struct.unpack(">H5B", body))
        elif kind == b"cICP" and len(body) == 4:
            code = (body[0], body[1])
        is_critical = kind[:1].isupper()
        if (kind in _PNG_KEPT or is_critical) and (is_critical or size <= _MOST_EXIF):
            kept.append(data[start:end])
    return PngParts(b"".join(kept), profile, xmp, time, code)


def grey_pairs_as_rgba(png: bytes) -> bytes:
    """A PNG file of 16-bit grey with transparency, read as RGBA of 8 bits, which lies in the file in the same way.

    The two bytes of grey become red and green, those of transparency blue and alpha.
    """
    header = b"IHDR" + png[16:24] + bytes((8, 6)) + png[26:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """(kind, start, end, size of the body) of each chunk; the last one may reach beyond the file."""
    at = len(_PNG_HEAD)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        yield kind, at, end, size
        if kind == b"IEND":
            return
        at = end


def _text_of(body: bytes) -> str:
    """The text of an iTXt chunk, unpacked up to a bound."""
    is_packed = body[18:19] == b"\1"
    text = body[20:].split(b"\0", 2)[-1]  # after a language and a translated keyword
    return (_unpacked(text, _MOST_TEXT) if is_packed else text[:_MOST_TEXT]).decode("utf-8", "replace")


def _unpacked(packed: bytes, most: int) -> bytes:
    """What was compressed; b"" where it is damaged or larger than `most`."""
    try:
        unpacked = zlib.decompressobj().decompress(packed, most + 1)
    except zlib.error:
        return b""
    return unpacked if len(unpacked) <= most else b""


def whole_webp_chunks(data: bytes) -> bytes | None:
    """A WebP file that lost its end, without what is cut in it; None where that is the picture itself."""
    kept, at = [], 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + size > len(data):
            break
        kept.append(data[at : at + 8 + size] + b"\0" * (size % 2))
        at += 8 + size + size % 2
    if not any(chunk[:4] in (b"VP8 ", b"VP8L", b"ANMF") for chunk in kept):
        return None
    content = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def without_jpeg_metadata(data: bytes) -> bytes:
    """A JPEG file without its application segments and comments, but for the one that says what its colours are."""
    kept, at = [data[:2]], 2
    for marker, start, end in _jpeg_segments(data):
        at = end
        if marker == 0xEE or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[start:end])
    return b"".join([*kept, data[at:]])


def is_progressive(data: bytes) -> bool:
    """Whether a JPEG file draws its picture in several passes, all of which a decoder has to hold."""
    return any(marker in (0xC2, 0xC6, 0xCA, 0xCE) for marker, _, _ in _jpeg_segments(data))


def has_first_passes(data: bytes) -> bool:
    """Whether the passes that draw all rows of a progressive JPEG file are there; the others make it finer."""
    components, seen, at = 0, set(), 0
    while True:
        segments = list(_jpeg_segments(data, at))
        for marker, start, _ in segments:
            if marker in (0xC2, 0xC6, 0xCA, 0xCE):
                components = data[start + 9]
        if not segments or segments[-1][0] != 0xDA:
            return False
        _, start, end = segments[-1]
        count = data[start + 4]
        scanned = {data[start + 5 + 2 * i] for i in range(count)}
        spectral, approximation = data[start + 5 + 2 * count], data[start + 7 + 2 * count] >> 4
        at = _end_of_scan(data, end)
        if at is None:
            return False
        if spectral == 0 and approximation == 0:
            seen |= scanned
        if components and len(seen) >= components:
            return True


def _end_of_scan(data: bytes, at: int) -> int | None:
    """Where the marker after the compressed data that begins at `at` stands; None if the file ends before."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return None
        following = data[at + 1]
        if following and not 0xD0 <= following <= 0xD7 and following != 0xFF:
            return at
        at += 2 if following != 0xFF else 1


def _jpeg_segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment up to the first scan's header, which is the last one."""
    at = max(at, 2)
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xD9:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            return
        yield marker, at, end
        if marker == 0xDA:
            return
        at = end
