"""The tab "Galleries": make galleries of one's own pictures, keep them up to date; and the switcher in Search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cir.ui.page import PageContent, PageParts


def lay_out(content: PageContent, page: PageParts) -> None:
    """Lay the tab out and wire it; the handlers beside this module are of use without gradio as well."""
    from cir.ui.galleries.layout import lay_out_tab

    lay_out_tab(content, page)
