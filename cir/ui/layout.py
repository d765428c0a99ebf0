"""Where everything stands on the page: the query left, pictures right. No event is wired here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.images import read_image
from cir.types import Weights
from cir.ui import render
from cir.ui.guards import MAX_FILE_BYTES
from cir.ui.handlers import Example, Settings
from cir.ui.pictures import address_of
from cir.ui.reading import MAX_RESULTS
from cir.ui.search import controls, pieces, steps
from cir.ui.session import ForgottenPage, Session, Sessions
from cir.ui.waiting import Lines

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.shelf import Shelf
    from cir.ui.galleries.handlers import Making
    from cir.ui.galleries.switcher import Switcher
    from cir.ui.results.pieces import Results
    from cir.ui.triplets.source import TripletSource


SLIDERS = {
    "alpha": "Described edit  α",
    "beta": "Image word + edit  β",
    "gamma": "Captions of gallery images  γ",
}


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the page is about.

    Attributes:
        retriever: what is searched.
        presets: name -> weights, as buttons; the first one is set at the start.
        missing: part -> sentence with the remedy, for models that are not here.
        facts: the lines of "About the models".
        fingerprints: part -> fingerprint, for programs.
        examples: queries that work.
        gallery_title: how the gallery is called on the page; by default its name.
        shelf: all galleries that can be searched here; None where there is only the retriever's.
        text_encoder: for "without ..."; None where that is not offered.
        making: makes galleries in the tab "Galleries"; None where nobody may.
        triplets: where synthetic triplets are kept and made; None where the tab has nothing to show.
        results: reads what was measured and what the papers printed; None where there is nothing to show.
        assistants: whether the tool for assistants is offered.
        ready: whether all models are loaded; until then a search says what it waits for.
        opened: called when a visitor's page is there.
        lines: where searches wait for their turn.
        sessions: of all pages that are open.
    """

    retriever: Retriever
    presets: Mapping[str, Weights] = field(default_factory=lambda: {"Default": Weights()})
    missing: Mapping[str, str] = field(default_factory=dict)
    facts: Sequence[render.ModelFact] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    gallery_title: str = ""
    shelf: Shelf | None = None
    text_encoder: TextEncoder | None = None
    assistants: bool = False
    making: Making | None = None
    triplets: TripletSource | None = None
    results: Callable[[], Results] | None = None
    ready: Callable[[], bool] = lambda: True
    opened: Callable[[], object] = lambda: None
    lines: Lines = field(default_factory=Lines)
    sessions: Sessions = field(default_factory=Sessions)

    def retriever_for(self, session: Session) -> Retriever:
        """What this visitor searches: the retriever over the gallery that was chosen on the page.

        Raises:
            GalleryError: that gallery is not there any more.
            ForgottenPage: it is not known which one that was.
        """
        if self.shelf is None:
            return self.retriever
        if not session.token:
            raise ForgottenPage(
                "The server had forgotten this page.", "Go to the Search tab, which brings it back."
            )
        return self.shelf.retriever(session.gallery)

    def title_of(self, gallery: str) -> str:
        """How people call a gallery that goes by this name in a session."""
        if self.shelf is not None:
            return self.shelf.title(gallery)
        return self.gallery_title or self.retriever.gallery.name

    def retriever_of(self, gallery: str) -> Retriever:
        """The retriever over a gallery by its name, "" for the one that the page begins with."""
        return self.retriever if self.shelf is None else self.shelf.retriever(gallery)


@dataclass(frozen=True, slots=True)
class Ask:
    """The components of the left column: the query and its weights."""

    image: gr.Image
    text: gr.Textbox
    search: gr.Button
    filled: gr.Button
    alpha: gr.Slider
    beta: gr.Slider
    gamma: gr.Slider
    method: gr.Dropdown
    top_k: gr.Slider
    leave_out: gr.Checkbox
    weights_fold: gr.Accordion
    shares: gr.HTML

    @property
    def settings(self) -> list[gr.components.Component]:
        """What `read_settings` reads, in its order."""
        return [self.alpha, self.beta, self.gamma, self.top_k, self.leave_out]


@dataclass(frozen=True, slots=True)
class Shown:
    """The components of the right column: what was found, and the gallery."""

    examples: gr.HTML
    stage: gr.HTML
    crumbs: gr.HTML
    notes: gr.HTML
    trace: gr.HTML
    at_least: gr.Slider
    fold: gr.Checkbox
    bridge: gr.HTML
    parcel: gr.HTML
    snapshot: gr.HTML
    turn: gr.HTML
    results_box: gr.Column
    results: gr.HTML
    inspector: gr.Column
    card: gr.HTML
    browse_box: gr.Column
    browse_bar: gr.HTML
    grid: gr.HTML


@dataclass(frozen=True, slots=True)
class PageParts:
    """What a tab may reach of the page: itself, to know when it is opened; the query; the way to another tab."""

    tab: gr.Tab
    tabs: gr.Tabs
    session: gr.State
    ask: Ask
    shown: Shown
    switcher: Switcher | None = None


def lay_out_ask(content: PageContent) -> Ask:
    """The left column, from the picture to the weights."""
    with gr.Column(elem_id="ask", min_width=280):
        image = gr.Image(
            label="Reference image",
            sources=["upload", "clipboard"],
            type="filepath",
            image_mode=None,
            height=196,
            buttons=[],
            placeholder="Drop a picture here\nor click to choose one",
            elem_id="reference",
        )
        html_piece(controls.reference_problem(MAX_FILE_BYTES), elem_id="reference-problem")
        html_piece(controls.pick())
        text = gr.Textbox(
            label="What should be different?",
            placeholder="at night, with two of them …",
            lines=1,
            max_lines=3,
            elem_id="edit",
        )
        html_piece('<p role="status" hidden></p>', elem_id="edit-length")
        search = gr.Button("Search", variant="primary", elem_id="search")
        html_piece(controls.skip(), elem_id="skip")
        filled = gr.Button("Search what was filled in", elem_id="search-filled", visible="hidden")
        fold, parts = lay_out_weights(content)
    return Ask(image=image, text=text, search=search, filled=filled, weights_fold=fold, **parts)


def lay_out_examples(content: PageContent) -> gr.HTML:
    """The example queries as chips with their picture; nothing when there are none."""
    gallery = content.retriever.gallery
    shown = [
        (
            steps.small_picture(read_image(Path(gallery.thumbnail_path(example.image_id)))),
            example.text,
            example.image_id,
            address_of(gallery.thumbnail_path(example.image_id)),
        )
        for example in content.examples
    ]
    return html_piece(controls.examples(shown), visible=bool(shown), elem_id="examples")


def lay_out_weights(content: PageContent) -> tuple[gr.Accordion, dict[str, Any]]:
    """One bar of three shares, a slider for each weight, presets; then method and number of results."""
    start = next(iter(content.presets.values()))
    methods = list(content.retriever.methods)
    with gr.Accordion("Weights", open=False, elem_id="weights") as fold:
        shares = html_piece(render.share_bar(start), elem_id="share-bar")
        alpha, beta, gamma = (_weight(SLIDERS[name], getattr(start, name), name) for name in SLIDERS)
        html_piece(controls.presets(content.presets), elem_id="presets")
        with gr.Row(elem_id="more"):
            method = gr.Dropdown(methods, value=methods[0], label="Method", min_width=96, elem_id="method")
            top_k = gr.Slider(
                1,
                MAX_RESULTS,
                value=Settings().top_k,
                step=1,
                label="Results",
                buttons=[],
                min_width=140,
                elem_id="top-k",
            )
        leave_out = gr.Checkbox(True, label="Leave out the reference", visible=False, elem_id="leave-out")
        html_piece(render.meanings(), elem_id="meanings")
    names = {"alpha": alpha, "beta": beta, "gamma": gamma}
    return fold, {**names, "method": method, "top_k": top_k, "leave_out": leave_out, "shares": shares}


def html_piece(value: str, **options: Any) -> gr.HTML:
    """A piece of our own HTML, dressed by our own style sheet alone."""
    return gr.HTML(value, apply_default_css=False, **options)


def _weight(label: str, value: float, elem_id: str) -> gr.Slider:
    return gr.Slider(
        0, 1, value=value, step=0.01, label=label, buttons=[], elem_id=elem_id, elem_classes="weight"
    )


def lay_out_shown(content: PageContent, pictures: str) -> Shown:
    """The right column: stage line, results with the inspector, or the gallery to pick from.

    Args:
        content: what the page is about.
        pictures: those to pick from at first (`cir.ui.grids`).
    """
    with gr.Column(elem_id="answer", min_width=280):
        examples = lay_out_examples(content)
        html_piece('<p role="status" hidden></p>', elem_id="waiting", elem_classes="wait-line")
        stage = html_piece("", elem_id="stage")
        with gr.Column(visible=False, elem_id="results-box") as results_box:
            crumbs = html_piece("", elem_id="crumbs")
            notes = html_piece("", elem_id="notes")
            trace = html_piece("", elem_id="trace")
            keeping = lay_out_keeping()
            results = picture_grid("", elem_id="results")
        with gr.Column(visible=False, elem_id="inspector") as inspector:
            card = html_piece("", elem_id="card")
        with gr.Column(elem_id="browse-box") as browse_box:
            browse_bar = html_piece(controls.browse_bar(), elem_id="browse-bar")
            grid = picture_grid(pictures, elem_id="browse-grid")
    return Shown(
        examples=examples,
        stage=stage,
        crumbs=crumbs,
        notes=notes,
        trace=trace,
        results_box=results_box,
        results=results,
        inspector=inspector,
        card=card,
        browse_box=browse_box,
        browse_bar=browse_bar,
        grid=grid,
        **lay_out_bridges(),
        **keeping,
    )


def lay_out_keeping() -> dict[str, Any]:
    """A closed fold: which results are shown, what can be taken away, and the keys."""
    with gr.Accordion("Show, keep, share", open=False, elem_id="keep"):
        with gr.Row(elem_id="keep-shown"):
            at_least = gr.Slider(
                0,
                1,
                value=0,
                step=0.01,
                label="Hide scores below",
                buttons=[],
                min_width=180,
                elem_id="at-least",
            )
            fold = gr.Checkbox(True, label="Fold near-identical pictures", min_width=180, elem_id="fold")
        html_piece(controls.keeping(render.keys(pieces.KEYS)), elem_id="keep-buttons")
    return {"at_least": at_least, "fold": fold}


def lay_out_bridges() -> dict[str, gr.HTML]:
    """Pieces without any looks, between the page's script and gradio: for what is done, and what is shown.

    The bridge says what was done: "submit" asks the server, "view" does so out of order, "fill" sets fields here,
    "move" and "restore" ask for another order, or for a search that the page remembers. The others are read by the script when they change.
    """
    bridge = html_piece(
        "",
        js_on_load="recompose.bridge = trigger; // 'submit', 'view', 'fill', 'move', 'restore'",
        elem_id="bridge",
        elem_classes="unseen",
    )
    heard = {"parcel": "take", "snapshot": "shows", "turn": "answered"}
    read = {
        name: html_piece(
            "",
            html_template="<i></i>",
            js_on_load=f"watch('value', () => recompose.{hears}(props.value))",
            elem_id=name,
            elem_classes="unseen",
        )
        for name, hears in heard.items()
    }
    return {"bridge": bridge, **read}


def picture_grid(pictures: str, **options: Any) -> gr.HTML:
    """Pictures to choose from, as many columns as fit."""
    return html_piece(pictures, elem_classes="pictures", **options)
