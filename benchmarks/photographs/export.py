"""Writes the photographs that may be shipped into a folder, with a NOTICE of their licences: python -m benchmarks.photographs.export."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from benchmarks.photographs.fetch import fetch
from benchmarks.photographs.rows import Shippable, folder, shippables

LONG_SIDE = 512  # pixels
WORDS = 6  # of a caption, that make a file's name
HANGING = "of in on at by to from with and behind under"  # words that no name ends with


def file_name(row: Shippable) -> str:
    """A name that a person can read, from the caption."""
    said = [word for word in re.findall("[a-z]+", row.caption.lower()) if word not in ("a", "an", "the")]
    words = said[:WORDS]
    while words[-1] in HANGING.split():
        words.pop()
    return "-".join(words) + ".webp"


def notice(rows: tuple[Shippable, ...]) -> str:
    """Where each picture is from, by whom and under which licence, as its package says."""
    said = (
        f"{file_name(row)}\n  {row.licence}{f', {row.author}' if row.author else ''}\n"
        f"  from {row.package}, {row.member.rpartition('/')[2]}\n"
        for row in rows
    )
    return "\n".join(said)


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs.export", description=__doc__.splitlines()[0]
    )
    options.add_argument("out", type=Path, help="folder for the pictures")
    options.add_argument(
        "--long-side", type=int, default=LONG_SIDE, help="pixels; larger pictures are made smaller"
    )
    options.add_argument("--folder", type=Path, default=folder(), help="where fetched packages are kept")
    chosen = options.parse_args()
    rows = shippables()
    targets = {row: chosen.out / file_name(row) for row in rows}
    wrong = fetch(targets, chosen.folder / "packages", chosen.long_side)
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    written = tuple(row for row in rows if targets[row].is_file())
    (chosen.out / "NOTICE").write_text(notice(written), encoding="utf-8")
    captions = ({"file": file_name(row), "caption": row.caption} for row in written)
    lines = "".join(json.dumps(caption, ensure_ascii=False) + "\n" for caption in captions)
    (chosen.out / "captions.jsonl").write_text(lines, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
