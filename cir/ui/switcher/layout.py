"""Where everything stands in the line over the query. No event is wired here."""

from __future__ import annotations

import gradio as gr

from cir.gallery import narrowing
from cir.ui.page import Switcher, html_piece


def lay_out_switcher(head: gr.HTML) -> Switcher:
    """One line, of which nothing is seen while there is one gallery that cannot be narrowed."""
    with gr.Row(elem_id="switcher"):
        choice = gr.Dropdown([], label="Gallery", visible=False, min_width=200, elem_id="gallery-choice")
        with gr.Accordion("Only in …", open=False, visible=False, elem_id="only-in") as fold:
            with gr.Row():
                folder = gr.Dropdown(
                    [(narrowing.EVERYWHERE, narrowing.EVERYWHERE_CHOICE)],
                    value=narrowing.EVERYWHERE_CHOICE,
                    label="Folder",
                    min_width=160,
                    elem_id="only-folder",
                )
                since = _day("From", "2024, 2024-05 or 2024-05-17", "only-since")
                until = _day("To", "empty for no end", "only-until")
            undated = gr.Checkbox(
                False, label="Also pictures of an unknown day", visible=False, elem_id="only-undated"
            )
        notes = html_piece("", elem_id="gallery-notes")
    return Switcher(head, choice, notes, fold, folder, since, until, undated)


def _day(label: str, placeholder: str, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label=label, placeholder=placeholder, max_length=40, max_lines=1, min_width=120, elem_id=elem_id
    )
