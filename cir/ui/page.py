"""The nouns of the page: what it is about, the components that its tabs share, and how an error is shown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from cir.composers.parameters import Values
from cir.ui import pieces
from cir.ui.problems import describe_problem
from cir.ui.server.waiting import Lines
from cir.ui.session import Example, ForgottenPage, Session, Sessions

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.shelf import Shelf
    from cir.syncir.library import TripletLibrary
    from cir.ui.galleries.screen import GalleryIndexing
    from cir.ui.results.render import Results
    from cir.ui.triplets.handlers import Trainer


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the page is about.

    Attributes:
        retriever: what is searched.
        presets: name -> numbers of a method, as buttons; the first one is set at the start.
        missing: part -> sentence with the remedy, for models that are not here.
        where_asked: where captions and edits go that the language model is asked about, in a sentence; "" where they stay.
        facts: the lines of "About the models".
        fingerprints: part -> fingerprint, for programs.
        examples: queries that work.
        gallery_title: how the gallery is called on the page; by default its name.
        shelf: all galleries that can be searched here; None where there is only the retriever's.
        read_as: a row of a picture -> as what it was read, such as "a photograph"; "" where all are read alike.
        text_encoder: for "without ..."; None where that is not offered.
        indexing: how galleries are made in the tab "Galleries"; None where nobody may.
        triplets: where synthetic triplets are kept and made; None where the tab has nothing to show.
        train: trains a network on triplets, which is then a method; None where nobody may.
        results: reads what was measured and what the papers printed; None where there is nothing to show.
        assistants: whether the tool for assistants is offered.
        ready: whether all models are loaded; until then a search says what it waits for.
        opened: called when a visitor's page is there.
        lines: where searches wait for their turn.
        sessions: of all pages that are open.
    """

    retriever: Retriever
    presets: Mapping[str, Values] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    where_asked: str = ""
    facts: Sequence[pieces.ModelFact] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    gallery_title: str = ""
    shelf: Shelf | None = None
    read_as: Callable[[NDArray[np.float32]], str] = lambda row: ""
    text_encoder: TextEncoder | None = None
    assistants: bool = False
    indexing: GalleryIndexing | None = None
    triplets: TripletLibrary | None = None
    train: Trainer | None = None
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
class QueryFields:
    """The components of the left column: the query and its numbers.

    Attributes:
        sliders: parameter -> its slider; those that the chosen method does not have are not to be seen.
    """

    image: gr.Image
    text: gr.Textbox
    search: gr.Button
    filled: gr.Button
    sliders: Mapping[str, gr.Slider]
    method: gr.Dropdown
    top_k: gr.Slider
    leave_out: gr.Checkbox
    weights_fold: gr.Accordion
    shares: gr.HTML
    presets: gr.HTML
    meanings: gr.HTML

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


@dataclass(frozen=True, slots=True)
class ResultArea:
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
class Switcher:
    """The components of the line over the query: which gallery is searched, and where in it; `head` names it too."""

    head: gr.HTML
    choice: gr.Dropdown
    notes: gr.HTML
    fold: gr.Accordion
    folder: gr.Dropdown
    since: gr.Textbox
    until: gr.Textbox
    undated: gr.Checkbox


@dataclass(frozen=True, slots=True)
class PageParts:
    """What a tab may reach of the page: itself, to know when it is opened; the query; the way to another tab."""

    tab: gr.Tab
    tabs: gr.Tabs
    session: gr.State
    ask: QueryFields
    shown: ResultArea
    switcher: Switcher | None = None


def html_piece(value: str, **options: Any) -> gr.HTML:
    """A piece of our own HTML, dressed by our own style sheet alone."""
    return gr.HTML(value, apply_default_css=False, **options)


def then_answered(event: Any) -> None:
    """The page's script goes on with what was done after this event, once it is answered, or could not be."""
    for after in (event.then, event.failure):
        after(None, js="() => recompose.answered()", api_visibility="private")


def problem_html(error: Exception) -> str:
    """An error as the page shows it; a fault is logged under an id."""
    return pieces.problem_card(describe_problem(error))


def with_problems_shown(
    handler: Callable[..., Any], shown: gr.HTML | Callable[..., dict[Any, Any]]
) -> Callable[..., Any]:
    """An event handler that answers {component: value}, and never with an error: that is shown in words.

    Args:
        handler: a function or a generator, asynchronous or not.
        shown: what shows an error while all else stays as it was; or a function (error, *what the handler was
            called with) -> {component: value}, which may raise another error in its place.
    """

    def problem(error: Exception, values: Sequence[Any]) -> dict[Any, Any]:
        return {shown: problem_html(error)} if isinstance(shown, gr.HTML) else shown(error, *values)

    # Gradio reads from a handler's signature whether it wants the event, and from its kind whether it has stages.
    @functools.wraps(handler)
    def answer(*values: Any, **named: Any) -> Any:
        try:
            return handler(*values, **named)
        except Exception as error:
            return problem(error, values)

    @functools.wraps(handler)
    async def answer_later(*values: Any, **named: Any) -> Any:
        try:
            return await handler(*values, **named)
        except Exception as error:
            return problem(error, values)

    @functools.wraps(handler)
    def stages(*values: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from handler(*values, **named)
        except Exception as error:
            yield problem(error, values)

    @functools.wraps(handler)
    async def stages_later(*values: Any, **named: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(handler(*values, **named)) as came:
                async for stage in came:
                    yield stage
        except Exception as error:
            yield problem(error, values)

    kinds: tuple[tuple[Callable[..., bool], Callable[..., Any]], ...] = (
        (inspect.isasyncgenfunction, stages_later),
        (inspect.iscoroutinefunction, answer_later),
        (inspect.isgeneratorfunction, stages),
    )
    return next((wrapper for is_kind, wrapper in kinds if is_kind(handler)), answer)


def sent_with(event: gr.EventData, name: str) -> object:
    """A value that the page's script sent along with an event; None where it sent none of that name."""
    try:
        return getattr(event, name, None)
    except TypeError:  # what came is no object of values
        return None
