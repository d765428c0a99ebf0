"""The tab "Galleries": make galleries of one's own pictures, and keep them up to date.

`screen` says what is shown; `handlers` do what is done; `status` has the words for how a gallery stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cir.ui.page import PageContent
    from cir.ui.parts import PageParts


def lay_out(content: PageContent, page: PageParts) -> None:
    """Lay the tab out and wire it; the handlers beside this module are of use without gradio as well."""
    from cir.ui.galleries import events

    events.lay_out(content, page)
