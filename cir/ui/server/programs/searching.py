"""The call `/search`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from cir.composers.parameters import defaults
from cir.ranking.retriever import Retriever
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.search.handlers import Answer, Session, Settings
from cir.ui.search.reference import pick
from cir.ui.server.programs import arguments
from cir.ui.server.programs.answers import SearchAnswer, as_answer, for_programs
from cir.ui.server.programs.documented import is_upload
from cir.ui.server.programs.listing import entries
from cir.ui.server.programs.searches import KeptSearch, Searches
from cir.ui.server.programs.wishes import read_wishes
from cir.ui.server.waiting import Steps, Waiting


@dataclass(frozen=True, slots=True)
class SearchCall:
    """The arguments of `/search` as they arrived."""

    caller: str = ""
    image: tuple[str, object] = ("reference_image", None)  # the name that was used, and the value
    image_id: tuple[str, object] = ("reference_id", None)
    top_k: tuple[str, object] = ("top_k", None)
    text: object = None
    method: object = None
    numbers: Mapping[str, object] = field(default_factory=dict)  # alpha, beta, gamma
    gallery: object = None
    narrowing: tuple[object, ...] = (None, None, None, None)  # folder, since, until, with_undated
    wishes: Mapping[str, object] = field(default_factory=dict)
    at_least: object = None
    leave_out_reference: object = None
    values: object = None


def search_with(content: PageContent, kept: Searches) -> Callable[..., AsyncIterator[SearchAnswer]]:
    """The call `/search`."""

    async def search(
        request: gr.Request,
        reference_image: gr.FileData | None = None,
        text: str = "",
        method: str = "",
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        top_k: int | None = None,
        reference_id: str = "",
        gallery: str = "",
        folder: str = "",
        since: str = "",
        until: str = "",
        with_undated: bool | None = None,
        without: list[str] | None = None,
        more: list[str] | None = None,
        less: list[str] | None = None,
        at_least: float | None = None,
        leave_out_reference: bool | None = None,
        image: gr.FileData | None = None,
        k: int | None = None,
        gallery_image_id: str = "",
        values: dict | None = None,
    ) -> AsyncIterator[SearchAnswer]:
        """Search a gallery with a reference image and a modification text; answers come in stages, the last is whole.

        Args:
            reference_image: the reference image, uploaded: handle_file("photo.jpg"); or none.
            text: the modification text, what should be different: "at night".
            method: a name that /methods lists, in capitals or not; the page's first for none.
            alpha: CVSI's weight of the described edit, from 0 to 1; the method's own for none, as for the other two.
            beta: CVSI's weight of the image word with the edit, from 0 to 1.
            gamma: CVSI's weight of the captions of gallery images, from 0 to 1.
            top_k: how many results, from 1 to 60; 30 for none.
            reference_id: a gallery image as the reference, by the image_id of an earlier result.
            gallery: a name that /galleries lists; the page's first for none.
            folder: search only in this folder, by its path below the gallery's: "holiday/rome"; "/" for no folder.
            since: search only from this day on: "2024", "2024-05" or "2024-05-17".
            until: search only up to this day.
            with_undated: whether pictures of an unknown day are searched beside those of the days; false for none.
            without: texts of what should not be there: ["people"], or [{"of": "people", "weight": 0.5}].
            more: gallery images, by id, of whose looks more is wanted; weights as of without.
            less: gallery images, by id, of whose looks less is wanted; weights as of without.
            at_least: the score that results have to reach, from 0 to 1; 0 hides none.
            leave_out_reference: whether a reference that is named by reference_id may not be a result; true for none.
            image: old name of reference_image.
            k: old name of top_k.
            gallery_image_id: old name of reference_id.
            values: numbers of any method, by the names that /methods lists: {"t": 0.3} for Slerp.
        """
        found: Any = {}
        try:
            call = SearchCall(
                str(request.session_hash),
                arguments.named("reference_image", reference_image, "image", image),
                arguments.named("reference_id", reference_id, "gallery_image_id", gallery_image_id),
                arguments.named("top_k", top_k, "k", k),
                text,
                method,
                {"alpha": alpha, "beta": beta, "gamma": gamma},
                gallery,
                (folder, since, until, with_undated),
                {"without": without, "more": more, "less": less},
                at_least,
                leave_out_reference,
                values,
            )
            came = content.lines.in_turn(answers(content, kept, call))
            async with aclosing(came):
                async for answer in came:
                    if not isinstance(answer, Waiting):
                        yield (found := answer)
                    elif found and answer.before:
                        yield {**found, "pending": f"{found['pending']}: {answer.before} before you"}  # type: ignore
        except Exception as error:
            raise for_programs(error) from error

    return search


def answers(content: PageContent, kept: Searches, call: SearchCall) -> Steps[SearchAnswer]:
    """The steps of a search for a program, which is kept as it goes.

    Raises:
        CirError: what cannot be searched for.
    """
    for search, retriever, found in stages(content, call):
        kept.keep(search)
        yield as_answer(content, retriever, found, search), bool(found.composed.pending)


def stages(content: PageContent, call: SearchCall) -> Iterator[tuple[KeptSearch, Retriever, Answer]]:
    """Read the arguments of a call, and search: a new answer at each stage.

    Raises:
        CirError: what cannot be searched for.
    """
    entry = arguments.read_gallery(call.gallery, entries(content))
    state = Session(token="program", gallery=entry.name)
    search = KeptSearch(call.caller, entry.title, state)
    retriever = content.retriever_for(state)
    method = arguments.read_choice("method", call.method, retriever.methods, "method")
    parameters = retriever.composers[method].parameters
    values = arguments.read_numbers(parameters, call.numbers, call.values, defaults(parameters))
    top_k, notes = arguments.read_top_k(*call.top_k, Settings().top_k)
    text, text_notes = arguments.read_text("text", call.text)
    state.only = arguments.read_only(retriever.gallery, *call.narrowing)
    wishes = read_wishes(content, retriever, call.wishes)
    leave_out = arguments.read_flag("leave_out_reference", call.leave_out_reference, True)
    at_least = 0.0 if call.at_least is None else arguments.read_number("at_least", call.at_least)
    image = reference(retriever, state, call)
    settings = Settings(values, top_k, leave_out, at_least, fold=False)
    noted = (*notes, *text_notes)
    for found in handlers.search(
        retriever, state, image=image, text=text, method=method, settings=settings, notes=noted
    ):
        if wishes:
            state.signed = wishes
            found = handlers.answer(retriever, state)
        yield search, retriever, found


def reference(retriever: Retriever, state: Session, call: SearchCall) -> object:
    """The reference picture of a call, uploaded or named by its id, as `handlers.search` takes it.

    Raises:
        BadImage: something came in the place of an upload.
        BadQuery: both were given, or an id that the gallery does not have.
        GalleryError: there is no picture behind the id.
    """
    (name, image), (id_name, image_id) = call.image, call.image_id
    upload, chosen = arguments.read_reference(image, image_id, (name, id_name))
    if chosen:
        with arguments.about(id_name, "Send the image_id of a result in this gallery."):
            return {"path": str(pick(retriever.gallery, state, chosen))}
    if upload is None:
        return None
    if not is_upload(upload):
        raise arguments.refuse_upload(name, upload)
    return upload
