"""How long it takes to bring a gallery up to date when nothing has changed: `python benchmarks/rescan.py`.

The encoder is a toy, because none of the files is opened, let alone encoded: that is what is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cir.gallery.indexing import index_folder


class Corners:
    """Four by four pixels as features."""

    dim, fingerprint = 48, "corners"

    def __init__(self) -> None:
        self.encoded = 0

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, 48) floats, never zero."""
        self.encoded += len(images)
        return np.stack([np.asarray(image.resize((4, 4)), np.float32).ravel() + 1.0 for image in images])


def main() -> int:
    """Print the times of the first and of three later runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory(prefix="rescan-") as place:
        photos, cache = Path(place, "photos"), Path(place, "cache")
        rng = np.random.default_rng(0)
        for number in range(count):
            path = photos / f"{number // 500:03}" / f"{number:06}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
        for run in range(4):
            encoder, began = Corners(), time.perf_counter()
            for _ in index_folder(
                photos,
                name="rescan",
                image_encoder=encoder,
                cache_root=cache,
                batch_size=256,
                thumbnails=False,
            ):
                pass
            seconds = time.perf_counter() - began
            name = "first run" if run == 0 else "nothing changed"
            sys.stdout.write(f"{name}: {count:,} files, {encoder.encoded:,} encoded, {seconds:.2f} s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
