"""Measured and printed tables -> pieces that the page shows one after another. Knows neither gradio nor files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cir.ui.render import escape

MEASURED = "Measured here: on the illustrated world where nothing else is said"
PRINTED = "As printed in the papers, on CIRR, CIRCO and FashionIQ: other images, larger models"
NOTHING = "Nothing is measured yet. To measure the first table: `python -m cir tables methods`"
_FIGURE = re.compile(r"^!\[(?P<said>[^\]]*)\]\((?P<name>[\w./-]+)\)$", re.MULTILINE)


class MeasuredSection(Protocol):
    """One section of docs/results.md."""

    @property
    def name(self) -> str:
        """Of its markers."""
        ...

    @property
    def title(self) -> str:
        """Its heading."""
        ...

    @property
    def markdown(self) -> str:
        """Heading, table, sentences, figures."""
        ...

    @property
    def manifest(self) -> Mapping[str, object]:
        """How it was measured."""
        ...


class PrintedTable(Protocol):
    """One table of a paper."""

    @property
    def name(self) -> str:
        """Paper and number."""
        ...

    @property
    def beside(self) -> Sequence[str]:
        """Names of the sections that have the same form."""
        ...

    @property
    def markdown(self) -> str:
        """The table as printed, with what it was measured on."""
        ...

    @property
    def source(self) -> str:
        """The paper's title."""
        ...


@dataclass(frozen=True, slots=True)
class Results:
    """All that the tab shows.

    Attributes:
        sections: measured here.
        tables: printed in the papers.
        figures: name as in the markdown, such as "figures/gamma.svg" -> SVG of our own making.
    """

    sections: Sequence[MeasuredSection] = ()
    tables: Sequence[PrintedTable] = ()
    figures: Mapping[str, str] = field(default_factory=dict)

    def beside(self, section: MeasuredSection) -> list[PrintedTable]:
        """The papers' tables of the same form."""
        return [table for table in self.tables if section.name in table.beside]

    @property
    def alone(self) -> list[PrintedTable]:
        """The papers' tables that no section stands beside."""
        names = {section.name for section in self.sections}
        return [table for table in self.tables if not names & set(table.beside)]


def split_figures(markdown: str, figures: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """("markdown", text) and ("figure", svg) in their order; a figure that is not there is left as its description."""
    start = 0
    for found in _FIGURE.finditer(markdown):
        if before := markdown[start : found.start()].strip():
            yield "markdown", before
        drawn = figures.get(found["name"])
        yield ("figure", drawn) if drawn else ("markdown", f"*{found['said']}*")
        start = found.end()
    if rest := markdown[start:].strip():
        yield "markdown", rest


def how_measured(manifest: Mapping[str, object]) -> str:
    """The manifest in a fold, its date in sight."""
    if not manifest:
        return ""
    said = escape(json.dumps(manifest, indent=2, ensure_ascii=False))
    date = escape(manifest.get("date", ""))
    return f'<details class="how"><summary>Measured {date}: how</summary><pre>{said}</pre></details>'
