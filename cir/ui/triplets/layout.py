"""Where everything stands in the triplet tab. No event is wired here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from cir.syncir.consistency import Thresholds
from cir.syncir.table import SORTS, VERDICTS
from cir.ui import pieces
from cir.ui.triplets.handlers import GENERATED_AT_ONCE
from cir.ui.triplets.reading import PAGE_SIZES
from cir.ui.wiring import html_piece, small_button

PAPER = Thresholds()
STOP, TRAIN = "Stop", "Train with these"
_ABOUT_TRAINING = (
    "<p class='hint'>Training makes a network of HyCIR's from the triplets that are kept, with your verdicts and texts: some "
    "minutes, and then a method of its own. It stops when this page is left; the same button goes on.</p>"
)
_KEYS_SCRIPT = (Path(__file__).parent / "keys.js").read_text(encoding="utf-8")
# A card or an arrow tells which triplet it stands for. An arrow is no button of HTML, so its keys are heard here.
_TELL_CLICKS = """const tell = (event) => {
  const chosen = event.target.closest('[data-triplet]');
  if (!chosen || (event.type === 'keydown' && (chosen.matches('button') || !['Enter', ' '].includes(event.key)))) return;
  event.preventDefault();
  trigger('pick', { triplet: chosen.dataset.triplet });
};
element.addEventListener('click', tell);
element.addEventListener('keydown', tell);
"""
KEYS = (
    ("/", "to the words to look for"),
    ("arrows  Home  End  PgUp  PgDn", "from card to card"),
    ("Enter", "look at a triplet"),
    ("j  k", "the next one, the one before"),
    ("a  r", "accept, reject"),
    ("e", "say it better"),
    ("Esc", "leave the field"),
)
_ABOUT = (
    "<p class='about-tab'>Triplets made from pictures alone: six that look alike form a group, nine pairs of it are "
    "put into words by the language model, and only those whose words lead to the target are kept.</p>"
)


class TripletParts:
    """The components of the tab, from the file to the closer look; each is laid out as it is made."""

    def __init__(self, cannot_generate: str, *, can_train: bool) -> None:
        with gr.Column(elem_id="triplets"):
            html_piece(_ABOUT)
            self._lay_out_file(cannot_generate)
            self._lay_out_origin()
            self._lay_out_filters()
            with gr.Row(elem_id="triplets-work"):
                self._lay_out_list(can_train)
                self._lay_out_closer()
        self.query = gr.Textbox(visible="hidden")  # for the page's script, which fills in the Search tab

    def _lay_out_file(self, cannot_generate: str) -> None:
        with gr.Row(elem_id="triplets-top"):
            self.file = gr.Dropdown([], label="Triplets", elem_id="triplets-file", min_width=220, scale=2)
            # No `file_types`: gradio would refuse other files in words of its own. What cannot be read is told below.
            self.upload = gr.UploadButton(
                "Open an annotation file",
                size="sm",
                min_width=0,
                elem_id="triplets-upload",
            )
            more, can = f"Generate {GENERATED_AT_ONCE} more", not cannot_generate
            self.generate = small_button(more, "triplets-generate", variant="primary", interactive=can)
            self.stop = small_button(STOP, "triplets-stop", variant="stop", visible=False)
        self.stage = html_piece("", elem_id="triplets-stage")

    def _lay_out_origin(self) -> None:
        with gr.Accordion("From pictures to triplets", open=True, elem_id="triplets-origin"), gr.Row():
            with gr.Column(min_width=240):
                self.funnel = html_piece("", elem_id="triplets-funnel")
            with gr.Column(min_width=240, elem_id="triplets-thresholds"):
                self.consistency = _threshold(
                    "Lowest score that is kept",
                    "How close reference caption + text have to come to the target caption.",
                    PAPER.consistency, "triplets-consistency", 0.01, 0, 1,
                )  # fmt: skip
                self.near_duplicate = _threshold(
                    "Near duplicates, from this similarity on",
                    "Pictures this similar to the seed are too alike for its group.",
                    PAPER.near_duplicate, "triplets-near-duplicate", 0.005, 0.5, 1,
                )  # fmt: skip
                self.gap = _threshold(
                    "Smallest step between members",
                    "Two members in a row have to differ in similarity by more than this.",
                    PAPER.gap, "triplets-gap", 0.001, 0, 0.05,
                )  # fmt: skip
                self.paper = small_button("Back to the paper's values", "triplets-paper")

    def _lay_out_filters(self) -> None:
        with gr.Row(elem_id="triplets-filters"):
            self.words = gr.Textbox(
                label="Words",
                placeholder="in text or caption",
                max_lines=1,
                elem_id="triplets-words",
                min_width=170,
            )
            verdicts, sorts = ([(name, key) for key, name in names.items()] for names in (VERDICTS, SORTS))
            self.verdict = _choice("Verdict", verdicts, "all", "triplets-verdict")
            self.reason = _choice("Reason", [("Any", "")], "", "triplets-reason")
            self.sort = _choice("Order", sorts, "file", "triplets-sort")
            self.low = _score("Score from", -1, "triplets-low")
            self.high = _score("to", 1, "triplets-high")
            sizes = [(str(size), size) for size in PAGE_SIZES]
            self.page_size = _choice("To a page", sizes, PAGE_SIZES[0], "triplets-size")

    def _lay_out_list(self, can_train: bool) -> None:
        with gr.Column(elem_id="triplets-list", min_width=280):
            with gr.Row(elem_id="triplets-bar"):
                self.where = html_piece("", elem_id="triplets-where")
                self.page_back = small_button("Previous page", "triplets-back")
                self.page_on = small_button("Next page", "triplets-on")
            script = _TELL_CLICKS + _KEYS_SCRIPT
            self.cards = html_piece("", elem_id="triplets-cards", js_on_load=script)
            with gr.Row(elem_id="triplets-export"):
                self.export_jsonl = small_button("Download as JSON lines", "triplets-jsonl")
                self.export_cirr = small_button("Download in CIRR's schema", "triplets-cirr")
                self.download = gr.DownloadButton("Download", visible="hidden", elem_id="triplets-download")
            if can_train:
                with gr.Row(elem_id="triplets-training"):
                    self.train = small_button(TRAIN, "triplets-train")
                    self.stop_training = small_button(
                        STOP, "triplets-train-stop", variant="stop", visible=False
                    )
                    self.use = small_button(
                        "Search with it", "triplets-use", variant="primary", visible=False
                    )
                self.trained = html_piece(_ABOUT_TRAINING, elem_id="triplets-trained")

    def _lay_out_closer(self) -> None:
        with gr.Column(elem_id="triplet", min_width=280):
            with gr.Row(elem_id="triplet-actions"):
                self.previous = small_button("Previous", "triplet-previous")
                self.accept = small_button("Accept", "triplet-accept")
                self.reject = small_button("Reject", "triplet-reject")
                self.following = small_button("Next", "triplet-next")
            self.closer = html_piece("", elem_id="triplet-closer")
            # Which triplet that is: what is done is about it, whatever the server has gone on to.
            self.on_screen = gr.Textbox(visible="hidden")
            with gr.Row(elem_id="triplet-editing"):
                self.text = gr.Textbox(
                    label="Say it better",
                    lines=1,
                    max_lines=3,
                    elem_id="triplet-text",
                    scale=4,
                )
                self.save = small_button("Save text", "triplet-save", scale=0)
            self.search = gr.Button(
                "Search with this", variant="primary", size="sm", elem_id="triplet-search"
            )
            self.details = html_piece("", elem_id="triplet-details", js_on_load=_TELL_CLICKS)
            html_piece(pieces.keys(KEYS))

    @property
    def thresholds(self) -> list[gr.components.Component]:
        """What `read_thresholds` reads, in its order."""
        return [self.consistency, self.near_duplicate, self.gap]

    @property
    def filters(self) -> list[gr.components.Component]:
        """What `read_filters` reads, in its order."""
        return [self.verdict, self.reason, self.low, self.high, self.words]

    @property
    def drawn(self) -> list[gr.components.Component]:
        """What changes with the list or with the triplet that is looked at."""
        closely = [self.closer, self.on_screen, self.details, self.text, self.accept, self.reject]
        return [*self.filters, self.sort, self.stage, self.where, self.cards, *closely, self.funnel]


def _choice(label: str, choices: list[Any], value: Any, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(choices, value=value, label=label, elem_id=elem_id, min_width=140, filterable=False)


def _score(label: str, value: float, elem_id: str) -> gr.Slider:
    return gr.Slider(-1, 1, value=value, step=0.01, label=label, buttons=[], elem_id=elem_id, min_width=130)


def _threshold(
    label: str, info: str, value: float, elem_id: str, step: float, low: float, high: float
) -> gr.Slider:
    return gr.Slider(low, high, value=value, step=step, label=label, info=info, buttons=[], elem_id=elem_id)
