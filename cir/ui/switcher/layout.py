"""Where everything stands in the line over the query. No event is wired here."""

from __future__ import annotations

import gradio as gr

from cir.gallery import narrowing
from cir.ui.wiring import html_piece


class Switcher:
    """The line over the query: which gallery is searched, and where in it.

    Nothing of it is seen while there is one gallery that cannot be narrowed.

    Args:
        head: the page's head, which names the gallery too.
    """

    def __init__(self, head: gr.HTML) -> None:
        self.head = head
        with gr.Row(elem_id="switcher"):
            self.choice = gr.Dropdown(
                [], label="Gallery", visible=False, min_width=200, elem_id="gallery-choice"
            )
            with gr.Accordion("Only in …", open=False, visible=False, elem_id="only-in") as self.fold:
                with gr.Row():
                    self.folder = gr.Dropdown(
                        [(narrowing.EVERYWHERE, narrowing.EVERYWHERE_CHOICE)],
                        value=narrowing.EVERYWHERE_CHOICE,
                        label="Folder",
                        min_width=160,
                        elem_id="only-folder",
                    )
                    self.since = _day("From", "2024, 2024-05 or 2024-05-17", "only-since")
                    self.until = _day("To", "empty for no end", "only-until")
                self.undated = gr.Checkbox(
                    False, label="Also pictures of an unknown day", visible=False, elem_id="only-undated"
                )
            self.notes = html_piece("", elem_id="gallery-notes")


def _day(label: str, placeholder: str, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label=label, placeholder=placeholder, max_length=40, max_lines=1, min_width=120, elem_id=elem_id
    )
