"""What the Results tab shows: docs/results.md, its figures, and the papers' own tables."""

from __future__ import annotations

from cir.evaluation.papers import paper_tables
from cir.evaluation.results_file import read_sections
from cir.places import ROOT
from cir.ui.results.render import Results

DOCS = ROOT / "docs"


def read_results() -> Results:
    """Everything as it stands in the files now.

    Raises:
        CirError: one of them is damaged.
    """
    figures = {
        f"figures/{path.name}": path.read_text(encoding="utf-8").replace(
            ' xmlns="http://www.w3.org/2000/svg"', ""
        )
        for path in sorted((DOCS / "figures").glob("*.svg"))
    }
    return Results(read_sections(DOCS / "results.md"), paper_tables(), figures)
