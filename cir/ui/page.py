"""The noun of the page: what it is about, and what is searched for whom. Knows no component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cir.composers.parameters import Values
from cir.types import ModelFact
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
        shelf: all galleries that can be searched; the page begins with its first one.
        presets: name -> numbers of a method, as buttons; the first one is set at the start.
        missing: part -> sentence with the remedy, for models that are not here.
        where_asked: where captions and edits go that the language model is asked about, in a sentence; "" where they stay.
        facts: the lines of "About the models".
        fingerprints: part -> fingerprint, for programs.
        examples: queries that work.
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

    shelf: Shelf
    presets: Mapping[str, Values] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    where_asked: str = ""
    facts: Sequence[ModelFact] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    examples: Sequence[Example] = ()
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

    @property
    def retriever(self) -> Retriever:
        """Over the gallery that the page begins with."""
        return self.shelf.first

    def retriever_for(self, session: Session) -> Retriever:
        """What this visitor searches: the retriever over the gallery that was chosen on the page.

        Raises:
            GalleryError: that gallery is not there any more.
            ForgottenPage: it is not known which one that was.
        """
        if not session.token:
            raise ForgottenPage(
                "The server had forgotten this page.", "Go to the Search tab, which brings it back."
            )
        self.follow_renamed(session)
        return self.shelf.retriever(session.gallery)

    def follow_renamed(self, session: Session) -> None:
        """Go on with the gallery that a visitor searches under its new name, where it was renamed."""
        if (name := self.shelf.present_name(session.gallery)) != session.gallery:
            root = self.shelf.cache_root
            session.follow(name, root / session.gallery, root / name)
        elif not name and (home := self.shelf.home):
            for before in self.shelf.former_homes:
                session.move_pictures(before, home)
