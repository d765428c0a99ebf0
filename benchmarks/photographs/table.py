"""The figures of one half as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.photographs.measure import FEWER

HEAD = (
    f"| asked by | method | n | R@1 | 95 % | R@5 | 95 % | R@1, R@5 among {FEWER} |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
SECTIONS = ("captions", "short queries", "photograph and edit")


def as_table(found: Mapping[str, Any]) -> str:
    """A title that says which half of which photographs, and a row for each question and method."""
    at_the_end = " (for the end: nothing is chosen by it)" if found["half"] == "untouched" else ""
    title = (
        f"Half `{found['half']}`{at_the_end}, {found['photographs']} photographs, set `{found['set']}`\n\n"
    )
    return title + HEAD + "".join(_rows(found))


def _rows(found: Mapping[str, Any]) -> Iterator[str]:
    for section in SECTIONS:
        for method, row in found[section].items():
            yield _row(section, method, row)
    yield _row("naming of cut-outs", "", found["naming"])


def _row(section: str, method: str, row: Mapping[str, Any]) -> str:
    if "cannot" in row:
        return f"| {section} | {method} | {row['cannot']} | | | | | |\n"
    cells = [f"{row[name]} | {_range(row[f'{name} interval'])}" for name in ("R@1", "R@5")]
    among = [str(row[name]) for name in (f"R@1 among {FEWER}", f"R@5 among {FEWER}") if name in row]
    return f"| {section} | {method} | {row['n']} | {' | '.join([*cells, ', '.join(among)])} |\n"


def _range(bounds: list[float]) -> str:
    return f"{bounds[0]} to {bounds[1]}"
