"""Where everything stands on the Results tab: one piece, written when the tab is opened first."""

from __future__ import annotations

import logging

from cir.errors import CirError
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.results.render import Results, results_page
from cir.ui.wiring import QUIET, html_piece, problem_html


def lay_out(content: PageContent, page: PageParts) -> None:
    """Every measured section, each with the papers' tables of the same form in a fold under it."""

    def read() -> str:
        try:
            return results_page(content.results() if content.results else Results())
        except CirError as error:
            logging.getLogger(__name__).warning("The results cannot be shown: %s", error)
            return problem_html(error)

    shown = html_piece("", elem_id="results-tab")
    page.tab.select(read, None, [shown], **QUIET)
