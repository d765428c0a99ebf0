"""An answer, or a problem, as the values that the Search tab's components take. No event is wired here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from cir.composers.composer import Composer
from cir.composers.parameters import Values, own_values
from cir.gallery.gallery import Gallery
from cir.ui import pieces
from cir.ui.grids import grid, tile
from cir.ui.page import Ask, PageContent, Shown
from cir.ui.search import changing, controls, handlers, render, snapshots, steps
from cir.ui.search.looking import inspect
from cir.ui.server.gradio_private import upload_folder
from cir.ui.session import Answer, Session


def grid_pictures(gallery: Gallery, image_ids: Sequence[str]) -> str:
    """Images of the gallery, to pick one from."""
    named = ((i, handlers.in_words(gallery, i), handlers.file_of(gallery, i)) for i in image_ids)
    return grid((tile(gallery, i, words, file=file) for i, words, file in named), do="pick")


def known(content: PageContent, session: Session, sent: object) -> str:
    """Make sure that the session is the one that the page speaks of; a note when the page had been forgotten.

    Args:
        content: what the page is about.
        session: as gradio hands it over.
        sent: the page's snapshot.

    Raises:
        GalleryError: the gallery that the page shows is not there any more.
    """
    shown = snapshots.read(sent)
    return snapshots.recall(content.sessions, session, shown, lambda: restored(content, session, shown))


def restored(content: PageContent, session: Session, shown: snapshots.Snapshot) -> str:
    """Make a new session ready for the search that a page shows; what the person should know of it.

    Raises:
        GalleryError: the gallery that the page shows is not there any more.
    """
    return snapshots.restore(session, shown, content.retriever_of, content.text_encoder, upload_folder())


def pictures(content: PageContent, found: Answer, session: Session) -> str:
    """The results; the inspected one is marked, the selected ones are ticked."""
    gallery = content.retriever_for(session).gallery
    tiles = []
    for r in found.shown:
        behind = 0 if r.image_id in session.unfolded else len(found.similar.get(r.image_id, ()))
        ticked, looked = r.image_id in session.selected, r.image_id == session.inspected_id
        gone = gallery.note(r.image_id)
        words = pieces.result_caption(r.rank, r.score, gone, similar=behind, selected=ticked)
        state = " ".join(["ticked"] * ticked + ["looked"] * looked)
        caption, file = handlers.caption_of(gallery, r.image_id), handlers.file_of(gallery, r.image_id)
        tiles.append(tile(gallery, r.image_id, words, state=state, caption=caption, file=file))
    more = render.show_more(len(found.results), found.total, session.settings.top_k)
    return grid(tiles, do="look") + more


def then_answered(event: Any) -> None:
    """The page's script goes on with what was done after this event, once it is answered, or could not be."""
    for after in (event.then, event.failure):
        after(None, js="() => recompose.answered()", api_visibility="private")


def inspected(content: PageContent, session: Session, found: Answer | None = None) -> tuple[Any, Any]:
    """(card, inspector): the inspected result as it stands now; closed when it is no result any more."""
    if session.inspected_id not in session.result_ids:
        session.inspected_id = ""
        return gr.skip(), gr.Column(visible=False)
    seen = inspect(content.retriever_for(session), session, session.inspected_id, found)
    return render.closer_look(seen), gr.Column(visible=True)


def numbers(
    content: PageContent, ask: Ask, composer: Composer, values: Values | None = None
) -> dict[Any, Any]:
    """The sliders, the bar of shares, the presets and the meanings as a method has them.

    Args:
        content, ask: the page.
        composer: the method.
        values: where its numbers stand; None for where it starts.
    """
    own = composer.parameters
    at = own_values(own, values or {})
    return {
        **{
            slider: gr.Slider(
                visible=True,
                label=pieces.slider_label(known),
                minimum=known.low,
                maximum=known.high,
                value=at[name],
            )
            if (known := next((p for p in own if p.name == name), None))
            else gr.Slider(visible=False)
            for name, slider in ask.sliders.items()
        },
        ask.shares: pieces.share_bar(own, at),
        ask.presets: controls.presets(content.presets, own),
        ask.meanings: pieces.meanings(own),
    }


def unique(*outputs: Sequence[Any]) -> list[Any]:
    """Components, each once, as a handler's outputs that are answered for by name."""
    return list(dict.fromkeys(part for parts in outputs for part in parts))


def answer_outputs(shown: Shown) -> list[Any]:
    """The components that `answer_screen` fills, in its order."""
    told_in = [shown.stage, shown.crumbs, shown.notes, shown.trace, shown.results_box, shown.results]
    return [*told_in, shown.card, shown.inspector, shown.browse_box, shown.browse_bar, shown.snapshot]


def answer_screen(content: PageContent, session: Session, found: Answer) -> tuple[Any, ...]:
    """One stage of a search, or a changed query, for `answer_outputs`."""
    return (
        pieces.stage_line(found, len(session.selected)),
        render.crumbs(steps.way(session), steps.history(session), session.step),
        pieces.notes_list(found.notes),
        thoughts(content, session, found),
        gr.Column(visible=True),
        pictures(content, found, session),
        *inspected(content, session, found),
        gr.Column(visible=False),
        controls.browse_bar(back=True),
        snapshots.take(session),
    )


def thoughts(content: PageContent, session: Session, found: Answer) -> str:
    """The machine's texts, and what more or less is wanted."""
    said = render.thoughts(
        found.composed.trace,
        pending=bool(found.composed.pending),
        changeable=not found.composed.pending
        and changing.can_change(content.retriever_for(session), session),
        changed=changing.is_changed(session),
        more=render.leave_out_button() if content.text_encoder is not None else "",
    )
    gallery = content.retriever_for(session).gallery
    wanted = [term.image_id for term in found.composed.signed if term.image_id in gallery.image_ids]
    return said + render.wishes(found.composed.signed, {i: tile(gallery, i, "").address for i in wanted})


def rerank_outputs(shown: Shown) -> list[Any]:
    """The components that `rerank_screen` fills, in its order: the machine's texts stay as they are."""
    return [shown.results, shown.stage, shown.notes, shown.card, shown.inspector, shown.snapshot]


def rerank_screen(content: PageContent, session: Session, found: Answer) -> tuple[Any, ...]:
    """The same query in another order, for `rerank_outputs`."""
    return (
        pictures(content, found, session),
        pieces.stage_line(found, len(session.selected)),
        pieces.notes_list(found.notes),
        *inspected(content, session, found),
        snapshots.take(session),
    )
