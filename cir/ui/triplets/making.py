"""What takes minutes: more triplets by SynCir, and a network that is trained on them. Each until it is done or stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, closing

import gradio as gr

from cir.errors import BadQuery
from cir.types import TrainingStep
from cir.ui import pieces
from cir.ui.search.screen import numbers
from cir.ui.server.waiting import Steps
from cir.ui.session import Session
from cir.ui.triplets import handlers, render
from cir.ui.triplets.handlers import TripletSession
from cir.ui.triplets.layout import STOP
from cir.ui.triplets.tab import TripletTab
from cir.ui.wiring import EACH, Update, answers_in_turn, problem_html, with_problems_shown

LOOKING = "Looking for pairs …"
ONCE = {**EACH, "trigger_mode": "once"}


def wire_generating(tab: TripletTab) -> None:
    """SynCir itself, a few triplets at a time, until it is done or stopped."""
    p, library, lines = tab.parts, tab.library, tab.content.lines
    # Updates, as a component that is made here would stand on the page.
    begun = {p.generate: gr.update(interactive=False), p.stop: gr.update(visible=True)}
    ended = {p.generate: gr.update(interactive=True), p.stop: gr.update(visible=False)}

    def steps(state: TripletSession, session: Session, key: object, *thresholds: object) -> Steps[Update]:
        tab.take_shown(state, key, thresholds)
        for made in handlers.generate(library, state, tab.searched(session)):
            drawn = tab.drawn(state, session, with_funnel=True)
            # The file that they go to is chosen in the list from the first step on.
            file = {} if made.triplet else {p.file: tab.files(state)}
            state.made = made.done
            yield {**begun, **file, **drawn, p.stage: render.progress(made)}, True

    async def generate(state: TripletSession, session: Session, *shown: object) -> AsyncIterator[Update]:
        state.stopping, state.made = False, 0
        stop = gr.Button(STOP, interactive=True, visible=True)
        yield {**begun, p.stop: stop, p.stage: pieces.working(LOOKING)}
        answers = lines.in_turn(steps(state, session, *shown), lambda: not state.stopping, lines=[lines.long])
        async with aclosing(answers_in_turn(answers, p.stage, LOOKING)) as came:
            async for answer in came:
                yield answer
        stopped = {p.stage: render.stopped(state.made)} if state.stopping else {}
        yield {**ended, p.file: tab.files(state), **stopped}

    def failed(error: Exception, *_: object) -> Update:
        return {**ended, p.stage: problem_html(error)}

    def stop(state: TripletSession) -> gr.Button:
        """The button says it: this answer may come after the last one of the making, whose line stays."""
        state.stopping = True
        return gr.Button("Stopping after this pair …", interactive=False)

    outputs = [p.generate, p.stop, p.file, *p.drawn]
    inputs = [*tab.inputs, p.file, *p.thresholds]
    p.generate.click(with_problems_shown(generate, failed), inputs, outputs, **ONCE)
    p.stop.click(stop, [tab.state], [p.stop], **EACH)


def wire_training(tab: TripletTab) -> None:
    """A network is trained on the triplets that are kept, until its time is up or it is stopped; then it can be searched with."""
    content, train_on = tab.content, tab.content.train
    if train_on is None:
        return
    p, library, lines, ask = tab.parts, tab.library, content.lines, tab.page.ask
    begun = {p.train: gr.update(interactive=False), p.use: gr.update(visible=False)}
    ended = {p.train: gr.update(interactive=True), p.stop_training: gr.update(visible=False)}

    def steps(state: TripletSession, session: Session, key: object, *thresholds: object) -> Steps[Update]:
        tab.take_shown(state, key, thresholds)
        table = handlers.open_table(library, state)
        gallery = handlers.pictured(content.shelf, tab.searched(session), table)
        with closing(handlers.train(library, state, gallery, train_on)) as training:  # type: ignore[type-var]
            for step in training:
                if isinstance(step, TrainingStep):
                    yield {p.trained: render.training(step)}, True
                    continue
                methods = gr.update(choices=pieces.method_choices(content.retriever.methods))
                offered = {ask.method: methods, p.use: gr.update(visible=True)}
                yield {**ended, **offered, p.trained: render.trained(step)}, True

    async def train(state: TripletSession, session: Session, *shown: object) -> AsyncIterator[Update]:
        state.training_stopped, state.trained = False, ""
        stop = gr.update(interactive=True, visible=True, value=STOP)
        looking, wanted = "Looking at the triplets …", lambda: not state.training_stopped
        yield {**begun, p.stop_training: stop, p.trained: pieces.working(looking)}
        answers = lines.in_turn(steps(state, session, *shown), wanted, lines=[lines.long])
        async with aclosing(answers_in_turn(answers, p.trained, looking)) as came:
            async for answer in came:
                yield answer
        if not state.trained:  # else all is said: of two answers at once, a button may not hear the first one
            yield {**ended, p.trained: render.line(render.TRAINING_STOPPED)}

    def failed(error: Exception, *_: object) -> Update:
        return {**ended, p.trained: problem_html(error)}

    def stop(state: TripletSession) -> gr.Button:
        state.training_stopped = True
        return gr.Button("Stopping after this step …", interactive=False)

    def use(state: TripletSession, session: Session) -> Update:
        """The network that was made is the method of the next search."""
        composers = content.retriever_for(session).composers
        if state.trained not in composers:
            raise BadQuery("That network is not here any more.", "Train it again.")
        method = gr.update(value=state.trained, choices=list(composers))
        tabs = gr.Tabs(selected="search")
        return {
            **numbers(content, ask, composers[state.trained]),
            ask.method: method,
            tab.page.tabs: tabs,
            p.trained: gr.skip(),
        }

    outputs = [p.train, p.stop_training, p.use, p.trained, ask.method]
    inputs = [*tab.inputs, p.file, *p.thresholds]
    p.train.click(with_problems_shown(train, failed), inputs, outputs, **ONCE)
    p.stop_training.click(stop, [tab.state], [p.stop_training], **EACH)
    used = [*ask.numbers, ask.method, tab.page.tabs, p.trained]
    p.use.click(with_problems_shown(use, p.trained), tab.inputs, used, **EACH)
