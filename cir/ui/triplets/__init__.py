"""The tab that shows synthetic triplets, how they came about, and lets a person judge them.

`cards` says what is shown; `handlers` do what is done; `render`, `funnel` and `group` write the HTML; `layout` and
`events` are the only ones that know gradio, and are loaded with the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cir.ui.page import PageContent
    from cir.ui.parts import PageParts


def lay_out(content: PageContent, page: PageParts) -> None:
    """Lay the tab out and wire it."""
    from cir.ui.triplets import events

    events.lay_out(content, page)
