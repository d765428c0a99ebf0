"""A search as a program asks for it, and what may be asked of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cir.composers.parameters import defaults
from cir.composers.revision import revisable
from cir.errors import BadQuery
from cir.ranking.retriever import Retriever
from cir.ranking.wishes import like_image, without
from cir.types import SignedTerm
from cir.ui.page import PageContent
from cir.ui.search import handlers
from cir.ui.search.reference import pick
from cir.ui.server.programs.arguments import Arguments, about
from cir.ui.server.programs.kept import KeptSearch
from cir.ui.session import Answer, Session, Settings

_OF_THIS_GALLERY = "Send the image_id of a result in this gallery."


def stages(
    content: PageContent, caller: str, given: Arguments
) -> Iterator[tuple[KeptSearch, Retriever, Answer]]:
    """Read the arguments of a search, and make it: a new answer at each stage.

    Raises:
        CirError: what cannot be searched for.
    """
    entry = given.gallery(content.shelf)
    state = Session(token="program", gallery=entry.name)
    search = KeptSearch(caller, entry.title, state)
    retriever = content.retriever_for(state)
    method = given.choice("method", retriever.methods)
    parameters = retriever.composers[method].parameters
    values = given.numbers(parameters, defaults(parameters))
    top_k, notes = given.top_k(Settings().top_k)
    text, text_notes = given.text("text")
    state.only = given.bounds(retriever.gallery, state.only)
    wishes = wished(content, retriever, state, given)
    leave_out, at_least = given.flag("leave_out_reference", True), given.number("at_least", 0.0)
    image = reference(retriever, state, given)
    automatic = not given.has_numbers
    settings = Settings(values, top_k, leave_out, at_least, fold=False, automatic=automatic)
    noted = (*notes, *text_notes)
    for found in handlers.search(
        retriever, state, image=image, text=text, method=method, settings=settings, notes=noted
    ):
        if wishes:
            state.signed = wishes
            found = handlers.answer(retriever, state)
        yield search, retriever, found


def rank_again(content: PageContent, state: Session, given: Arguments) -> tuple[Answer, list[str]]:
    """The answer to a search in another order, with notes; what is not given stays as it was.

    Raises:
        CirError: what cannot be.
    """
    retriever, before = content.retriever_for(state), state.settings
    top_k, notes = given.top_k(before.top_k)
    values = given.numbers(state.parameters, before.values)
    state.only = given.bounds(retriever.gallery, state.only)
    state.signed = wished(content, retriever, state, given)
    rethink(retriever, state, given)
    leave_out = given.flag("leave_out_reference", before.leave_out_reference)
    at_least = given.number("at_least", before.at_least)
    state.settings = replace(
        before,
        values=values,
        top_k=top_k,
        at_least=at_least,
        leave_out_reference=leave_out,
        automatic=before.automatic and not given.has_numbers,
    )
    return handlers.answer(retriever, state), notes


def reference(retriever: Retriever, state: Session, given: Arguments) -> object:
    """The reference picture of a call, uploaded or named by its id, as `handlers.search` takes it.

    Raises:
        BadImage: something came in the place of an upload.
        BadQuery: both were given, or an id that the gallery does not have.
        GalleryError: there is no picture behind the id.
    """
    upload, image_id = given.reference()
    if not image_id:
        return upload
    with about(given.used("reference_id"), _OF_THIS_GALLERY):
        return {"path": str(pick(retriever.gallery, state, image_id))}


def wished(
    content: PageContent, retriever: Retriever, state: Session, given: Arguments
) -> tuple[SignedTerm, ...]:
    """The terms of what more and less is wanted from now on; those of a kind that is not given stay as they were.

    Raises:
        BadQuery: an id that the gallery does not have, or nothing that can be read.
    """
    terms = list(state.signed)
    for kind in ("without", "more", "less"):
        wishes = given.wishes(kind)
        if wishes is None:
            continue
        terms = [term for term in terms if term.kind != kind]
        for wish in wishes:
            weight = wish.weight if wish.weight is None or kind == "more" else -wish.weight
            terms.append(_term(content, retriever, kind, wish.what, weight))
    return tuple(terms)


def _term(
    content: PageContent, retriever: Retriever, kind: str, what: str, weight: float | None
) -> SignedTerm:
    if kind == "without":
        if content.text_encoder is None:
            raise BadQuery("without is not offered by this server.", "Leave it out.")
        return without(content.text_encoder, what, weight)
    with about(kind, _OF_THIS_GALLERY):
        retriever.gallery.find(what)
    return like_image(retriever, kind, what, handlers.in_words(retriever.gallery, what), weight)


def rethink(retriever: Retriever, state: Session, given: Arguments) -> None:
    """Put other texts in the place of the machine's.

    Raises:
        BadQuery: the search has no texts that can be changed, or these are none.
    """
    changed = given.thoughts()
    method, composed = revisable(retriever.composers.get(state.method)), state.composed
    if not changed or composed is None:
        return
    if composed.pseudo_words is None or method is None:
        raise BadQuery(
            "trace: this search has no texts that can be changed.",
            "Search with a reference image and a text, by CVSI.",
        )
    state.composed = method.revise(composed, {**composed.trace, **changed})
