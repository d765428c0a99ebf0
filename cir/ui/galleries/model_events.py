"""The piece of the tab "Galleries" in which models for photographs are fetched: its components, and what they call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from cir.ui.galleries import model_render as render
from cir.ui.galleries.model_sets import ModelSets, ModelsSession, fetch, go_on, screen_of
from cir.ui.galleries.screen import GalleryIndexing
from cir.ui.problems import describe_problem
from cir.ui.wiring import QUIET, Update, html_piece, remembered, small_button, with_problems_shown

POLL_SECONDS = 1.0
HOW: dict[str, Any] = {**QUIET, "concurrency_limit": None}


class ModelsPanel:
    """The card, its buttons and its clock; laid out as it is made, wired by `wire`."""

    def __init__(self, sets: ModelSets, indexing: GalleryIndexing) -> None:
        self.sets, self.indexing = sets, indexing
        self.state = remembered(ModelsSession())
        with gr.Column(elem_id="models-for-photographs"):
            self.card = html_piece("", elem_id="models-card")
            with gr.Row(elem_id="models-actions"):
                self.get = small_button("Get the photograph models", "models-get", visible=False)
                self.fetch = small_button("Fetch them", "models-fetch", variant="primary", visible=False)
                self.decline = small_button("Not now", "models-decline", visible=False)
                self.resume = small_button("Go on", "models-resume", variant="primary", visible=False)
                self.stop = small_button("Stop", "models-stop", visible=False)
                self.use = small_button("Go on with them", "models-use", variant="primary", visible=False)
                self.back = small_button("Back to the models that came with it", "models-back", visible=False)
        self.timer = gr.Timer(POLL_SECONDS, active=False)

    def wire(self, tab: gr.Tab) -> None:
        """Say what each button does; opening the tab shows how things stand."""
        sets, indexer = self.sets, self.indexing.indexer
        acts: dict[Any, Callable[[ModelsSession], object]] = {
            self.get: lambda s: setattr(s, "asked", True),
            self.decline: lambda s: setattr(s, "asked", False),
            self.fetch: lambda s: fetch(sets, s),
            self.resume: lambda s: fetch(sets, s),
            self.stop: lambda _: sets.fetching.cancel(),
            self.use: lambda s: go_on(sets, indexer, s, sets.offered),
            self.back: lambda s: go_on(sets, indexer, s, sets.shipped),
        }
        for button, act in acts.items():
            self._on(button.click, act)
        self._on(tab.select, lambda _: None)
        self._on(self.timer.tick, lambda _: None, keeps_problem=True)

    @property
    def drawn(self) -> list[Any]:
        """What shows how things stand."""
        buttons = [self.get, self.fetch, self.decline, self.resume, self.stop, self.use, self.back]
        return [self.card, *buttons, self.timer]

    def draw(self, session: ModelsSession) -> Update:
        """How things stand."""
        entries = self.indexing.shelf.entries() if self.sets.used != self.sets.shipped else []
        seen = screen_of(self.sets, session, [one.title for one in entries if one.other_models])
        running, broken_off = seen.job.is_running, seen.job.state in ("stopped", "failed")
        offers = seen.can_fetch and not running and not seen.asked
        return {
            self.card: render.card(seen),
            self.get: gr.Button(render.get_words(seen), visible=offers and not broken_off),
            self.fetch: gr.Button(visible=seen.can_fetch and seen.asked and not running),
            self.decline: gr.Button(visible=seen.can_fetch and seen.asked and not running),
            self.resume: gr.Button(visible=offers and broken_off),
            self.stop: gr.Button(visible=running and seen.job.state != "stopping"),
            self.use: gr.Button(visible=seen.can_go_on),
            self.back: gr.Button(visible=seen.can_go_back and not running),
            self.timer: gr.Timer(active=running),
        }

    def _on(self, event: Any, act: Callable[[ModelsSession], object], *, keeps_problem: bool = False) -> None:
        def answer(session: ModelsSession) -> Update:
            session.problem = session.problem if keeps_problem else None
            act(session)
            return self.draw(session)

        def failed(error: Exception, session: ModelsSession) -> Update:
            session.problem = describe_problem(error)
            return self.draw(session)

        event(with_problems_shown(answer, failed), [self.state], self.drawn, **HOW)
