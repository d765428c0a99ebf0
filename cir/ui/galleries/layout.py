"""Where everything stands in the tab "Galleries", and which event calls which handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from cir.errors import CirError, GalleryError
from cir.shelf import Shelf
from cir.ui.galleries import handlers, render, switching
from cir.ui.galleries.handlers import Desk, Making, Report
from cir.ui.galleries.switcher import (
    job_of,
    outputs_of_switch,
    state_of,
    switched_page,
)
from cir.ui.pieces import escape
from cir.ui.problems import describe_problem
from cir.ui.search import handlers as search_handlers
from cir.ui.search.render import gallery_page
from cir.ui.search.snapshots import recall_session
from cir.ui.session import Session

if TYPE_CHECKING:
    from cir.ui.page import PageContent, PageParts

POLL_SECONDS = 1.5
# What came of a click, and how the indexing gets on, is brought into view and told to screen readers.
_SHOW = """() => {
  const now = document.getElementById("galleries-now"), place = now.getBoundingClientRect();
  now.tabIndex = -1;
  now.focus({preventScroll: true});
  if (place.top < 0 || place.bottom > window.innerHeight)
    now.scrollIntoView({block: place.height > window.innerHeight ? "start" : "center"});
}"""
SESSION_SECONDS = 3600
_HOW: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "preprocess": False,
    "concurrency_limit": None,
}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The components of the tab."""

    listing: gr.HTML
    choice: gr.Dropdown
    own: gr.Column
    search: gr.Button
    rescan: gr.Button
    rename_to: gr.Textbox
    rename: gr.Button
    place: gr.Row
    move_to: gr.Dropdown
    move: gr.Button
    delete: gr.Button
    doom: gr.HTML
    doomed: gr.Textbox
    doom_row: gr.Row
    confirm: gr.Button
    keep: gr.Button
    said: gr.HTML
    job: gr.HTML
    job_name: gr.Textbox
    stop: gr.Button
    resume: gr.Button
    purge: gr.Button
    folder: gr.Dropdown
    folder_name: gr.Textbox
    exclude: gr.Textbox
    make: gr.Button
    files: gr.File
    files_name: gr.Textbox
    upload: gr.Button
    timer: gr.Timer

    @property
    def screen(self) -> list[Any]:
        """What `_screen` answers for, in its order."""
        return [
            self.listing, self.choice, self.own, self.place, self.doom, self.doomed, self.doom_row, self.said, self.job,
            self.job_name, self.stop, self.resume, self.purge, self.timer,
        ]  # fmt: skip


def lay_out_tab(content: PageContent, page: PageParts) -> None:
    """The whole tab. Without a shelf, or where nothing may be made, it says so."""
    with gr.Column(elem_id="galleries"):
        if content.shelf is None or content.making is None:
            _html('<p class="hint">Galleries are not made on this page. On your own computer they are: '
                  "<code>python app.py</code>, or <code>python -m cir index FOLDER</code>.</p>")  # fmt: skip
            return
        parts = _lay_out(content.making)
    desk = gr.State(Desk(), time_to_live=SESSION_SECONDS)
    _wire(content, page, desk, parts)
    _wire_search(content, page, desk, parts)


def _lay_out(making: Making) -> _Parts:
    listing = _html("", elem_id="galleries-list")
    with gr.Column(visible=False, elem_id="galleries-own") as own:
        with gr.Row():
            choice = gr.Dropdown([], label="Your gallery", min_width=180, elem_id="galleries-choice")
            search = _button("Search it", "galleries-search", variant="primary")
            rescan = _button("Bring up to date", "galleries-rescan")
            delete = _button("Delete …", "galleries-delete")
        with gr.Accordion("Rename, or say where its pictures are now", open=False):
            with gr.Row():
                rename_to = gr.Textbox(
                    label="New name", max_length=79, min_width=180, elem_id="galleries-new-name"
                )
                rename = _button("Rename", "galleries-rename")
            with gr.Row(visible=False) as place:
                move_to = gr.Dropdown(
                    [], label="Its pictures are in", min_width=180, elem_id="galleries-move-to"
                )
                move = _button("Look for them there", "galleries-move")
        doom = _html("", elem_id="galleries-doom")
        doomed = gr.Textbox(visible="hidden")  # about which gallery the page asks: that is confirmed
        with gr.Row(visible=False) as doom_row:
            confirm = _button("Delete it", "galleries-confirm", variant="stop")
            keep = _button("Keep it", "galleries-keep")
    said, job, job_name, stop, resume, purge = _lay_out_now()
    _html("<h2>Make a gallery</h2>")
    if making.note:
        _html(f'<p class="hint">{escape(making.note)}</p>')
    with gr.Row(elem_id="galleries-make", equal_height=False):
        folder, folder_name, exclude, make = _lay_out_folder(making)
        files, files_name, upload = _lay_out_uploads(making)
    timer = gr.Timer(POLL_SECONDS, active=False)
    return _Parts(
        listing, choice, own, search, rescan, rename_to, rename, place, move_to, move, delete, doom, doomed,
        doom_row, confirm, keep, said, job, job_name, stop, resume, purge, folder, folder_name, exclude, make, files, files_name, upload, timer,
    )  # fmt: skip


def _lay_out_now() -> tuple[gr.HTML, gr.HTML, gr.Textbox, gr.Button, gr.Button, gr.Button]:
    """What came of the last click, and how the indexing gets on: between what is there and what can be made."""
    with gr.Column(elem_id="galleries-now"):
        said = _html("", elem_id="galleries-said")
        job = _html("", elem_id="galleries-job")
        job_name = gr.Textbox(visible="hidden")  # whose indexing the page shows: that is stopped, or goes on
        with gr.Row(elem_id="galleries-job-actions"):
            stop = _button("Stop", "galleries-stop", visible=False)
            resume = _button("Go on", "galleries-resume", visible=False)
            purge = _button("They are really gone: take them out", "galleries-purge", visible=False)
    return said, job, job_name, stop, resume, purge


def _lay_out_folder(making: Making) -> tuple[gr.Dropdown, gr.Textbox, gr.Textbox, gr.Button]:
    with gr.Column(min_width=260):
        _html("<h3>Of a folder of this computer</h3>")
        folder = gr.Dropdown([], label="Folder", visible=bool(making.roots), elem_id="galleries-folder")
        name = gr.Textbox(
            label="Name (optional)",
            max_length=79,
            visible=bool(making.roots),
            elem_id="galleries-folder-name",
        )
        exclude = gr.Textbox(
            label="Leave out (optional)",
            placeholder="*.png, Previews/, 2019/raw",
            info="Names or paths as in .gitignore. They are remembered; “nothing” takes them back.",
            max_length=2000,
            visible=bool(making.roots),
            elem_id="galleries-exclude",
        )
        make = _button(
            "Index this folder", "galleries-make-folder", variant="primary", visible=bool(making.roots)
        )
        _html(render.how_folders_are_allowed([root.name or "/" for root in making.roots]))
    return folder, name, exclude, make


def _lay_out_uploads(making: Making) -> tuple[gr.File, gr.Textbox, gr.Button]:
    limits = making.limits
    with gr.Column(min_width=260):
        _html("<h3>Of pictures that you upload</h3>")
        # No `file_types`: the field would drop other files without a word. What is not kept is named with its reason.
        files = gr.File(
            label="Pictures, or a zip of pictures",
            file_count="multiple",
            height=150,
            elem_id="galleries-files",
        )
        name = gr.Textbox(label="Name (optional)", max_length=79, elem_id="galleries-files-name")
        upload = _button("Make a gallery of these", "galleries-make-uploads", variant="primary")
        _html(
            f'<p class="hint">Up to {limits.file_bytes / 1e6:.0f} MB a file and {limits.total_bytes / 1e9:.0f} GB in '
            "all. They stay on the computer that runs this page; whoever can open the page can search them. Under the "
            "name of a gallery of uploads, they are added to it.</p>"
        )
    return files, name, upload


def _html(value: str, **options: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, **options)


def _button(words: str, elem_id: str, **options: Any) -> gr.Button:
    return gr.Button(words, size="sm", min_width=0, elem_id=elem_id, **options)


def _screen(shelf: Shelf, making: Making, desk: Desk) -> tuple[Any, ...]:
    """The tab as things stand, for `_Parts.screen`."""
    seen = handlers.look(shelf, making, desk)
    choices, chosen = list(desk.names), desk.chosen if desk.chosen in desk.names else None
    running = seen.job.is_running
    return (
        render.gallery_list(seen),
        gr.Dropdown(choices=choices, value=chosen),
        gr.Column(visible=bool(choices)),
        gr.Row(visible=bool(making.roots) and seen.chosen is not None and not seen.chosen.uploaded),
        render.doom(seen.chosen, seen.doomed),
        seen.doomed,
        gr.Row(visible=bool(seen.doomed)),
        render.report(seen.report, running=running),
        render.job_card(seen.job),
        seen.job.name,
        gr.Button(visible=running),
        gr.Button(visible=seen.can_resume and not running),
        gr.Button(visible=seen.wants_confirmation),
        gr.Timer(active=running),
    )


def _wire(content: PageContent, page: PageParts, desk: gr.State, parts: _Parts) -> None:
    """Every button does one thing, says what came of it, and shows how things stand."""
    shelf, making = content.shelf, content.making
    assert shelf is not None
    assert making is not None

    def doing(act: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        def run(state: Desk, *values: object) -> tuple[Any, ...]:
            try:
                state.report = act(state, *values) or Report()
            except Exception as error:  # shown as a sentence; faults are logged under an id
                state.report = Report(problem=describe_problem(error))
            return _screen(shelf, making, state)

        return run

    def on(triggers: Sequence[Any], act: Callable[..., Any], inputs: Sequence[Any] = ()) -> Any:
        return gr.on(triggers, doing(act), [desk, *inputs], parts.screen, **_HOW)

    def shown(triggers: Sequence[Any], act: Callable[..., Any], inputs: Sequence[Any] = ()) -> Any:
        return on(triggers, act, inputs).then(None, js=_SHOW, api_visibility="private")

    def of_chosen(act: Callable[..., Any]) -> Callable[..., Any]:
        """The action on the gallery that the page shows: what was just chosen may be on its way still."""

        def run(state: Desk, chosen: object, *values: object) -> Any:
            if chosen not in (None, state.chosen):
                handlers.choose(state, chosen)
            return act(state, *values)

        return run

    on([parts.choice.input], handlers.choose, [parts.choice])
    on([parts.delete.click], of_chosen(lambda d: handlers.ask_to_delete(shelf, d)), [parts.choice])
    on([parts.keep.click], handlers.withdraw)
    shown(
        [parts.rescan.click], of_chosen(lambda d: handlers.bring_up_to_date(shelf, making, d)), [parts.choice]
    )
    shown(
        [parts.rename.click, parts.rename_to.submit],
        of_chosen(lambda d, name: handlers.rename(shelf, making, d, name)),
        [parts.choice, parts.rename_to],
    )
    shown(
        [parts.move.click],
        of_chosen(lambda d, folder: handlers.move(shelf, making, d, folder)),
        [parts.choice, parts.move_to],
    )
    shown([parts.confirm.click], lambda d, name: handlers.delete(shelf, making, d, name), [parts.doomed])
    shown([parts.stop.click], lambda d, name: handlers.stop(making, name), [parts.job_name])
    shown([parts.resume.click], lambda d, name: handlers.go_on(making, name), [parts.job_name])
    shown(
        [parts.purge.click],
        lambda d, name: handlers.go_on(making, name, confirm_purge=True),
        [parts.job_name],
    )
    shown(
        [parts.make.click, parts.folder_name.submit, parts.exclude.submit],
        lambda d, *typed: handlers.make_of_folder(shelf, making, d, *typed),
        [parts.folder, parts.folder_name, parts.exclude],
    )
    uploaded = shown(
        [parts.upload.click, parts.files_name.submit],
        lambda d, files, name: handlers.make_of_uploads(shelf, making, d, files, name),
        [parts.files, parts.files_name],
    )
    uploaded.then(lambda: None, None, [parts.files], show_progress="hidden", api_visibility="private")

    def progress(state: Desk, session: Session) -> list[Any]:
        shown = zip(parts.screen, _screen(shelf, making, state), strict=True)
        return [value for part, value in shown if part not in asked] + _searched(content, state, session)

    # A tick that was on its way must not take back the question that a click has just put.
    asked = (parts.doom, parts.doomed, parts.doom_row)
    ticked = [part for part in parts.screen if part not in asked]
    ticked += [page.switcher.head, page.switcher.choice, page.switcher.notes] if page.switcher else []
    parts.timer.tick(progress, [desk, page.session], ticked, **_HOW)

    def opened(state: Desk) -> tuple[Any, ...]:
        folders = handlers.offer_folders(making, state)
        info = handlers.folders_note(state) or None
        listed = gr.Dropdown(choices=folders, value=folders[0][1] if folders else None, info=info)
        return (listed, listed, *_screen(shelf, making, state))

    page.tab.select(opened, [desk], [parts.folder, parts.move_to, *parts.screen], **_HOW)


def _searched(content: PageContent, desk: Desk, session: Session) -> list[Any]:
    """What the Search tab says of its gallery and of those on offer; nothing where it says so already."""
    untouched = [gr.skip() for _ in range(3)]
    try:
        gallery = content.retriever_for(session).gallery
    except CirError:  # gone, or forgotten: the Search tab says it when it is opened
        return untouched
    job = job_of(content)
    now = (content.shelf and content.shelf.entries(), len(gallery), switching.notes_of(gallery, job))
    if now == desk.searched:
        return untouched
    desk.searched = now
    head, choice, notes, *_ = state_of(content, session)
    return [head, choice, gr.skip() if session.only else notes]


def _wire_search(content: PageContent, page: PageParts, desk: gr.State, parts: _Parts) -> None:
    """ "Search it" goes to the Search tab with that gallery chosen there."""
    if page.switcher is None:
        return
    answers = outputs_of_switch(page)
    outputs = [parts.said, page.tabs, page.shown.grid, *answers]

    def go(state: Desk, chosen: object, session: Session, snapshot: object) -> dict[Any, Any]:
        try:
            if chosen not in (None, state.chosen):
                handlers.choose(state, chosen)
            if not state.chosen:
                raise GalleryError(
                    "There is no gallery of your own yet.", "Make one of a folder, or of uploads."
                )
            recall_session(content, session, snapshot)
            turned = dict(zip(answers, switched_page(content, page, session, state.chosen), strict=True))
            gallery, state.report = content.retriever_for(session).gallery, Report()
            pictures = gallery_page(gallery, search_handlers.browse(gallery, session))
            return {
                **turned,
                page.shown.grid: pictures,
                page.tabs: gr.Tabs(selected="search"),
                parts.said: "",
            }
        except Exception as error:  # shown as a sentence; faults are logged under an id
            state.report = Report(problem=describe_problem(error))
            return {parts.said: render.report(state.report)}

    parts.search.click(go, [desk, parts.choice, page.session, page.shown.snapshot], outputs, **_HOW)
