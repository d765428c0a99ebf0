"""What all events of the triplet tab need, and the tab drawn as it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cir.gallery.searchable import Searchable
from cir.syncir.judgements import ACCEPTED, REJECTED
from cir.syncir.library import TripletLibrary
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.session import Session
from cir.ui.triplets import handlers, render
from cir.ui.triplets.funnel import funnel
from cir.ui.triplets.handlers import TripletSession
from cir.ui.triplets.layout import TripletParts
from cir.ui.triplets.reading import read_thresholds
from cir.ui.wiring import Update, with_problems_shown


@dataclass(frozen=True, slots=True)
class TripletTab:
    """What all events need: the content, the triplets, the components, and what the server remembers of a visitor."""

    content: PageContent
    library: TripletLibrary
    page: PageParts
    parts: TripletParts
    state: gr.State

    @property
    def inputs(self) -> list[Any]:
        """The first inputs of each handler: the sessions of this tab and of the page."""
        return [self.state, self.page.session]

    def searched(self, session: Session) -> Searchable:
        """What this visitor searches."""
        return self.content.retriever_for(session).gallery

    def drawn(self, state: TripletSession, session: Session, *, with_funnel: bool = False) -> Update:
        """The list and the triplet that is looked at, as they stand now."""
        p, searched = self.parts, self.searched(session)
        table = handlers.open_table(self.library, state)
        gallery = handlers.pictured(self.content.shelf, searched, table)
        page = handlers.show(self.library, state, gallery)
        seen = handlers.closer(self.library, state, gallery)
        verdict = seen.card.judgement.verdict if seen else ""
        answer = {
            p.stage: "",
            p.where: render.where(page),
            p.cards: render.cards(page),
            p.closer: render.closer(seen),
            p.on_screen: seen.card.shown.as_json() if seen else "",
            p.details: render.details(seen),
            p.accept: gr.Button("Accepted" if verdict == ACCEPTED else "Accept"),
            p.reject: gr.Button("Rejected" if verdict == REJECTED else "Reject"),
        }
        if with_funnel:
            answer[p.funnel] = funnel(handlers.funnel(self.library, state, gallery))
        text = (seen.card.shown.key, seen.card.shown.row, seen.card.text) if seen else None
        # What is being typed stays until it is saved, or there is another triplet.
        if text != state.text_shown:
            state.text_shown = text
            answer[p.text] = text[2] if text else ""
        if state.reset:
            state.reset, wanted = False, state.filters
            values = [wanted.verdict, wanted.reason, wanted.low, wanted.high, wanted.words, state.sort]
            answer |= zip([*p.filters, p.sort], values, strict=True)
        return answer

    def drawing(self, act: Callable[..., object], *, with_funnel: bool = False) -> Callable[..., Update]:
        """A handler that lets `act` change the session, and shows what it leads to."""

        def answer(state: TripletSession, session: Session, *values: Any) -> Update:
            act(state, *values)
            return self.drawn(state, session, with_funnel=with_funnel)

        return with_problems_shown(answer, self.parts.stage)

    def take_shown(self, state: TripletSession, key: object, thresholds: Sequence[object]) -> None:
        """Turn to the file and the thresholds that the page shows: their choice may be on its way still."""
        if key:
            handlers.choose(self.library, state, key)
        state.thresholds = read_thresholds(*thresholds)

    def files(self, state: TripletSession) -> gr.Dropdown:
        """All files as they are called now, with the one that is looked at."""
        return gr.Dropdown([(file.title, file.key) for file in self.library.files()], value=state.key)
