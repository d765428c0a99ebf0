"""Where everything stands on the page: the query left, pictures right. No event is wired here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from cir.composers.parameters import Parameter, numbers_of, own_values
from cir.ui import pieces
from cir.ui.page import PageContent
from cir.ui.reading import MAX_RESULTS
from cir.ui.search import examples, render
from cir.ui.server.middleware import MAX_FILE_BYTES
from cir.ui.session import Settings
from cir.ui.wiring import html_piece

# What the page's script asks for, each an event of the component `bridge`: an act on the Search tab in its turn, or out
# of order; fields to be set; another order; a search that the page remembers; then the acts of other tabs.
EVENTS = ("submit", "view", "fill", "move", "restore", "mark")


class QueryFields:
    """The left column, from the picture to the weights: the query and its numbers.

    Attributes:
        sliders: parameter -> its slider; those that the chosen method does not have are not to be seen.
    """

    def __init__(self, content: PageContent) -> None:
        with gr.Column(elem_id="ask", min_width=280):
            self.image = gr.Image(
                label="Reference image",
                sources=["upload", "clipboard"],
                type="filepath",
                image_mode=None,
                height=196,
                buttons=[],
                placeholder="Drop a picture here\nor click to choose one",
                elem_id="reference",
            )
            html_piece(render.reference_problem(MAX_FILE_BYTES), elem_id="reference-problem")
            html_piece(render.pick())
            self.text = gr.Textbox(
                label="What should be different?",
                placeholder="at night, with two of them …",
                lines=1,
                max_lines=3,
                elem_id="edit",
            )
            html_piece('<p role="status" hidden></p>', elem_id="edit-length")
            self.search = gr.Button("Search", variant="primary", elem_id="search")
            html_piece(render.skip(), elem_id="skip")
            self.filled = gr.Button("Search what was filled in", elem_id="search-filled", visible="hidden")
            self._lay_out_weights(content)

    def _lay_out_weights(self, content: PageContent) -> None:
        """One bar of shares, a slider for each number of any method, presets; then method and number of results."""
        composers = content.retriever.composers
        methods = list(composers)
        own = composers[methods[0]].parameters
        start = own_values(own, next(iter(content.presets.values()), {}))
        known = numbers_of(composer.parameters for composer in composers.values())
        with gr.Accordion("Weights", open=False, elem_id="weights") as self.weights_fold:
            self.shares = html_piece(pieces.share_bar(own, start), elem_id="share-bar")
            self.sliders = {
                p.name: _slider(p, start.get(p.name, p.default), p.name in start) for p in known.values()
            }
            self.presets = html_piece(render.presets(content.presets, own), elem_id="presets")
            with gr.Row(elem_id="more"):
                self.method = gr.Dropdown(
                    pieces.method_choices(methods),
                    value=methods[0],
                    label="Method",
                    min_width=96,
                    elem_id="method",
                )
                self.top_k = gr.Slider(
                    1,
                    MAX_RESULTS,
                    value=Settings().top_k,
                    step=1,
                    label="Results",
                    buttons=[],
                    min_width=140,
                    elem_id="top-k",
                )
            self.leave_out = gr.Checkbox(
                True, label="Leave out the reference", visible=False, elem_id="leave-out"
            )
            self.meanings = html_piece(pieces.meanings(own), elem_id="meanings")

    @property
    def settings(self) -> list[gr.components.Component]:
        """The sliders, and what else `read_settings` reads, in order."""
        return [*self.sliders.values(), self.top_k, self.leave_out]

    @property
    def numbers(self) -> list[gr.components.Component]:
        """What another method changes."""
        return [*self.sliders.values(), self.shares, self.presets, self.meanings]

    def split(self, values: Sequence[object]) -> tuple[dict[str, object], Sequence[object]]:
        """What `settings` sent, and what came after it -> (parameter -> number, the rest)."""
        return dict(zip(self.sliders, values, strict=False)), values[len(self.sliders) :]


def _slider(parameter: Parameter, value: float, visible: bool) -> gr.Slider:
    return gr.Slider(
        parameter.low,
        parameter.high,
        value=value,
        step=0.01,
        label=pieces.slider_label(parameter),
        buttons=[],
        visible=visible,
        elem_id=parameter.name,
        elem_classes=["weight", parameter.part] if parameter.part else "weight",
    )


class ResultArea:
    """The right column: stage line, results with the inspector, or the gallery to pick from.

    Args:
        content: what the page is about.
        pictures: those to pick from at first (`cir.ui.grids`).
    """

    def __init__(self, content: PageContent, pictures: str) -> None:
        with gr.Column(elem_id="answer", min_width=280):
            tried = examples.chips(content.examples, content.retriever.gallery)
            self.examples = html_piece(tried, visible=bool(tried), elem_id="examples")
            html_piece('<p role="status" hidden></p>', elem_id="waiting", elem_classes="wait-line")
            self.stage = html_piece("", elem_id="stage")
            with gr.Column(visible=False, elem_id="results-box") as self.results_box:
                self.crumbs = html_piece("", elem_id="crumbs")
                self.notes = html_piece("", elem_id="notes")
                self.trace = html_piece("", elem_id="trace")
                self._lay_out_keeping()
                self.results = picture_grid("", elem_id="results")
            with gr.Column(visible=False, elem_id="inspector") as self.inspector:
                self.card = html_piece("", elem_id="card")
            with gr.Column(elem_id="browse-box") as self.browse_box:
                self.browse_bar = html_piece(render.browse_bar(), elem_id="browse-bar")
                self.grid = picture_grid(pictures, elem_id="browse-grid")
        self._lay_out_bridges()

    def _lay_out_keeping(self) -> None:
        """A closed fold: which results are shown, what can be taken away, and the keys."""
        with gr.Accordion("Show, keep, share", open=False, elem_id="keep"):
            with gr.Row(elem_id="keep-shown"):
                self.at_least = gr.Slider(
                    0,
                    1,
                    value=0,
                    step=0.01,
                    label="Hide scores below",
                    buttons=[],
                    min_width=180,
                    elem_id="at-least",
                )
                self.fold = gr.Checkbox(
                    True, label="Fold near-identical pictures", min_width=180, elem_id="fold"
                )
            html_piece(render.keeping(pieces.keys(render.KEYS)), elem_id="keep-buttons")

    def _lay_out_bridges(self) -> None:
        """Pieces without any looks, between the page's script and gradio: for what is done, and what is shown.

        The bridge says what was done, as it is always there, while what was clicked may be drawn anew before its turn
        comes: EVENTS. The others are read by the script when they change.
        """
        script = f"recompose.bridge = trigger; // {EVENTS}"
        self.bridge = html_piece("", js_on_load=script, elem_id="bridge", elem_classes="unseen")
        self.parcel, self.snapshot = _heard("parcel", "take"), _heard("snapshot", "shows")
        self.turn = _heard("turn", "answered")


def _heard(name: str, hears: str) -> gr.HTML:
    return html_piece(
        "",
        html_template="<i></i>",
        js_on_load=f"watch('value', () => recompose.{hears}(props.value))",
        elem_id=name,
        elem_classes="unseen",
    )


def picture_grid(pictures: str, **options: Any) -> gr.HTML:
    """Pictures to choose from, as many columns as fit."""
    return html_piece(pictures, elem_classes="pictures", **options)
