"""What a click or a key on the Search tab does, by its name: how the session changes, and what is drawn then.

The page sends {"do": ..., "kind": ..., "place": ..., "text": ...}; places are indices into lists that the session
keeps. A new button takes `data-do="NAME"` in `cir.ui.search.render` and a line of ACTS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cir.errors import BadQuery
from cir.ui.reading import read_index
from cir.ui.search import changes, handlers, parcels, steps
from cir.ui.search.screen import Screen
from cir.ui.wiring import Update

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Session

FIELDS = ("do", "kind", "place", "text", "id", "was")  # what the page may send


@dataclass(frozen=True, slots=True)
class Request:
    """What the page asks for, and where that happens."""

    retriever: Retriever
    encoder: TextEncoder | None
    session: Session
    sent: Mapping[str, Any]

    def image_id(self) -> str:
        """The result that is meant: by its id, by its place, or the inspected one.

        Raises:
            BadQuery: it is no result, or not any more.
        """
        results, named, place = self.session.result_ids, self.sent.get("id"), self.sent.get("place")
        if named:
            return read_index(results, results.index(named) if named in results else None)
        if place is None and self.session.inspected_id in results:
            return self.session.inspected_id
        return read_index(results, place)

    def place_in(self, texts: Sequence[str]) -> object:
        """The place of the text that was clicked: acts before this one may have moved it since."""
        place, was = self.sent.get("place"), self.sent.get("was")
        at = isinstance(place, int) and 0 <= place < len(texts) and texts[place] == was
        return place if at or was not in texts else texts.index(str(was))


class Act(NamedTuple):
    """One act.

    Attributes:
        change: what it does to the session; raises `CirError` where it cannot.
        draw: what is drawn then; by default the answer as the session ranks it now.
    """

    change: Callable[[Request], object] = lambda _: None
    draw: Callable[[Screen, Request], Update] = lambda screen, request: screen.answered(request.session)


def perform(request: Request) -> Act:
    """Do what is asked for; the answer is the act, which knows what to draw.

    Raises:
        CirError: what cannot be done, in words.
    """
    name = request.sent.get("do")
    act = ACTS.get(name) if isinstance(name, str) else None
    if act is None:
        raise BadQuery("The page asked for something that does not exist.", "Load the page again.")
    act.change(request)
    return act


def change_text(request: Request) -> None:
    """Another text in the place of one of the machine's."""
    session, kind = request.session, request.sent.get("kind")
    trace = session.composed.trace if session.composed is not None else {}
    texts = list(dict.fromkeys(trace.get(kind, ()))) if isinstance(kind, str) else []
    changes.change_text(request.retriever, session, kind, request.place_in(texts), request.sent.get("text"))


def want(request: Request) -> None:
    """More or less of what a result looks like."""
    image_id = request.image_id()
    words = handlers.in_words(request.retriever.gallery, image_id)
    changes.want_image(request.retriever, request.session, image_id, request.sent.get("kind"), words)


def weigh(request: Request) -> None:
    """Another weight for a signed term."""
    place, text = request.place_in([term.words for term in request.session.signed]), request.sent.get("text")
    try:
        number = float(text) if isinstance(text, str) and len(text) < 20 else math.nan
    except ValueError:
        number = math.nan
    changes.weigh_term(request.session, place, number)


def select(request: Request) -> None:
    """A result is chosen for the download, or is not any more."""
    image_id, selected = request.image_id(), request.session.selected
    rest = tuple(other for other in selected if other != image_id)
    request.session.selected = rest if image_id in selected else (*selected, image_id)


def unfold(request: Request) -> None:
    """The near-identical results behind one are shown, or are not any more."""
    request.session.unfolded ^= {request.image_id()}


def inspect(request: Request) -> None:
    """A result is looked at closely."""
    request.session.inspected_id = request.image_id()


def close(request: Request) -> None:
    """Nothing is looked at closely."""
    request.session.inspected_id = ""


def show_more(request: Request) -> None:
    """As many results again as there were at first."""
    request.session.pages += 1


def turn(request: Request) -> None:
    """Another page of the gallery, or another order."""
    kind = request.sent.get("kind")
    step = {"previous": -1, "next": 1}.get(kind, 0) if isinstance(kind, str) else 0
    handlers.browse(request.retriever.gallery, request.session, step=step, shuffle=kind == "shuffle")


def _parcel(made: Callable[[Screen, Request], str]) -> Act:
    return Act(draw=lambda screen, request: {screen.page.shown.parcel: made(screen, request)})


ACTS: dict[str, Act] = {
    "text": Act(change_text),
    "reset": Act(lambda request: changes.reset_texts(request.session)),
    "want": Act(want),
    "without": Act(
        lambda request: changes.want_without(request.encoder, request.session, request.sent.get("text"))
    ),
    "weigh": Act(weigh),
    "select": Act(select),
    "unfold": Act(unfold),
    "more": Act(show_more),
    "draw": Act(),
    "show": Act(draw=lambda screen, request: screen.went_to_step(request.session)),
    "undo": Act(
        lambda request: steps.undo(request.session),
        lambda screen, request: screen.went_to_step(request.session),
    ),
    "step": Act(
        lambda request: steps.go_to(request.session, request.sent.get("place")),
        lambda screen, request: screen.went_to_step(request.session),
    ),
    "look": Act(inspect, lambda screen, request: screen.inspected(request.session)),
    "close": Act(close, lambda screen, request: screen.inspected(request.session)),
    "turn": Act(turn, lambda screen, request: screen.browsed(request.session)),
    "browse": Act(draw=lambda screen, _: screen.turned_to(gallery=True)),
    "back": Act(draw=lambda screen, _: screen.turned_to(gallery=False)),
    "save": _parcel(
        lambda screen, request: parcels.saved_file(screen.content, request.session, request.sent.get("kind"))
    ),
    "link": _parcel(lambda _, request: parcels.link(request.session)),
    "enlarge": _parcel(lambda screen, request: parcels.whole_picture(screen.content, request.session)),
}
