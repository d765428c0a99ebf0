"""Where everything stands on the Results tab. It has no events: it shows what stood in the files when the page was built."""

from __future__ import annotations

import logging

import gradio as gr

from cir.errors import CirError
from cir.ui import render
from cir.ui.handlers import describe_problem
from cir.ui.layout import PageContent, PageParts, html_piece
from cir.ui.results.pieces import (
    MEASURED,
    NOTHING,
    PRINTED,
    MeasuredSection,
    PrintedTable,
    Results,
    how_measured,
    split_figures,
)


def lay_out(content: PageContent, page: PageParts) -> None:
    """Every measured section, each with the papers' tables of the same form in a fold under it."""
    with gr.Column(elem_id="results-tab"):
        try:
            results = content.results() if content.results else Results()
        except CirError as error:
            logging.getLogger(__name__).warning("The results cannot be shown: %s", error)
            html_piece(render.problem_card(describe_problem(error)))
            return
        html_piece(f'<p class="legend"><b class="here">{MEASURED}</b><b class="there">{PRINTED}</b></p>')
        if not results.sections:
            _table(NOTHING)
        for section in results.sections:
            _lay_out_section(section, results)
        if results.alone:
            _lay_out_printed("More tables of the papers", results.alone)


def _lay_out_section(section: MeasuredSection, results: Results) -> None:
    with gr.Column(elem_classes="measured"):
        html_piece('<p class="origin">Measured here</p>')
        for kind, text in split_figures(section.markdown, results.figures):
            if kind == "figure":
                html_piece(f'<div class="figure">{text}</div>')
            else:
                _table(text)
        html_piece(how_measured(section.manifest), visible=bool(section.manifest))
        if printed := results.beside(section):
            _lay_out_printed("As printed in " + ", ".join(table.name for table in printed), printed)


def _lay_out_printed(title: str, tables: list[PrintedTable]) -> None:
    with gr.Accordion(title, open=False, elem_classes="printed"):
        html_piece('<p class="origin">As printed, other images</p>')
        for table in tables:
            _table(table.markdown)
            html_piece(f'<p class="source">Source: {render.escape(table.source)}</p>')


def _table(markdown: str) -> None:
    gr.Markdown(markdown, container=False, elem_classes="result-table")
