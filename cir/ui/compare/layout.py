"""Where everything stands on the Compare tab. No event is wired here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.compare import render
from cir.ui.compare.handlers import LEAST, MOST
from cir.ui.page import PageContent, html_piece
from cir.ui.search.layout import picture_grid

KEYS = (
    ("arrows  Home  End  PgUp  PgDn", "from picture to picture, and from column to column"),
    ("Enter", "mark the picture as the one that was meant"),
)
FIRST_CHOICE = ("CVSI", "Pic2Word", "Sum")


@dataclass(frozen=True, slots=True)
class CompareParts:
    """The components of the tab."""

    query: gr.HTML
    picture: gr.Image
    methods: gr.CheckboxGroup
    start: gr.Button
    stage: gr.HTML
    columns: gr.HTML
    judged: gr.HTML
    buttons: gr.Row
    use: gr.Button
    clear: gr.Button

    @property
    def filled(self) -> list[Any]:
        """What a comparison fills in."""
        return [self.stage, self.judged, self.buttons, self.columns]


def lay_out_compare(content: PageContent) -> CompareParts:
    """The query and the methods above, then the marked pictures, then the columns."""
    names = list(content.retriever.methods)
    known = [name for name in FIRST_CHOICE if name in names]
    first = [*known, *(name for name in names if name not in known)][: len(FIRST_CHOICE)]
    with gr.Column(elem_id="compare"):
        with gr.Row(elem_id="compared-query"):
            picture = gr.Image(
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
            query = html_piece(render.query_line("", False))
        methods = gr.CheckboxGroup(
            pieces.method_choices(names),
            value=first,
            label=f"Methods, {LEAST} to {MOST}; the others are compared with the first",
            elem_id="compared-methods",
        )
        start = gr.Button("Compare", variant="primary", elem_id="compare-start")
        html_piece('<p role="status" hidden></p>', elem_id="compare-waiting", elem_classes="wait-line")
        stage = html_piece("", elem_id="compare-stage")
        judged = html_piece("", elem_id="compare-judged")
        with gr.Row(visible=False, elem_id="compare-buttons") as buttons:
            use = gr.Button("Search with these weights", size="sm", min_width=0, elem_id="compare-use")
            clear = gr.Button("Clear the marks", size="sm", min_width=0, elem_id="compare-clear")
        columns = picture_grid("", elem_id="compare-columns")
        html_piece(pieces.keys(KEYS))
    return CompareParts(query, picture, methods, start, stage, columns, judged, buttons, use, clear)
