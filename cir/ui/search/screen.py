"""The Search tab's components filled in for a session: an answer, the query's fields, a problem. No event is wired here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from cir.composers.composer import Composer
from cir.composers.parameters import Values, own_values
from cir.errors import CirError
from cir.ui import pieces
from cir.ui.page import PageContent
from cir.ui.parts import PageParts
from cir.ui.search import changes, handlers, inspector, links, reference, render, snapshots, steps
from cir.ui.search.layout import QueryFields
from cir.ui.server.gradio_private import copied_among_uploads
from cir.ui.server.pictures import address_of
from cir.ui.session import Answer, Session
from cir.ui.switcher.screen import problem_on_page, switched_parts
from cir.ui.wiring import Update


@dataclass(frozen=True, slots=True)
class Screen:
    """The Search tab of a page; every method answers {component: value} for a session."""

    content: PageContent
    page: PageParts

    @property
    def outputs(self) -> list[Any]:
        """What an answer or a problem may change: nothing that a person may be typing in meanwhile."""
        shown = self.page.shown
        texts = [
            shown.stage,
            shown.crumbs,
            shown.notes,
            shown.trace,
            shown.snapshot,
            shown.turn,
            shown.parcel,
        ]
        pictures = [shown.results_box, shown.results, shown.inspector, shown.card, shown.browse_box]
        more = [shown.browse_bar, shown.grid, *switched_parts(self.page)]
        return list(dict.fromkeys([*texts, *pictures, *more]))

    @property
    def outputs_with_fields(self) -> list[Any]:
        """What a step or a link may change: the query's fields as well."""
        return list(dict.fromkeys([*self.outputs, *self.query, *self.page.ask.numbers]))

    @property
    def query(self) -> list[Any]:
        """What a search reads of the page, in order."""
        ask = self.page.ask
        return [ask.image, ask.text, ask.method, *self.settings]

    @property
    def settings(self) -> list[Any]:
        """What re-orders results without a new query, in order."""
        return [*self.page.ask.settings, self.page.shown.at_least, self.page.shown.fold]

    def problem(self, error: Exception, session: Session, *_: object) -> Update:
        """What went wrong; for `with_problems_shown`."""
        return problem_on_page(self.content, self.page, session, error)

    def ranked(self, session: Session, found: Answer) -> Update:
        """The same query in another order: the machine's texts stay as they are."""
        shown, gallery = self.page.shown, self.content.retriever_for(session).gallery
        return {
            shown.stage: pieces.stage_line(found, len(session.selected)),
            shown.notes: pieces.notes_list(found.notes),
            shown.results: render.results(gallery, session, found),
            **self.inspected(session, found),
            shown.snapshot: snapshots.take(session),
        }

    def answered(self, session: Session, found: Answer | None = None) -> Update:
        """One stage of a search, or a changed query; without an answer, as the session ranks it now."""
        retriever, shown = self.content.retriever_for(session), self.page.shown
        found = handlers.answer(retriever, session) if found is None else found
        return {
            **self.ranked(session, found),
            shown.crumbs: render.crumbs(steps.path(session), steps.history(session), session.step),
            shown.trace: render.texts(
                found.composed.trace,
                pending=bool(found.composed.pending),
                changeable=changes.can_change(retriever, session),
                changed=changes.is_changed(session),
                without=self.content.text_encoder is not None,
            )
            + render.terms(found.composed.signed, retriever.gallery),
            shown.results_box: gr.Column(visible=True),
            shown.browse_box: gr.Column(visible=False),
            shown.browse_bar: render.browse_bar(back=True),
        }

    def went_to_step(self, session: Session) -> Update:
        """The answer of another step, and the query's fields as they were then. What was left before it was whole is asked for again."""
        drawn, shown = self.answered(session), self.page.shown
        filled, note = self.filled(session)
        drawn[shown.notes] += pieces.notes_list([note]) if note else ""
        more = self.referred(session)
        if session.composed is not None and session.composed.pending:
            more["next"] = "ask"
        return {**drawn, **filled, shown.snapshot: snapshots.take(session, **more)}

    def filled(self, session: Session) -> tuple[Update, str]:
        """(the query's fields as the session has them, a note where its picture is lost).

        A picture of the gallery is shown by the page's script (`referred`).
        """
        ask, shown, settings = self.page.ask, self.page.shown, session.settings
        composer = self.content.retriever_for(session).composers[session.method]
        own, note = reference.kept_picture(session)
        return {
            ask.image: gr.skip() if session.reference_id else own and copied_among_uploads(own),
            ask.text: session.text,
            ask.method: session.method,
            **numbers(self.content, ask, composer, settings.values),
            ask.top_k: settings.top_k,
            ask.leave_out: gr.Checkbox(
                value=settings.leave_out_reference, visible=bool(session.reference_id)
            ),
            shown.at_least: settings.at_least,
            shown.fold: settings.fold,
        }, note

    def referred(self, session: Session) -> dict[str, Any]:
        """For the page's script: the picture of the gallery that is the reference, and where the page finds it."""
        gallery, image_id = self.content.retriever_for(session).gallery, session.reference_id
        try:
            return (
                {"refer": {"id": image_id, "address": address_of(gallery.thumbnail_path(image_id))}}
                if image_id
                else {}
            )
        except CirError:  # nothing of it is left, which the search says
            return {}

    def inspected(self, session: Session, found: Answer | None = None) -> Update:
        """The inspected result as it stands now; closed when it is no result any more."""
        shown = self.page.shown
        if session.inspected_id not in session.result_ids:
            session.inspected_id = ""
            return {shown.inspector: gr.Column(visible=False)}
        retriever = self.content.retriever_for(session)
        seen = inspector.inspect(
            retriever, session, session.inspected_id, found, read_as=self.content.read_as
        )
        return {shown.card: inspector.closer_look(seen), shown.inspector: gr.Column(visible=True)}

    def browsed(self, session: Session) -> Update:
        """The page of the gallery that is browsed."""
        gallery = self.content.retriever_for(session).gallery
        return {self.page.shown.grid: render.gallery_page(gallery, session.browsed_ids)}

    def turned_to(self, *, gallery: bool) -> Update:
        """The gallery's pictures in the place of the results, or these again."""
        shown = self.page.shown
        return {
            shown.inspector: gr.Column(visible=False),
            shown.browse_box: gr.Column(visible=gallery),
            shown.results_box: gr.Column(visible=not gallery),
        }

    def forgotten(self, session: Session, note: str) -> Update:
        """The page's search is made again; the act that found the page forgotten has to be done once more."""
        again = f"{note} Your search is made again; then do that once more."
        more = {"fields": links.fields_of(session), "next": "ask"}
        shown = self.page.shown
        return {shown.notes: pieces.notes_list([again]), shown.snapshot: snapshots.take(session, **more)}


def new_methods(content: PageContent, methods: gr.Dropdown | gr.CheckboxGroup) -> dict[str, Any]:
    """What a choice of methods is told of those that came after the page was built; {} where there are none."""
    names = list(content.retriever.methods)
    return (
        {} if names == [value for _, value in methods.choices] else {"choices": pieces.method_choices(names)}
    )


def numbers(
    content: PageContent, ask: QueryFields, composer: Composer, values: Values | None = None
) -> Update:
    """The sliders, the bar of shares, the presets and the meanings as a method has them.

    Args:
        content, ask: the page.
        composer: the method.
        values: where its numbers stand; None for where it starts.
    """
    own = composer.parameters
    at = own_values(own, values or {})
    drawn: Update = {slider: gr.Slider(visible=False) for slider in ask.sliders.values()}
    for p in own:
        drawn[ask.sliders[p.name]] = gr.Slider(
            visible=True, label=pieces.slider_label(p), minimum=p.low, maximum=p.high, value=at[p.name]
        )
    return {
        **drawn,
        ask.shares: pieces.share_bar(own, at),
        ask.presets: render.presets(content.presets, own),
        ask.meanings: pieces.meanings(own),
    }
