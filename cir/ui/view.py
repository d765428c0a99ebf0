"""The page: builds every tab in its place, and joins what programs and assistants may call. No event is handled here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr

from cir.gallery.manifest import THUMBNAILS
from cir.gallery.searchable import Searchable
from cir.ui import pieces
from cir.ui.compare import events as compare
from cir.ui.galleries import events as galleries
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.results import layout as results
from cir.ui.search import events as search_events
from cir.ui.search import handlers
from cir.ui.search.layout import QueryFields, ResultArea
from cir.ui.search.render import gallery_page
from cir.ui.server.assistants import serve_assistants
from cir.ui.server.gradio_private import CheckedBlocks
from cir.ui.server.pictures import serve_folder
from cir.ui.server.programs import serve_programs
from cir.ui.session import Session
from cir.ui.switcher.events import wire_switcher
from cir.ui.switcher.layout import Switcher
from cir.ui.triplets import events as triplets
from cir.ui.wiring import html_piece, remembered

# The tabs after Search, in their order: title -> what lays one out and wires it. One folder of `cir.ui` each.
TABS: dict[str, Callable[[PageContent, PageParts], None]] = {
    "Galleries": galleries.lay_out,
    "Compare": compare.lay_out,
    "Triplets": triplets.lay_out,
    "Results": results.lay_out,
}


def build_page(content: PageContent) -> gr.Blocks:
    """The whole page, wired, not yet launched. The thumbnails' folder is the only one that is served."""
    gallery = content.retriever.gallery
    content.shelf.watch(serve_thumbnails)
    with CheckedBlocks(
        title="Recompose", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)
    ) as page:
        first = Session()
        # Part of the page: no event has to be waited for.
        pictures = gallery_page(gallery, handlers.browse(gallery, first))
        session = remembered(first)
        head = html_piece(pieces.header(content.shelf.title(""), len(gallery)))
        html_piece(pieces.missing_banner(content.missing), visible=bool(content.missing))
        html_piece(pieces.where_asked(content.where_asked), visible=bool(content.where_asked))
        html_piece(pieces.notes_list(gallery.notes), visible=bool(gallery.notes))
        with gr.Tabs(selected="search", elem_id="tabs") as tabs:
            with gr.Tab("Search", id="search") as search_tab:
                switcher = Switcher(head)
                with gr.Row(elem_id="work"):
                    ask = QueryFields(content)
                    shown = ResultArea(content, pictures)
            parts = PageParts(search_tab, tabs, session, ask, shown, switcher)
            for title, lay_out in TABS.items():
                with gr.Tab(title, id=title.lower()) as tab:
                    lay_out(content, replace(parts, tab=tab))
        html_piece(pieces.about_models(content.facts), visible=bool(content.facts))
        wire_switcher(content, parts)
        search_events.wire(content, parts, page)
        serve_programs(content, page)
        if content.assistants:
            serve_assistants(content)
    return page


def serve_thumbnails(gallery: Searchable) -> None:
    """Allow the folders of the thumbnails, which the program wrote itself, to be served; no originals."""
    if gallery.folder is not None and not gallery.packed:
        folders = {gallery.folder / THUMBNAILS}
    else:
        folders = {Path(gallery.thumbnail_path(image_id)).parent for image_id in gallery.page(0, 0, 1)}
    for folder in folders:
        serve_folder(folder)
