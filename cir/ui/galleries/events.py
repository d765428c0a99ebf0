"""Which event of the tab "Galleries" calls which handler, and where its answer goes. Handlers answer by component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cir.errors import CirError, GalleryError
from cir.shelf import ShelfEntry
from cir.ui.galleries import handlers, render
from cir.ui.galleries.layout import GalleriesParts
from cir.ui.galleries.screen import GalleriesSession, GalleryIndexing, Report, screen_of
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.problems import describe_problem
from cir.ui.search.snapshots import recall_session
from cir.ui.session import Session
from cir.ui.switcher.handlers import notes_of
from cir.ui.switcher.screen import job_of, state_of, switched_page, switched_parts
from cir.ui.wiring import AS_SENT, PRIVATE, QUIET, Update, html_piece, remembered, with_problems_shown

HOW: dict[str, Any] = {**AS_SENT, "concurrency_limit": None}
# What came of a click, and how the indexing gets on, is brought into view and told to screen readers.
_SHOW = """() => {
  const now = document.getElementById("galleries-now"), place = now.getBoundingClientRect();
  now.tabIndex = -1;
  now.focus({preventScroll: true});
  if (place.top < 0 || place.bottom > window.innerHeight)
    now.scrollIntoView({block: place.height > window.innerHeight ? "start" : "center"});
}"""
_NOT_HERE = (
    '<p class="hint">Galleries are not made on this page. On your own computer they are: <code>python app.py</code>, '
    "or <code>python -m cir index FOLDER</code>.</p>"
)
Act = Callable[..., Report | None]


def lay_out(content: PageContent, page: PageParts) -> None:
    """The whole tab. Where nothing may be made, it says so."""
    with gr.Column(elem_id="galleries"):
        if content.indexing is None:
            html_piece(_NOT_HERE)
            return
        parts = GalleriesParts(content.indexing)
    state = remembered(GalleriesSession())
    tab = _Tab(content, content.indexing, page, parts, state)
    for wire in (wire_chosen, wire_job, wire_making, wire_progress, wire_search):
        wire(tab)
    if parts.models is not None:
        parts.models.wire(page.tab)


@dataclass(frozen=True, slots=True)
class _Tab:
    """What all events need: the content, the components, and what the server remembers of a page."""

    content: PageContent
    indexing: GalleryIndexing
    page: PageParts
    parts: GalleriesParts
    state: gr.State

    def drawn(self, state: GalleriesSession) -> Update:
        """How things stand."""
        p, seen = self.parts, screen_of(self.indexing, state)
        choices, running, chosen = list(state.names), seen.job.is_running, seen.chosen
        movable = bool(self.indexing.roots) and chosen is not None and not chosen.uploaded
        return {
            p.listing: render.gallery_list(seen),
            p.choice: gr.Dropdown(choices=choices, value=state.chosen if state.chosen in choices else None),
            p.own: gr.Column(visible=bool(choices)),
            **self._acts(chosen),
            p.place: gr.Row(visible=movable),
            p.question: render.question(chosen, state.to_delete),
            p.to_delete: state.to_delete,
            p.answers: gr.Row(visible=bool(state.to_delete)),
            p.report: render.report(state.report, running=running),
            p.job: render.job_card(seen.job),
            p.job_name: seen.job.name,
            p.stop: gr.Button(visible=running),
            p.resume: gr.Button(visible=seen.can_resume and not running),
            p.purge: gr.Button(visible=seen.wants_confirmation),
            p.timer: gr.Timer(active=running),
        }

    def _acts(self, chosen: ShelfEntry | None) -> Update:
        """A gallery of other models is neither searched nor brought up to date: it is indexed again, beside itself."""
        p, others = self.parts, chosen is not None and chosen.other_models
        shown = {p.search: not others, p.rescan: not others, p.again: others}
        return {button: gr.Button(visible=visible) for button, visible in shown.items()}

    def on(self, triggers: Sequence[Any], act: Act, sent: Sequence[Any] = ()) -> Any:
        """An action: it does one thing, says what came of it, and shows how things stand."""

        def answer(state: GalleriesSession, *values: object) -> Update:
            state.report = act(state, *values) or Report()
            return self.drawn(state)

        def failed(error: Exception, state: GalleriesSession, *_: object) -> Update:
            state.report = Report(problem=describe_problem(error))
            return self.drawn(state)

        handler = with_problems_shown(answer, failed)
        return gr.on(triggers, handler, [self.state, *sent], self.parts.drawn, **HOW)

    def on_shown(self, triggers: Sequence[Any], act: Act, sent: Sequence[Any] = ()) -> Any:
        """An action whose outcome is brought into view."""
        return self.on(triggers, act, sent).then(None, js=_SHOW, **PRIVATE)


def of_shown(act: Act) -> Act:
    """The action on the gallery that the page shows: what was just chosen may be on its way still."""

    def run(state: GalleriesSession, chosen: object, *values: object) -> Report | None:
        turn_to(state, chosen)
        return act(state, *values)

    return run


def turn_to(state: GalleriesSession, chosen: object) -> None:
    """Let actions be about the gallery that the page shows as chosen; None for none."""
    if chosen not in (None, state.chosen):
        handlers.choose(state, chosen)


def wire_chosen(tab: _Tab) -> None:
    """Choosing a gallery, and what is done with it."""
    p, indexing = tab.parts, tab.indexing
    tab.on([p.choice.input], handlers.choose, [p.choice])
    tab.on([p.delete.click], of_shown(lambda s: handlers.ask_to_delete(indexing, s)), [p.choice])
    tab.on([p.keep.click], handlers.withdraw)
    tab.on_shown([p.confirm.click], lambda s, name: handlers.delete(indexing, s, name), [p.to_delete])
    tab.on_shown([p.rescan.click], of_shown(lambda s: handlers.bring_up_to_date(indexing, s)), [p.choice])
    tab.on_shown([p.again.click], of_shown(lambda s: handlers.index_again(indexing, s)), [p.choice])
    tab.on_shown(
        [p.rename.click, p.rename_to.submit],
        of_shown(lambda s, name: handlers.rename(indexing, s, name)),
        [p.choice, p.rename_to],
    )
    tab.on_shown(
        [p.move.click],
        of_shown(lambda s, folder: handlers.move(indexing, s, folder)),
        [p.choice, p.move_to],
    )


def wire_job(tab: _Tab) -> None:
    """What is done with the indexing that the page shows."""
    p, indexing = tab.parts, tab.indexing
    shown = [p.job_name]
    tab.on_shown([p.stop.click], lambda s, name: handlers.stop(indexing, name), shown)
    tab.on_shown([p.resume.click], lambda s, name: handlers.go_on(indexing, name), shown)
    tab.on_shown([p.purge.click], lambda s, name: handlers.go_on(indexing, name, confirm_purge=True), shown)


def wire_making(tab: _Tab) -> None:
    """A gallery of a folder, and one of uploads; opening the tab lists the folders."""
    p, indexing = tab.parts, tab.indexing
    tab.on_shown(
        [p.make.click, p.folder_name.submit, p.exclude.submit],
        lambda s, *typed: handlers.make_of_folder(indexing, s, *typed),
        [p.folder, p.folder_name, p.exclude],
    )
    uploaded = tab.on_shown(
        [p.upload.click, p.files_name.submit],
        lambda s, files, name: handlers.make_of_uploads(indexing, s, files, name),
        [p.files, p.files_name],
    )
    uploaded.then(lambda: None, None, [p.files], **QUIET)

    def opened(state: GalleriesSession) -> Update:
        folders, info = handlers.offer_folders(indexing, state), handlers.folders_note(state) or None
        listed = gr.Dropdown(choices=folders, value=folders[0][1] if folders else None, info=info)
        return {**tab.drawn(state), p.folder: listed, p.move_to: listed}

    tab.page.tab.select(opened, [tab.state], [p.folder, p.move_to, *p.drawn], **HOW)


def wire_progress(tab: _Tab) -> None:
    """While something is indexed, the tab and the line over the query follow it."""
    p, page, content = tab.parts, tab.page, tab.content
    # A tick that was on its way must not take back the question that a click has just put.
    ticked = [part for part in p.drawn if part not in p.asking]
    above = [page.switcher.head, page.switcher.choice, page.switcher.notes]

    def progress(state: GalleriesSession, session: Session) -> Update:
        drawn = tab.drawn(state) | over_the_query(state, session)
        return {part: drawn[part] for part in (*ticked, *above) if part in drawn}

    def over_the_query(state: GalleriesSession, session: Session) -> Update:
        """What the Search tab says of its gallery and of those on offer; nothing where it says so already."""
        try:
            gallery = content.retriever_for(session).gallery
        except CirError:  # gone, or forgotten: the Search tab says it when it is opened
            return {}
        now = (tab.indexing.shelf.entries(), len(gallery), notes_of(gallery, job_of(content)))
        if now == state.searched:
            return {}
        state.searched = now
        drawn = state_of(content, page.switcher, session)
        if session.only:
            del drawn[page.switcher.notes]
        return drawn

    p.timer.tick(progress, [tab.state, page.session], [*ticked, *above], **HOW)


def wire_search(tab: _Tab) -> None:
    """ "Search it" goes to the Search tab with that gallery chosen there."""
    p, page, content = tab.parts, tab.page, tab.content

    def go(state: GalleriesSession, chosen: object, session: Session, snapshot: object) -> Update:
        turn_to(state, chosen)
        if not state.chosen:
            raise GalleryError("There is no gallery of your own yet.", "Make one of a folder, or of uploads.")
        recall_session(content, session, snapshot)
        turned = switched_page(content, page, session, state.chosen)
        state.report = Report()
        return {**turned, page.tabs: gr.Tabs(selected="search"), p.report: ""}

    def failed(error: Exception, state: GalleriesSession, *_: object) -> Update:
        state.report = Report(problem=describe_problem(error))
        return {p.report: render.report(state.report)}

    sent = [tab.state, p.choice, page.session, page.shown.snapshot]
    outputs = [p.report, page.tabs, *switched_parts(page)]
    p.search.click(with_problems_shown(go, failed), sent, outputs, **HOW)
