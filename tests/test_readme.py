"""What README says of measured numbers is what the tables say that it points to."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
INTERVAL = re.compile(r"\s*\[[^]]*\]")


def rows(text: str) -> dict[str, dict[str, str]]:
    """The first table of a text that has R@1: method -> column -> number, without intervals and emphasis."""
    lines = text.split("| method | R@1 |", 1)[1].split("\n\n", 1)[0].splitlines()
    columns = ["R@1", *(cell.strip() for cell in lines[0].strip(" |").split("|"))]
    found = {}
    for line in lines[2:]:
        name, *cells = (cell.strip(" *") for cell in line.strip("|").split("|"))
        plain = (INTERVAL.sub("", cell).replace(",", "") for cell in cells)
        found[re.split(r"\*\*|, all real|, 4 words|:", name)[0].strip()] = dict(
            zip(columns, plain, strict=True)
        )
    return found


def test_the_recalls_in_readme_are_those_of_the_table_of_all_methods():
    readme = rows((ROOT / "README.md").read_text(encoding="utf-8"))
    table = rows((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    assert len(readme) > 10
    said = {name: {column: table[name][column] for column in columns} for name, columns in readme.items()}
    assert readme == said
