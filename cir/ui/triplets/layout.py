"""Where everything stands in the triplet tab. No event is wired here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.page import html_piece
from cir.ui.triplets.handlers import GENERATED_AT_ONCE
from cir.ui.triplets.reading import PAGE_SIZES
from cir.ui.triplets.source import Thresholds
from cir.ui.triplets.table import SORTS, VERDICTS

PAPER = Thresholds()
STOP = "Stop"
_HERE = Path(__file__).parent
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


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of the tab."""

    file: gr.Dropdown
    upload: gr.UploadButton
    generate: gr.Button
    stop: gr.Button
    stage: gr.HTML
    funnel: gr.HTML
    consistency: gr.Slider
    near_duplicate: gr.Slider
    gap: gr.Slider
    paper: gr.Button
    verdict: gr.Dropdown
    reason: gr.Dropdown
    low: gr.Slider
    high: gr.Slider
    words: gr.Textbox
    sort: gr.Dropdown
    page_size: gr.Dropdown
    export_jsonl: gr.Button
    export_cirr: gr.Button
    download: gr.DownloadButton
    where: gr.HTML
    cards: gr.HTML
    page_back: gr.Button
    page_on: gr.Button
    closer: gr.HTML
    on_screen: gr.Textbox
    previous: gr.Button
    following: gr.Button
    accept: gr.Button
    reject: gr.Button
    text: gr.Textbox
    save: gr.Button
    search: gr.Button
    details: gr.HTML

    @property
    def thresholds(self) -> list[gr.components.Component]:
        """What `read_thresholds` reads, in its order."""
        return [self.consistency, self.near_duplicate, self.gap]

    @property
    def filters(self) -> list[gr.components.Component]:
        """What `read_filters` reads, in its order."""
        return [self.verdict, self.reason, self.low, self.high, self.words]


def lay_out_parts(cannot_generate: str) -> Parts:
    """The whole tab, from the file to the closer look."""
    with gr.Column(elem_id="triplets"):
        html_piece(_ABOUT)
        top = _lay_out_top(cannot_generate)
        origin = _lay_out_origin()
        filters = _lay_out_filters()
        with gr.Row(elem_id="triplets-work"):
            shown = _lay_out_list()
            looked_at = _lay_out_closer()
    return Parts(**top, **origin, **filters, **shown, **looked_at)


def _small(label: str, elem_id: str, **options: Any) -> gr.Button:
    return gr.Button(label, size="sm", min_width=0, elem_id=elem_id, **options)


def _lay_out_top(cannot_generate: str) -> dict[str, Any]:
    with gr.Row(elem_id="triplets-top"):
        file = gr.Dropdown([], label="Triplets", elem_id="triplets-file", min_width=220, scale=2)
        upload = gr.UploadButton(
            "Open an annotation file",
            file_types=[".json", ".jsonl"],
            size="sm",
            min_width=0,
            elem_id="triplets-upload",
        )
        generate = _small(
            f"Generate {GENERATED_AT_ONCE} more",
            "triplets-generate",
            variant="primary",
            interactive=not cannot_generate,
        )
        stop = _small(STOP, "triplets-stop", variant="stop", visible=False)
    stage = html_piece("", elem_id="triplets-stage")
    return {"file": file, "upload": upload, "generate": generate, "stop": stop, "stage": stage}


def _slider(
    label: str, info: str, value: float, elem_id: str, step: float, low: float, high: float
) -> gr.Slider:
    return gr.Slider(low, high, value=value, step=step, label=label, info=info, buttons=[], elem_id=elem_id)


def _lay_out_origin() -> dict[str, Any]:
    with gr.Accordion("From pictures to triplets", open=True, elem_id="triplets-origin"), gr.Row():
        with gr.Column(min_width=240):
            funnel = html_piece("", elem_id="triplets-funnel")
        with gr.Column(min_width=240, elem_id="triplets-thresholds"):
            consistency = _slider(
                "Lowest score that is kept",
                "How close reference caption + text have to come to the target caption.",
                PAPER.consistency, "triplets-consistency", 0.01, 0, 1,
            )  # fmt: skip
            near_duplicate = _slider(
                "Near duplicates, from this similarity on",
                "Pictures this similar to the seed are too alike for its group.",
                PAPER.near_duplicate, "triplets-near-duplicate", 0.005, 0.5, 1,
            )  # fmt: skip
            gap = _slider(
                "Smallest step between members",
                "Two members in a row have to differ in similarity by more than this.",
                PAPER.gap, "triplets-gap", 0.001, 0, 0.05,
            )  # fmt: skip
            paper = _small("Back to the paper's values", "triplets-paper")
    names = ("funnel", "consistency", "near_duplicate", "gap", "paper")
    return dict(zip(names, (funnel, consistency, near_duplicate, gap, paper), strict=True))


def _lay_out_filters() -> dict[str, Any]:
    def choice(label: str, choices: list[Any], value: Any, elem_id: str) -> gr.Dropdown:
        return gr.Dropdown(
            choices, value=value, label=label, elem_id=elem_id, min_width=140, filterable=False
        )

    with gr.Row(elem_id="triplets-filters"):
        words = gr.Textbox(
            label="Words",
            placeholder="in text or caption",
            max_lines=1,
            elem_id="triplets-words",
            min_width=170,
        )
        verdict = choice(
            "Verdict", [(name, key) for key, name in VERDICTS.items()], "all", "triplets-verdict"
        )
        reason = choice("Reason", [("Any", "")], "", "triplets-reason")
        sort = choice("Order", [(name, key) for key, name in SORTS.items()], "file", "triplets-sort")
        low = gr.Slider(
            -1, 1, value=-1, step=0.01, label="Score from", buttons=[], elem_id="triplets-low", min_width=130
        )
        high = gr.Slider(
            -1, 1, value=1, step=0.01, label="to", buttons=[], elem_id="triplets-high", min_width=130
        )
        page_size = choice(
            "To a page", [(str(size), size) for size in PAGE_SIZES], PAGE_SIZES[0], "triplets-size"
        )
    return {
        "words": words,
        "verdict": verdict,
        "reason": reason,
        "sort": sort,
        "low": low,
        "high": high,
        "page_size": page_size,
    }


def _lay_out_list() -> dict[str, Any]:
    with gr.Column(elem_id="triplets-list", min_width=280):
        with gr.Row(elem_id="triplets-bar"):
            where = html_piece("", elem_id="triplets-where")
            page_back = _small("Previous page", "triplets-back")
            page_on = _small("Next page", "triplets-on")
        cards = html_piece("", elem_id="triplets-cards", js_on_load=_script("cards.js"))
        with gr.Row(elem_id="triplets-export"):
            export_jsonl = _small("Download as JSON lines", "triplets-jsonl")
            export_cirr = _small("Download in CIRR's schema", "triplets-cirr")
            download = gr.DownloadButton("Download", visible="hidden", elem_id="triplets-download")
    return {
        "where": where,
        "page_back": page_back,
        "page_on": page_on,
        "cards": cards,
        "export_jsonl": export_jsonl,
        "export_cirr": export_cirr,
        "download": download,
    }


def _lay_out_closer() -> dict[str, Any]:
    with gr.Column(elem_id="triplet", min_width=280):
        with gr.Row(elem_id="triplet-actions"):
            previous = _small("Previous", "triplet-previous")
            accept = _small("Accept", "triplet-accept")
            reject = _small("Reject", "triplet-reject")
            following = _small("Next", "triplet-next")
        closer = html_piece("", elem_id="triplet-closer")
        on_screen = gr.Textbox(visible="hidden")  # which triplet that is: what is done is about it
        with gr.Row(elem_id="triplet-editing"):
            text = gr.Textbox(
                label="Say it better", lines=1, max_lines=3, max_length=500, elem_id="triplet-text", scale=4
            )
            save = _small("Save text", "triplet-save", scale=0)
        search = gr.Button("Search with this", variant="primary", size="sm", elem_id="triplet-search")
        details = html_piece("", elem_id="triplet-details", js_on_load=_script("details.js"))
        html_piece(pieces.keys(KEYS))
    return {
        "previous": previous,
        "accept": accept,
        "reject": reject,
        "following": following,
        "closer": closer,
        "on_screen": on_screen,
        "text": text,
        "save": save,
        "search": search,
        "details": details,
    }


def _script(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
