"""What a click or a key on the Search tab asks for, by name: checked, and done.

The page sends {"do": ..., "kind": ..., "place": ..., "text": ...}; places are indices into lists that the session
keeps. No gradio, no HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cir.errors import BadQuery
from cir.ui.reading import read_index
from cir.ui.search import changing, handlers, steps

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Session

FILLS = frozenset({"undo", "step", "show"})
FIELDS = ("do", "kind", "place", "text", "id", "was")  # what the page may send
VIEWS = frozenset({"look", "turn", "close", "browse", "back", "save", "link", "enlarge"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One act with what it needs: where it happens, and what the page sent."""

    retriever: Retriever
    encoder: TextEncoder | None
    session: Session
    sent: Mapping[str, Any]

    def image_id(self) -> str:
        """The result that is meant: by its id, by its place, or the one looked at closely.

        Raises:
            BadQuery: it is no result, or not any more.
        """
        results, named, place = self.session.result_ids, self.sent.get("id"), self.sent.get("place")
        if named:
            return read_index(results, results.index(named) if named in results else None)
        if place is None and self.session.inspected_id in results:
            return self.session.inspected_id
        return read_index(results, place)


def perform(asked: Asked) -> str:
    """Do what was asked.

    Returns:
        The name of the act. Those in FILLS changed the whole query; those in VIEWS changed nothing that was asked
        or answered.

    Raises:
        CirError: what cannot be done, in words.
    """
    name = asked.sent.get("do")
    act = ACTS.get(name) if isinstance(name, str) else None
    if act is None:
        raise BadQuery("The page asked for something that does not exist.", "Load the page again.")
    act(asked)
    return str(name)


def picture_of(session: Session) -> tuple[str | None, str]:
    """The reference to be shown again, and a note when it was uploaded too long ago to be still there."""
    if session.image_path is None:
        return None, ""
    if not Path(session.image_path).is_file():
        return None, "The picture of that step is not kept any more; its results are."
    return str(session.image_path), ""


def _thought(asked: Asked) -> None:
    sent, composed = asked.sent, asked.session.composed
    kind, place, was = sent.get("kind"), sent.get("place"), sent.get("was")
    if composed is not None and was is not None and isinstance(kind, str):
        place = _place_of(was, list(dict.fromkeys(composed.trace.get(kind, ()))), place)
    changing.change_thought(asked.retriever, asked.session, kind, place, sent.get("text"))


def _place_of(was: object, texts: Sequence[str], place: object) -> object:
    """Where a text stands now: acts before this one may have moved it since it was clicked."""
    at = isinstance(place, int) and 0 <= place < len(texts) and texts[place] == was
    return place if at or was not in texts else texts.index(str(was))


def _reset(asked: Asked) -> None:
    changing.reset_thoughts(asked.session)


def _want(asked: Asked) -> None:
    image_id = asked.image_id()
    words = handlers.in_words(asked.retriever.gallery, image_id)
    changing.want_image(asked.retriever, asked.session, image_id, asked.sent.get("kind"), words)


def _without(asked: Asked) -> None:
    changing.want_without(asked.encoder, asked.session, asked.sent.get("text"))


def _weigh(asked: Asked) -> None:
    text = asked.sent.get("text")
    try:
        number = float(text) if isinstance(text, str) and len(text) < 20 else math.nan
    except ValueError:
        number = math.nan
    was, place = asked.sent.get("was"), asked.sent.get("place")
    if was is not None:
        place = _place_of(was, [term.words for term in asked.session.signed], place)
    changing.weigh_term(asked.session, place, number)


def _undo(asked: Asked) -> None:
    steps.undo(asked.session)


def _step(asked: Asked) -> None:
    steps.go_to(asked.session, asked.sent.get("place"))


def _select(asked: Asked) -> None:
    image_id, session = asked.image_id(), asked.session
    chosen = dict.fromkeys(session.selected)
    session.selected = (
        tuple(i for i in chosen if i != image_id) if image_id in chosen else (*chosen, image_id)
    )


def _unfold(asked: Asked) -> None:
    asked.session.unfolded ^= {asked.image_id()}


def _look(asked: Asked) -> None:
    asked.session.inspected_id = asked.image_id()


def _turn(asked: Asked) -> None:
    kind = asked.sent.get("kind")
    step = {"previous": -1, "next": 1}.get(kind, 0) if isinstance(kind, str) else 0
    handlers.browse(asked.retriever.gallery, asked.session, step=step, shuffle=kind == "shuffle")


def _close(asked: Asked) -> None:
    asked.session.inspected_id = ""


def _more(asked: Asked) -> None:
    asked.session.pages += 1


def _nothing(asked: Asked) -> None:
    """Something else of what is there is to be shown."""


ACTS: dict[str, Callable[[Asked], None]] = {
    "thought": _thought,
    "reset": _reset,
    "want": _want,
    "without": _without,
    "weigh": _weigh,
    "undo": _undo,
    "step": _step,
    "select": _select,
    "unfold": _unfold,
    "more": _more,
    "look": _look,
    "turn": _turn,
    "close": _close,
    "browse": _nothing,
    "back": _nothing,
    "show": _nothing,
    "draw": _nothing,
    "save": _nothing,
    "enlarge": _nothing,
    "link": _nothing,
}
