"""What programs may call: `/search`, `/rank`, `/explain`, `/galleries` and `/methods`, fields in and JSON out.

Each call carries what it needs. A search is kept for a while under its `search_id`, by which `/rank` and `/explain`
speak of it; without one they mean the caller's last. No call touches what the page remembers of its visitors.
"""

from __future__ import annotations

from cir.ui.page import PageContent
from cir.ui.server.gradio_private import CheckedBlocks
from cir.ui.server.programs.answers import ExplainedResult, GalleryRow, MethodRow, SearchAnswer
from cir.ui.server.programs.documented import checked, offer
from cir.ui.server.programs.listing import galleries_with, methods_with
from cir.ui.server.programs.ranking import explain_with, rank_with
from cir.ui.server.programs.searches import Searches
from cir.ui.server.programs.searching import search_with


def serve_programs(content: PageContent, page: CheckedBlocks) -> None:
    """Offer the calls."""
    page.check = checked
    kept = Searches()
    offer(page, search_with(content, kept), SearchAnswer)
    offer(page, rank_with(content, kept), SearchAnswer)
    offer(page, explain_with(content, kept), ExplainedResult)
    offer(page, galleries_with(content), list[GalleryRow])
    offer(page, methods_with(content), list[MethodRow])
