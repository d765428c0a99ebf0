"""Changing a query after it was composed: the machine's texts, and what more or less is wanted beside them.

Plain functions; each leaves the session with the changed query and a new step. No gradio, no HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cir.composers.revision import CAPTIONS, MODIFIED, OBJECTS, THOUGHTS, revisable, with_thought
from cir.errors import BadQuery
from cir.ranking.wishes import like_image, without
from cir.text import clean_text
from cir.types import ComposedQuery, SignedTerm
from cir.ui.reading import read_number
from cir.ui.search import steps

if TYPE_CHECKING:
    from cir.models.protocols import TextEncoder
    from cir.ranking.retriever import Retriever
    from cir.ui.session import Session

MAX_TERMS = 8
MAX_TEXT = 200
_NAMES = {CAPTIONS: "caption", MODIFIED: "description", OBJECTS: "object"}


def can_change(retriever: Retriever, session: Session) -> bool:
    """Whether the texts on the screen can be changed: the method takes them, and the image's words are kept."""
    composed = session.composed
    made_by = retriever.composers.get(session.method)
    return composed is not None and composed.pseudo_words is not None and revisable(made_by) is not None


def change_text(retriever: Retriever, session: Session, kind: object, place: object, text: object) -> None:
    """Change, add or take away one of the machine's texts; only what follows from it is encoded anew.

    Args:
        retriever, session: as in `handlers.search`. A search that still runs ends here.
        kind: "captions", "modified_captions" or "added_objects".
        place: which of the texts shown; None adds one.
        text: what stands there from now on; "" takes it away.

    Raises:
        BadQuery: nothing that can be changed, or a place that is not on the page.
    """
    composed, made_by = session.composed, revisable(retriever.composers.get(session.method))
    if composed is None or made_by is None or not can_change(retriever, session):
        raise BadQuery("There are no texts to change here.", "Search with a picture and an edit, by CVSI.")
    words = _read_words(text)
    if not isinstance(kind, str) or isinstance(place, bool) or not isinstance(place, int | None):
        raise BadQuery("That text is not on the page any more.", "Change one of those that are shown.")
    changed = made_by.revise(composed, with_thought(composed, kind, place, words))
    session.searches += 1
    session.composed = replace(changed, timings_ms={})
    done = "added" if place is None else "changed" if words else "taken away"
    steps.remember(session, f"{_NAMES[kind]} {done}" + (f": {words}" if words else ""))


def with_texts(
    retriever: Retriever, method: str, composed: ComposedQuery, texts: Mapping[str, Sequence[str]]
) -> ComposedQuery:
    """A query with texts in the place of the machine's, as they were once changed; as it is where none can be."""
    made_by = revisable(retriever.composers.get(method))
    if not texts or composed.pseudo_words is None or made_by is None:
        return composed
    changed = {kind: tuple(own) for kind, own in texts.items()}
    return replace(made_by.revise(composed, {**composed.trace, **changed}), timings_ms=composed.timings_ms)


def changed_texts(session: Session) -> dict[str, tuple[str, ...]]:
    """kind -> the texts that stand now, of the kinds that a person changed."""
    composed, machine = session.composed, session.machine
    if composed is None or machine is None:
        return {}
    now, before = composed.trace, machine.trace
    return {
        kind: tuple(now.get(kind, ()))
        for kind in THOUGHTS
        if tuple(now.get(kind, ())) != tuple(before.get(kind, ()))
    }


def reset_texts(session: Session) -> None:
    """Take back every change of the machine's texts.

    Raises:
        BadQuery: nothing was searched for yet.
    """
    if session.machine is None:
        raise BadQuery("There is nothing to reset.", "Search first.")
    session.searches += 1
    session.composed = replace(session.machine, pending="")
    steps.remember(session, "texts as the machine had them")


def is_changed(session: Session) -> bool:
    """Whether a person changed what the machine wrote."""
    composed, machine = session.composed, session.machine
    return composed is not None and machine is not None and dict(composed.trace) != dict(machine.trace)


def want_image(retriever: Retriever, session: Session, image_id: str, kind: object, words: str) -> None:
    """Ask for more, or for less, of what one image of the gallery looks like.

    Args:
        retriever, session: as in `handlers.search`.
        image_id: the image.
        kind: "more" or "less".
        words: what the image shows, for the term's chip.

    Raises:
        BadQuery: another kind, an unknown image, too many terms, or nothing was searched for.
    """
    if kind not in ("more", "less"):
        raise BadQuery("A picture can be wanted more or less.", "Choose one of the two buttons.")
    _add(session, like_image(retriever, kind, image_id, words))


def want_without(encoder: TextEncoder | None, session: Session, text: object) -> None:
    """Ask for pictures without what a text says: the text is encoded once and counts negatively.

    Raises:
        BadQuery: no text, no encoder, too many terms, or nothing was searched for.
    """
    words = _read_words(text)
    if encoder is None or not words:
        raise BadQuery("There is nothing to leave out.", 'Type what should not be there, like "people".')
    _add(session, without(encoder, words))


def weigh_term(session: Session, place: object, weight: object) -> None:
    """Give a term another weight from -1 to 1; 0 takes it away.

    Raises:
        BadQuery: no such term, or no number in that range.
    """
    number = read_number("A weight", weight)
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(session.signed):
        raise BadQuery("That term is not on the page any more.", "Choose one of those that are shown.")
    if not -1.0 <= number <= 1.0:
        raise BadQuery(f"The weight is {number:g}.", "Give a number from -1 to 1.")
    term = session.signed[place]
    kept = (replace(term, weight=number),) if number else ()
    session.signed = (*session.signed[:place], *kept, *session.signed[place + 1 :])
    steps.remember(
        session, f"{term.kind} {term.words}: {number:+.2f}" if number else f"no “{term.words}” term"
    )


def _read_words(text: object) -> str:
    """What was typed for one of the small texts, cleaned.

    Raises:
        BadQuery: no text, or more than one of these holds.
    """
    words = clean_text(text)[0]
    if len(words) > MAX_TEXT:
        raise BadQuery(
            f"This text is longer than {MAX_TEXT} characters.",
            "Shorten it: the page shows the old one still.",
        )
    return words


def _add(session: Session, term: SignedTerm) -> None:
    if session.composed is None:
        raise BadQuery("There is no search to change yet.", "Search first.")
    if len(session.signed) >= MAX_TERMS:
        raise BadQuery(f"There are {MAX_TERMS} terms already.", "Take one of them away first.")
    session.signed = (*session.signed, term)
    words = {"more": "more like", "less": "less like", "without": "without"}[term.kind]
    steps.remember(session, f"{words} {term.words}")
