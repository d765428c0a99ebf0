"""Fetches the packages of the benchmark and unpacks its photographs, smaller: python -m benchmarks.photographs.fetch.

A picture whose bytes are not those that were looked at is refused, so that captions and pictures stay together.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.photographs.archives import members
from benchmarks.photographs.download import NotFetched, fetch_package, packages
from benchmarks.photographs.rows import Cutout, Photograph, cutouts, folder, photographs
from cir.images import read_image

LONG_SIDE = 640  # pixels


def place(root: Path, row: Photograph | Cutout) -> Path:
    """Where a picture of the benchmark lies."""
    kind = "cutouts-" if isinstance(row, Cutout) else ""
    return root / f"{kind}{row.half}" / f"{row.id}.jpg"


def unpack(package: Path, rows: Iterable[Photograph | Cutout], root: Path) -> list[str]:
    """Writes the pictures of one package.

    Returns:
        What went wrong, a line each: pictures that the package lacks, or has with other bytes.
    """
    wanted = {row.member: row for row in rows}
    opened = {member.partition("!")[0] for member in wanted}
    wrong = []
    for member, data in members(package, lambda path: path in wanted or path in opened):
        row = wanted.pop(member)
        if hashlib.sha256(data).hexdigest() == row.sha256:
            write_smaller(data, place(root, row))
        else:
            wrong.append(f"{row.package} {member}: other bytes than those that were looked at")
    return wrong + [f"{row.package} {member}: not in the package" for member, row in wanted.items()]


def write_smaller(data: bytes, target: Path, long_side: int = LONG_SIDE) -> None:
    """A picture as an upright JPEG of at most `long_side` pixels."""
    picture = read_image(data)
    picture.thumbnail((long_side, long_side))
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, quality=90)


def fetch(root: Path) -> list[str]:
    """Brings every picture that does not lie in `root` yet; returns what went wrong, a line each."""
    missing = [row for row in (*photographs(), *cutouts()) if not place(root, row).is_file()]
    wrong = []
    for key, package in packages().items():
        rows = [row for row in missing if row.package == key]
        if not rows:
            continue
        sys.stderr.write(f"{key}: {len(rows)} pictures\n")
        try:
            wrong += unpack(fetch_package(package, root / "packages"), rows, root)
        except (NotFetched, OSError, ValueError) as error:
            wrong.append(f"{key}: {error}")
    return wrong


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", type=Path, default=folder(), help="where the pictures go")
    wrong = fetch(options.parse_args().folder)
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
