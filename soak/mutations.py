"""Thousands of damaged picture files: each is read, or refused with an error for people; nothing else may come out.

A mutation is known by its number, so that what went wrong can be made again. They are read in a process of
their own, because the worst that a decoder can do is to end it.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from threading import Timer
from types import FrameType

import numpy as np
from PIL import Image

from cir.errors import CirError
from cir.images import read_image
from soak import ROOT

CPU_SECONDS = 5.0  # for one file; wall time says little on a busy machine
SILENT_SECONDS = 120.0
MEMORY_BYTES = 3 * 2**30
_INTERESTING = (
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x00\x00",
)


class Hang(BaseException):
    """A file took too long. No Exception, so that nothing on the way takes it for a damaged picture."""


@dataclass
class Outcome:
    """How a campaign went.

    Attributes:
        read, refused: files of which a picture was made, and files refused with an error for people.
        escaped: "number: error" of everything else that came out, ends of the process included.
        slowest_ms: of one file, in processor time.
    """

    read: int = 0
    refused: int = 0
    escaped: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0

    @property
    def tried(self) -> int:
        """How many files."""
        return self.read + self.refused + len(self.escaped)


def whole_files() -> list[bytes]:
    """Small sound files of every format and of several modes."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 4), dtype=np.uint8)
    rgba = Image.fromarray(pixels)
    rgb = rgba.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6

    def frames() -> dict:  # made anew for each: saving leaves its marks on them
        return {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}

    kinds: list[tuple[Image.Image, str, dict]] = [
        (rgb, "JPEG", {"exif": exif}),
        (rgb, "JPEG", {"progressive": True}),
        (rgba.convert("CMYK"), "JPEG", {}),
        (rgb, "MPO", frames()),
        (rgba, "PNG", {}),
        (rgb.quantize(16), "PNG", {}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (rgba, "WEBP", {"lossless": True}),
        (rgb, "WEBP", frames()),
        (rgb, "GIF", frames()),
        (rgb, "BMP", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF", {}),
        (rgb, "TIFF", frames()),
        (rgb, "AVIF", {}),
    ]
    if find_spec("pillow_heif") is not None:
        from pillow_heif import register_heif_opener

        register_heif_opener()
        kinds.append((rgb, "HEIF", {}))
    return [_encoded(*kind) for kind in kinds]


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mutation(number: int, files: list[bytes]) -> bytes:
    """The damaged file of that number: a sound one after one to four changes."""
    rng = random.Random(number)
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change: Callable[..., bytearray] = rng.choice((_flip, _cut, _overwrite, _repeat, _splice, _drop))
        data = change(data, rng, files) if data else data
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Headers are where it hurts: half of the changes fall into the first 200 bytes."""
    return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))


def _flip(data: bytearray, rng: random.Random, _: list[bytes]) -> bytearray:
    data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _cut(data: bytearray, rng: random.Random, _: list[bytes]) -> bytearray:
    return data[: _place(data, rng)]


def _overwrite(data: bytearray, rng: random.Random, _: list[bytes]) -> bytearray:
    place, value = _place(data, rng), rng.choice((*_INTERESTING, rng.randbytes(4)))
    data[place : place + len(value)] = value
    return data


def _repeat(data: bytearray, rng: random.Random, _: list[bytes]) -> bytearray:
    place = _place(data, rng)
    return data[:place] + data[place : place + rng.randint(1, 64)] * rng.randint(2, 40) + data[place:]


def _splice(data: bytearray, rng: random.Random, files: list[bytes]) -> bytearray:
    other = rng.choice(files)
    return data[: _place(data, rng)] + bytearray(other[rng.randrange(len(other)) :])


def _drop(data: bytearray, rng: random.Random, _: list[bytes]) -> bytearray:
    place = _place(data, rng)
    return data[:place] + data[place + rng.randint(1, 32) :]


def read_one(data: bytes) -> tuple[str, float]:
    """("read", "refused" or the error that escaped; processor milliseconds)."""
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        image = read_image(data)
        said = "read" if image.mode == "RGB" and min(image.size) > 0 else f"a picture of {image.mode}"
    except CirError:
        said = "refused"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return said, 1000 * (time.process_time() - begun)


def child(first: int, last: int) -> None:
    """Read the mutations of these numbers; one JSON line for each."""

    def hang(signum: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {CPU_SECONDS:g} s")

    signal.signal(signal.SIGVTALRM, hang)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    files = whole_files()
    for number in range(first, last):
        said, milliseconds = read_one(mutation(number, files))
        sys.stdout.write(json.dumps([number, said, milliseconds]) + "\n")
        sys.stdout.flush()


def campaign(count: int, *, first: int = 0) -> Outcome:
    """Read `count` mutations from number `first` on; when the reading process ends, the next one goes on."""
    outcome, number, last = Outcome(), first, first + count
    while number < last:
        ended, number = _read_from(number, last, outcome)
        if number < last:
            outcome.escaped.append(f"{number}: the process ended with {ended}")
            number += 1
    return outcome


def _read_from(first: int, last: int, outcome: Outcome) -> tuple[int, int]:
    """Run one process into `outcome`. Returns its exit status and the first number it has not answered."""
    command = [sys.executable, "-m", "soak.mutations", str(first), str(last)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    number, watchdog = first, Timer(SILENT_SECONDS, process.kill)
    watchdog.start()
    for line in process.stdout:
        watchdog.cancel()
        watchdog = Timer(SILENT_SECONDS, process.kill)
        watchdog.start()
        number, said, milliseconds = json.loads(line)
        _count(outcome, number, said, milliseconds)
        number += 1
    watchdog.cancel()
    return process.wait(), number


def _count(outcome: Outcome, number: int, said: str, milliseconds: float) -> None:
    outcome.slowest_ms = max(outcome.slowest_ms, milliseconds)
    if said in ("read", "refused"):
        setattr(outcome, said, getattr(outcome, said) + 1)
    else:
        outcome.escaped.append(f"{number}: {said}")


if __name__ == "__main__":
    child(int(sys.argv[1]), int(sys.argv[2]))
