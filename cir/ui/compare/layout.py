"""Where everything stands on the Compare tab. No event is wired here."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.compare import render
from cir.ui.compare.handlers import LEAST, MOST
from cir.ui.page import PageContent
from cir.ui.search.layout import picture_grid
from cir.ui.wiring import html_piece, small_button

KEYS = (
    ("arrows  Home  End  PgUp  PgDn", "from picture to picture, and from column to column"),
    ("Enter", "mark the picture as the one that was meant"),
)
FIRST_CHOICE = ("CVSI", "Pic2Word", "Sum")


class CompareParts:
    """The components of the tab: the query and the methods above, then the marked pictures, then the columns."""

    def __init__(self, content: PageContent) -> None:
        names = list(content.retriever.methods)
        known = [name for name in FIRST_CHOICE if name in names]
        first = [*known, *(name for name in names if name not in known)][: len(FIRST_CHOICE)]
        with gr.Column(elem_id="compare"):
            with gr.Row(elem_id="compared-query"):
                self.picture = gr.Image(
                    interactive=False,
                    show_label=False,
                    label="Reference image",
                    height=72,
                    width=72,
                    visible=False,
                    buttons=[],
                    container=False,
                    elem_id="compared-picture",
                )
                self.query = html_piece(render.query_line("", False))
            self.methods = gr.CheckboxGroup(
                pieces.method_choices(names),
                value=first,
                label=f"Methods, {LEAST} to {MOST}; the others are compared with the first",
                elem_id="compared-methods",
            )
            self.start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            html_piece('<p role="status" hidden></p>', elem_id="compare-waiting", elem_classes="wait-line")
            self.stage = html_piece("", elem_id="compare-stage")
            self.judged = html_piece("", elem_id="compare-judged")
            with gr.Row(visible=False, elem_id="compare-buttons") as self.buttons:
                self.use = small_button("Search with these weights", "compare-use")
                self.clear = small_button("Clear the marks", "compare-clear")
            self.columns = picture_grid("", elem_id="compare-columns")
            html_piece(pieces.keys(KEYS))

    @property
    def filled(self) -> list[Any]:
        """What a comparison fills in."""
        return [self.stage, self.judged, self.buttons, self.use, self.columns]
