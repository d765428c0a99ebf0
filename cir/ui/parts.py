"""What a tab may reach of the page."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from cir.ui.search.layout import QueryFields, ResultArea
from cir.ui.switcher.layout import Switcher


@dataclass(frozen=True, slots=True)
class PageParts:
    """What a tab may reach: itself, to know when it is opened; the query; the way to another tab."""

    tab: gr.Tab
    tabs: gr.Tabs
    session: gr.State
    ask: QueryFields
    shown: ResultArea
    switcher: Switcher
