"""What programs may call: `/search`, `/rank`, `/explain`, `/galleries` and `/methods`, fields in and JSON out.

Each call carries what it needs. A search is kept for a while under its `search_id`, by which `/rank` and `/explain`
speak of it; without one they mean the caller's last. No call touches what the page remembers of its visitors.
"""

from __future__ import annotations

from cir.ui.page import PageContent
from cir.ui.server.gradio_private import CheckedBlocks
from cir.ui.server.programs.calls import calls
from cir.ui.server.programs.kept import KeptSearches
from cir.ui.server.programs.offering import checked, offer


def serve_programs(content: PageContent, page: CheckedBlocks) -> None:
    """Offer the calls."""
    page.check = checked
    for call in calls(content, KeptSearches()):
        offer(page, call)
