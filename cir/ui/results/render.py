"""Measured and printed tables -> the HTML of the Results tab. Knows neither gradio nor files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from cir.ui.pieces import escape

if TYPE_CHECKING:
    from cir.evaluation.papers import PaperTable
    from cir.evaluation.results_file import Section

MEASURED = "Measured here: on the illustrated world where nothing else is said"
PRINTED = "As printed in the papers, on CIRR, CIRCO and FashionIQ: other images, larger models"
NEWER = "What newer papers print, of methods that are not those of the two"
NOTHING = "Nothing is measured yet. To measure the first table: `python -m cir tables methods`"
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_FIGURE = re.compile(r"^!\[(?P<said>[^\]]*)\]\((?P<name>[\w./-]+)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Results:
    """All that the tab shows.

    Attributes:
        sections: measured here.
        tables: printed in the papers.
        figures: name as in the markdown, such as "figures/gamma.svg" -> SVG of our own making.
    """

    sections: Sequence[Section] = ()
    tables: Sequence[PaperTable] = ()
    figures: Mapping[str, str] = field(default_factory=dict)

    def beside(self, section: Section) -> list[PaperTable]:
        """The papers' tables of the same form."""
        return [table for table in self.tables if section.name in table.beside]

    @property
    def alone(self) -> list[PaperTable]:
        """The papers' tables that no section stands beside."""
        names = {section.name for section in self.sections}
        return [table for table in self.tables if not names & set(table.beside)]


def results_page(results: Results) -> str:
    """The whole tab."""
    sections = "".join(_section(section, results) for section in results.sections)
    alone = _printed("More tables of the papers", results.alone) if results.alone else ""
    page = (
        f'<p class="legend"><b class="here">{MEASURED}</b><b class="there">{PRINTED}</b></p>'
        f"{sections or _words(NOTHING)}{alone}"
    )
    return page.replace("$", "&#36;")  # gradio would read it as the start of a name


def _section(section: Section, results: Results) -> str:
    said = "".join(
        f'<div class="figure">{text}</div>' if kind == "figure" else _words(text)
        for kind, text in split_figures(section.markdown, results.figures)
    )
    beside = results.beside(section)
    own, newer = ([table for table in beside if table.newer is one] for one in (False, True))
    title = "As printed in " + ", ".join(table.name for table in own)
    printed = (_printed(title, own) if own else "") + (_printed(NEWER, newer) if newer else "")
    how = how_measured(section.manifest)
    return f'<section class="measured"><p class="origin">Measured here</p>{said}{how}{printed}</section>'


def _printed(title: str, tables: Sequence[PaperTable]) -> str:
    shown = "".join(
        f'{_words(table.markdown)}<p class="source">Source: {escape(table.source)}</p>' for table in tables
    )
    origin = '<p class="origin">As printed, other images</p>'
    return f'<details class="printed"><summary>{escape(title)}</summary>{origin}{shown}</details>'


def _words(markdown: str) -> str:
    return f'<div class="words">{_MARKDOWN.render(markdown)}</div>'


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
