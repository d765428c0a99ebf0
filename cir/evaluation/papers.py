"""The papers' own numbers, as printed: typed into assets/papers, shown beside what is measured here, never mixed with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cir.errors import CirError
from cir.places import ASSETS

FOLDER = ASSETS / "papers"


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One printed table.

    Attributes:
        name: "CVSI, Table I".
        caption: what it shows.
        measured_on: the data set and its split.
        beside: sections of docs/results.md that have the same form.
        columns, rows: as printed; figures are texts, so that no digit is lost.
        source: the paper's title.
        newer: whether it is of neither of the two papers that are implemented, but came after them.
    """

    name: str
    caption: str
    measured_on: str
    beside: tuple[str, ...]
    columns: list[str]
    rows: list[list[str]]
    source: str
    newer: bool = False

    @property
    def markdown(self) -> str:
        """The table with its name, its source and what it was measured on."""
        lines = [" | ".join(row) for row in (self.columns, ["---"] * len(self.columns), *self.rows)]
        table = "\n".join(f"| {line} |" for line in lines)
        return f"### {self.name}: {self.caption}\n\nMeasured by its authors on {self.measured_on}.\n\n{table}"


def paper_tables(folder: Path = FOLDER) -> list[PaperTable]:
    """All printed tables, paper by paper.

    Raises:
        CirError: a file that is damaged, or a row with another number of cells than there are columns.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            paper = json.loads(path.read_text(encoding="utf-8"))
            found += [_table(row, paper["paper"]) for row in paper["tables"]]
        except (ValueError, KeyError, TypeError) as error:
            raise CirError(
                f"{path.name} cannot be read: {error!r}.", "Restore assets/papers from the repository."
            ) from error
    return found


def _table(row: dict, paper: dict) -> PaperTable:
    columns, rows = list(row["columns"]), [list(cells) for cells in row["rows"]]
    if any(len(cells) != len(columns) for cells in rows):
        raise ValueError(f"{row['name']} has a row that does not fit its columns")
    name = f"{paper['short']}, {row['name']}"
    return PaperTable(
        name,
        row["caption"],
        row["measured_on"],
        tuple(row["beside"]),
        columns,
        rows,
        paper["title"],
        bool(paper.get("newer")),
    )
