"""Fetches the packages of the benchmark and unpacks its photographs, smaller: python -m benchmarks.photographs.fetch.

A picture whose bytes are not those that were looked at is refused, so that captions and pictures stay together.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.photographs.archives import members
from benchmarks.photographs.download import NotFetched, fetch_package, packages
from benchmarks.photographs.rows import Cutout, Photograph, Picture, cutouts, folder, photographs
from cir.images import read_image

LONG_SIDE = 640  # pixels


def place(root: Path, row: Photograph | Cutout) -> Path:
    """Where a picture of the benchmark lies."""
    kind = "cutouts-" if isinstance(row, Cutout) else ""
    return root / f"{kind}{row.half}" / f"{row.id}.jpg"


def fetch(targets: Mapping[Picture, Path], kept: Path, long_side: int = LONG_SIDE) -> list[str]:
    """Brings pictures to where they belong, unless they lie there.

    Args:
        targets: picture -> its file.
        kept: where packages are kept.
        long_side: in pixels; a larger picture is made smaller.

    Returns:
        What went wrong, a line each.
    """
    wrong = []
    for key, package in packages().items():
        missing = {row: path for row, path in targets.items() if row.package == key and not path.is_file()}
        if not missing:
            continue
        sys.stderr.write(f"{key}: {len(missing)} pictures\n")
        try:
            wrong += unpack(fetch_package(package, kept), missing, long_side)
        except (NotFetched, OSError, ValueError) as error:
            wrong.append(f"{key}: {error}")
    return wrong


def unpack(package: Path, targets: Mapping[Picture, Path], long_side: int = LONG_SIDE) -> list[str]:
    """Writes the pictures of one package.

    Returns:
        What went wrong, a line each: pictures that the package lacks, or has with other bytes.
    """
    wanted = {row.member: row for row in targets}
    opened = {member.partition("!")[0] for member in wanted}
    wrong = []
    for member, data in members(package, lambda path: path in wanted or path in opened):
        row = wanted.pop(member)
        if hashlib.sha256(data).hexdigest() == row.sha256:
            write_smaller(data, targets[row], long_side)
        else:
            wrong.append(f"{row.package} {member}: other bytes than those that were looked at")
    return wrong + [f"{row.package} {member}: not in the package" for member, row in wanted.items()]


def write_smaller(data: bytes, target: Path, long_side: int) -> None:
    """A picture as an upright JPEG of at most `long_side` pixels."""
    picture = read_image(data)
    picture.thumbnail((long_side, long_side))
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, quality=90)


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs.fetch", description=__doc__.splitlines()[0]
    )
    options.add_argument("--folder", type=Path, default=folder(), help="where the pictures go")
    root = options.parse_args().folder
    wrong = fetch({row: place(root, row) for row in (*photographs(), *cutouts())}, root / "packages")
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
