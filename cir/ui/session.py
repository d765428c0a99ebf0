"""What the page remembers and says: settings, a visitor's session, an answer, an example, a problem."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache

from cir.composers.parameters import Parameter, Values
from cir.errors import CirError
from cir.gallery.narrowing import Narrowing
from cir.types import ComposedQuery, RetrievedImage, SignedTerm


@dataclass(frozen=True, slots=True)
class Settings:
    """What re-orders results without a new query.

    Attributes:
        values: the numbers of the method, by name; those that are missing are where the method starts.
        top_k: how many are ranked.
        leave_out_reference: whether the reference may not appear.
        at_least: results below this score are hidden; 0 hides none, whatever its score.
        fold: whether near-identical results stand behind the best of them.
        automatic: whether the numbers are where the method starts for the picture; no longer once a person chose some.
    """

    values: Values = field(default_factory=dict)
    top_k: int = 30
    leave_out_reference: bool = True
    at_least: float = 0.0
    fold: bool = True
    automatic: bool = False


@dataclass(slots=True)
class Step:
    """One query, or one change of it.

    Attributes:
        number: counts the session's steps from 1.
        parent: the step on the screen when this one was made; 0 for none.
        title: the edit, or what was changed, in words.
        picture: the reference as a small data address, "" without one.
        kept: the session's fields named in `cir.ui.search.steps.KEPT`; none of the values is ever changed in place.
    """

    number: int
    parent: int
    title: str
    picture: str
    kept: dict[str, Any]


@dataclass(slots=True)
class Session:
    """What the server remembers of one page between two events: the parts of one query, and ids. Small.

    Attributes:
        token: known to this page alone; "" for a session that no page has opened.
        line: the token of the first session in a line that took over from one another: their steps are the same.
        version: how many answers were given; a page that gets an older one after a newer asks again.
        composed: the query as far as it is composed; a few rows of features.
        method: how it was composed.
        parameters: the numbers that the method has.
        settings: as last sent; results that come in later are ranked by these.
        notes: what was noticed while the query was read.
        picked_id: the gallery image chosen as the reference, "" for an own picture.
        reference_id: the same, of the query in `composed`.
        result_ids, browsed_ids: what is on the screen, in order.
        inspected_id: the result looked at closely.
        searches: how many were begun; an older one stops when a newer one has begun.
        seed, page: which page of which order of the gallery is shown.
        gallery: the gallery that is searched; "" for the one that the page began with.
        former_names: what that gallery was called on this page before it was renamed.
        gallery_seen: its name, when it was written and how many images it had, as they were told last.
        intended_id: the image that ought to be found, where a triplet or a person named one; its rank is told.
        galleries: those on offer in the switcher, in order.
        only: where in the gallery to look.
        machine: the query as the methods left it, before a person changed its texts.
        signed: what more and what less is wanted, on top of `composed`.
        texts: kind -> texts that are to stand in the place of the machine's when the next search is whole.
        image_path, text: what was asked.
        pages: how many times `settings.top_k` results are shown.
        selected: results chosen for the download.
        unfolded: results whose near-identical ones are shown.
        steps, step: the session's steps, and the number of the present one.
    """

    token: str = ""
    line: str = ""
    version: int = 0
    composed: ComposedQuery | None = None
    method: str = ""
    parameters: tuple[Parameter, ...] = ()
    settings: Settings = field(default_factory=lambda: Settings(automatic=True))
    notes: tuple[str, ...] = ()
    picked_id: str = ""
    reference_id: str = ""
    result_ids: tuple[str, ...] = ()
    browsed_ids: tuple[str, ...] = ()
    inspected_id: str = ""
    searches: int = 0
    seed: int = 0
    page: int = 0
    gallery: str = ""
    former_names: tuple[str, ...] = ()
    gallery_seen: tuple[str, str, int] = ("", "", 0)
    intended_id: str = ""
    galleries: tuple[str, ...] = ()
    only: Narrowing = field(default_factory=Narrowing)
    machine: ComposedQuery | None = None
    signed: tuple[SignedTerm, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    image_path: Path | None = None
    text: str = ""
    pages: int = 1
    selected: tuple[str, ...] = ()
    unfolded: frozenset[str] = frozenset()
    steps: list[Step] = field(default_factory=list)
    step: int = 0

    def take_over(self, other: Session) -> None:
        """Go on where another session is; the two share no list."""
        for part in fields(self):
            setattr(self, part.name, getattr(other, part.name))
        self.steps = list(other.steps)

    def follow(self, name: str, folder_before: Path, folder: Path) -> None:
        """Go on in the same gallery, which was renamed: its steps and its reference stay.

        Args:
            name: what it is called now.
            folder_before, folder: where it was kept, and where it is kept now.
        """
        before = self.gallery
        self.former_names, self.gallery = (*self.former_names, before), name
        for step in self.steps:
            if step.kept["gallery"] == before:
                step.kept = {**step.kept, "gallery": name}
        self.move_pictures(folder_before, folder)

    def move_pictures(self, folder_before: Path, folder: Path) -> None:
        """Look for pictures that lay in a gallery's folder where that is now."""

        def moved(path: Path | None) -> Path | None:
            inside = path is not None and path.is_relative_to(folder_before)
            return folder / path.relative_to(folder_before) if path is not None and inside else path

        self.image_path = moved(self.image_path)
        for step in self.steps:
            step.kept = {**step.kept, "image_path": moved(step.kept["image_path"])}


def size_of(value: object, seen: set[int] | None = None) -> int:
    """Bytes of memory that something holds; what it holds twice counts once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return 0
    seen.add(id(value))
    held: Iterable[object] = ()
    if is_dataclass(value):
        held = (getattr(value, part.name) for part in fields(value))
    elif isinstance(value, Mapping):
        held = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | frozenset):
        held = value
    own = value.nbytes if isinstance(value, np.ndarray) else 0  # that of a view is its own part alone
    return sys.getsizeof(value) + own + sum(size_of(part, seen) for part in held)


class ForgottenPage(CirError):
    """A page speaks of a session that is not known here, or not any more."""


class Sessions:
    """The sessions of pages by their tokens, up to `most_bytes`; the one that was used longest ago goes first.

    The one that was used last stays, however large it is. A page whose session went is mended as it asks again.

    Gradio forgets a session after an hour, and after two hundred others, of which each call of a program is one.
    Programs are not kept here, so none of them takes a person's place.
    """

    def __init__(self, most_bytes: int = 64 * 2**20) -> None:
        # One that is larger than all may be together counts as all: it stays, and alone.
        self._kept: LRUCache[str, Session] = LRUCache(
            most_bytes, getsizeof=lambda session: min(size_of(session), most_bytes)
        )
        self._lock = Lock()

    def keep(self, session: Session) -> None:
        """Remember a session, under a new token if it has none yet."""
        with self._lock:
            session.token = session.token or secrets.token_urlsafe(12)
            session.line = session.line or session.token
            self._kept.pop(session.token, None)  # what it was until now takes no room from it
            self._kept[session.token] = session

    def find(self, token: str) -> Session | None:
        """The session of a page; None where it is not known here, or not any more."""
        with self._lock:
            return self._kept.get(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """Results and all that is said about them.

    Attributes:
        method, settings, composed: what was ranked, and how; `composed` has its signed terms.
        results: ranked, best first, none below the threshold.
        notes: sentences for the person.
        shown: those of the results that stand on the page.
        similar: id -> the near-identical results that stand behind it.
        total: how many pictures there would be, were all shown.
    """

    method: str
    settings: Settings
    results: tuple[RetrievedImage, ...]
    composed: ComposedQuery
    notes: tuple[str, ...]
    shown: tuple[RetrievedImage, ...] = ()
    similar: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    total: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A query that is known to work: a gallery image and an edit."""

    image_id: str
    text: str
