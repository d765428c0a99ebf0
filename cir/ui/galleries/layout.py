"""Where everything stands in the tab "Galleries". No event is wired here."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cir.ui.galleries import render
from cir.ui.galleries.model_events import ModelsPanel
from cir.ui.galleries.screen import GalleryIndexing
from cir.ui.pieces import escape
from cir.ui.wiring import html_piece, small_button

POLL_SECONDS = 1.5


class GalleriesParts:
    """The components of the tab, from the list of galleries to the making of one; each is laid out as it is made."""

    def __init__(self, indexing: GalleryIndexing) -> None:
        self.listing = html_piece("", elem_id="galleries-list")
        self._lay_out_own()
        self._lay_out_now()
        html_piece("<h2>Make a gallery</h2>")
        if indexing.note:
            html_piece(f'<p class="hint">{escape(indexing.note)}</p>')
        self.models = ModelsPanel(indexing.sets, indexing) if indexing.sets is not None else None
        with gr.Row(elem_id="galleries-make", equal_height=False):
            self._lay_out_folder(indexing)
            self._lay_out_uploads(indexing)
        self.timer = gr.Timer(POLL_SECONDS, active=False)

    def _lay_out_own(self) -> None:
        """The gallery that actions are about, and the actions."""
        # About which gallery the page asks: that is confirmed, whatever was asked since. It stands outside of what is
        # shown later, for gradio then shows what is hidden in it, too.
        self.to_delete = gr.Textbox(visible="hidden")
        with gr.Column(visible=False, elem_id="galleries-own") as self.own:
            with gr.Row():
                self.choice = gr.Dropdown([], label="Your gallery", min_width=180, elem_id="galleries-choice")
                self.search = small_button("Search it", "galleries-search", variant="primary")
                self.rescan = small_button("Bring up to date", "galleries-rescan")
                again = "Index again with these models"
                self.again = small_button(again, "galleries-again", variant="primary", visible=False)
                self.delete = small_button("Delete …", "galleries-delete")
            with gr.Accordion("Rename, or say where its pictures are now", open=False):
                with gr.Row():
                    self.rename_to = _name_field("New name", "galleries-new-name", min_width=180)
                    self.rename = small_button("Rename", "galleries-rename")
                with gr.Row(visible=False) as self.place:
                    self.move_to = gr.Dropdown(
                        [], label="Its pictures are in", min_width=180, elem_id="galleries-move-to"
                    )
                    self.move = small_button("Look for them there", "galleries-move")
            self.question = html_piece("", elem_id="galleries-question")
            with gr.Row(visible=False) as self.answers:
                self.confirm = small_button("Delete it", "galleries-confirm", variant="stop")
                self.keep = small_button("Keep it", "galleries-keep")

    def _lay_out_now(self) -> None:
        """What came of the last click, and how the indexing gets on: between what is there and what can be made."""
        with gr.Column(elem_id="galleries-now"):
            self.report = html_piece("", elem_id="galleries-said")
            self.job = html_piece("", elem_id="galleries-job")
            # Whose indexing the page shows: that is stopped, or goes on.
            self.job_name = gr.Textbox(visible="hidden")
            with gr.Row(elem_id="galleries-job-actions"):
                self.stop = small_button("Stop", "galleries-stop", visible=False)
                self.resume = small_button("Go on", "galleries-resume", visible=False)
                gone = "They are really gone: take them out"
                self.purge = small_button(gone, "galleries-purge", visible=False)

    def _lay_out_folder(self, indexing: GalleryIndexing) -> None:
        allowed = bool(indexing.roots)
        with gr.Column(min_width=260):
            html_piece("<h3>Of a folder of this computer</h3>")
            self.folder = gr.Dropdown([], label="Folder", visible=allowed, elem_id="galleries-folder")
            self.folder_name = _name_field("Name (optional)", "galleries-folder-name", visible=allowed)
            self.exclude = gr.Textbox(
                label="Leave out (optional)",
                placeholder="*.png, Previews/, 2019/raw",
                info="Names or paths as in .gitignore. They are remembered; “nothing” takes them back.",
                visible=allowed,
                elem_id="galleries-exclude",
            )
            self.make = small_button(
                "Index this folder", "galleries-make-folder", variant="primary", visible=allowed
            )
            html_piece(render.how_folders_are_allowed([root.name or "/" for root in indexing.roots]))

    def _lay_out_uploads(self, indexing: GalleryIndexing) -> None:
        limits = indexing.limits
        with gr.Column(min_width=260):
            html_piece("<h3>Of pictures that you upload</h3>")
            # No `file_types`: the field would drop other files without a word. What is not kept is named with its reason.
            self.files = gr.File(
                label="Pictures, or a zip of pictures",
                file_count="multiple",
                height=150,
                elem_id="galleries-files",
            )
            self.files_name = _name_field("Name (optional)", "galleries-files-name")
            self.upload = small_button("Make a gallery of these", "galleries-make-uploads", variant="primary")
            html_piece(
                f'<p class="hint">Up to {limits.file_bytes / 1e6:.0f} MB a file and {limits.total_bytes / 1e9:.0f} GB in '
                "all. They stay on the computer that runs this page; whoever can open the page can search them. Under the "
                "name of a gallery of uploads, they are added to it.</p>"
            )

    @property
    def asking(self) -> list[Any]:
        """The question whether a gallery is to be deleted."""
        return [self.question, self.to_delete, self.answers]

    @property
    def drawn(self) -> list[Any]:
        """What shows how things stand."""
        job = [self.job, self.job_name, self.stop, self.resume, self.purge, self.timer]
        acts = [self.search, self.rescan, self.again]
        return [self.listing, self.choice, self.own, *acts, self.place, *self.asking, self.report, *job]


def _name_field(label: str, elem_id: str, **options: Any) -> gr.Textbox:
    return gr.Textbox(label=label, elem_id=elem_id, **options)
