"""The whole program over a million pictures: `python benchmarks/scale.py --images 1000000`.

A gallery is made up of the sample gallery's features with noise, captions and days, no files; it is searched as any other.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cir.files import WalkedFile
from cir.gallery.cache import open_cache, write_thumbnail
from cir.gallery.gallery import GONE_TILE
from cir.gallery.manifest import Manifest, read_manifest, write_manifest
from cir.gallery.opening import open_gallery
from cir.places import SAMPLE_GALLERY

ROOT = Path(__file__).resolve().parents[1]
NAME = "scale"
BATCH = 65_536


def make_gallery(cache: Path, images: int) -> None:
    """Write a gallery of that many images below `cache`."""
    models = read_manifest(SAMPLE_GALLERY).models
    sample = open_gallery(SAMPLE_GALLERY, cache_root=cache, image_encoder_fingerprint=models.image_encoder)
    image, captions = np.asarray(sample.image_features), np.asarray(sample.caption_features)
    rng, dim = np.random.default_rng(0), image.shape[1]
    with open_cache(cache / NAME, NAME) as made:
        for start in range(0, images, BATCH):
            numbers = range(start, min(start + BATCH, images))
            like = rng.integers(0, len(image), len(numbers))
            noise = (0.5 / dim**0.5) * rng.standard_normal((2, len(numbers), dim), np.float32)
            hashes = [f"{number:064x}" for number in numbers]
            files = [
                (
                    WalkedFile(
                        f"{2005 + n % 20}/{n // 500:04}/IMG_{2005 + n % 20}{1 + n % 12:02}{1 + n % 28:02}_{n:07}.jpg".encode(),
                        1,
                        1,
                    ),
                    h,
                )
                for n, h in zip(numbers, hashes, strict=True)
            ]
            made.store_images(models.image_key, hashes, (image[like] + noise[0]).astype(np.float32), files)
            texts = {h: sample.captions(sample.image_ids[i])[:2] for h, i in zip(hashes, like, strict=True)}
            made.store_captions(models, texts, hashes, (captions[like] + 0.8 * noise[1]).astype(np.float32))
    write_thumbnail(cache / NAME, GONE_TILE, sample.thumbnail_path(sample.image_ids[0]).read_bytes())
    write_manifest(cache / NAME, Manifest(NAME, "/nowhere", models, images, images, dim))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, default=1_000_000)
    options.add_argument(
        "--cache", type=Path, required=True, help="where the gallery is made; it stays there"
    )
    chosen = options.parse_args()
    began = time.perf_counter()
    if not (chosen.cache / NAME).exists():
        make_gallery(chosen.cache, chosen.images)
    print("made", time.perf_counter() - began)


if __name__ == "__main__":
    main()
