"""What programs may call: `/search`, `/rank` and `/explain`, fields in and one JSON object out.

A session's calls build on each other: `/rank` and `/explain` speak of its last search.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from cir.errors import BadQuery
from cir.retriever import Retriever, part_weights
from cir.types import PARTS
from cir.ui import handlers
from cir.ui.assistants import serve_assistants
from cir.ui.handlers import Answer, Session, read_settings
from cir.ui.layout import Ask, PageContent
from cir.ui.waiting import Steps, Waiting


def serve_programs(content: PageContent, session: gr.State, ask: Ask) -> None:
    """Offer the calls, and to assistants their tool where that is wished for."""
    weights = [ask.alpha, ask.beta, ask.gamma, ask.top_k]
    image_id = gr.Textbox(value="", visible=False, label="Gallery image id")
    how: dict[str, Any] = {
        "outputs": [gr.JSON(visible=False, label="Answer")],
        "preprocess": False,
        "show_progress": "hidden",
    }
    gr.Button(visible=False).click(
        search_with(content),
        [session, ask.image, ask.text, ask.method, *weights, image_id],
        api_name="search",
        concurrency_limit=None,  # they stand in lines of their own
        **how,
    )
    for name, call, inputs in [
        ("rank", rank_with(content), [session, *weights]),
        ("explain", explain_with(content), [session, image_id]),
    ]:
        gr.Button(visible=False).click(call, inputs, api_name=name, concurrency_limit=None, **how)
    if content.assistants:
        serve_assistants(content)


def search_with(content: PageContent) -> Callable[..., AsyncIterator[dict[str, Any]]]:
    """The call `/search`."""

    async def search(
        state: Session,
        image: Any = None,
        text: Any = None,
        method: Any = None,
        alpha: Any = None,
        beta: Any = None,
        gamma: Any = None,
        k: Any = None,
        gallery_image_id: Any = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Search the gallery with a reference image and a modification text; answers come in stages.

        Args:
            image: the reference, uploaded; or none.
            text: what should be different.
            method: a method's name.
            alpha: weight of the described edit, from 0 to 1.
            beta: weight of the image word with the edit, from 0 to 1.
            gamma: weight of the captions of gallery images, from 0 to 1.
            k: how many results.
            gallery_image_id: the reference, as the `image_id` of an earlier result; it is left out of the results.
        """
        turn, found = handlers.begin(state), {}
        steps = answers(
            content, state, turn, image, text, method, (alpha, beta, gamma, k, True), gallery_image_id
        )
        came = content.lines.in_turn(steps, lambda: state.searches == turn)
        try:
            async with aclosing(came):
                async for answer in came:
                    if not isinstance(answer, Waiting):
                        yield (found := answer)
                    elif found and answer.before:
                        yield {**found, "pending": f"{found['pending']}: {answer.before} before you"}
        except Exception as error:
            raise for_programs(error) from error

    return search


def answers(
    content: PageContent,
    state: Session,
    turn: int,
    image: object,
    text: object,
    method: object,
    settings: tuple[object, ...],
    image_id: object,
) -> Steps[dict[str, Any]]:
    """The steps of a search for a program; the arguments of `/search`, `settings` as of `read_settings`."""
    retriever = content.retriever_for(state)
    read, notes = read_settings(settings)
    image = reference(retriever, state, image, image_id)
    stages = handlers.search(
        retriever, state, image=image, text=text, method=method, settings=read, notes=notes, turn=turn
    )
    for found in stages:
        yield handlers.as_json(found, retriever, content.fingerprints), bool(found.composed.pending)


def reference(retriever: Retriever, state: Session, image: object, image_id: object) -> object:
    """The reference picture of a call, uploaded or named by its id, as `handlers.search` takes it.

    Raises:
        BadQuery: both were given, or an id that the gallery does not have.
        GalleryError: there is no picture behind the id.
    """
    if image_id in (None, ""):
        state.picked_id = ""
        return image
    if image is not None or not isinstance(image_id, str):
        raise BadQuery(
            "The reference has to be either a picture or the id of a gallery image.", "Leave out one of them."
        )
    return {"path": str(handlers.pick(retriever.gallery, state, image_id))}


def rank_with(content: PageContent) -> Callable[..., dict[str, Any]]:
    """The call `/rank`."""

    def rank(
        state: Session, alpha: Any = None, beta: Any = None, gamma: Any = None, k: Any = None
    ) -> dict[str, Any]:
        """Rank the last search of this session again with other weights; no model is called."""
        try:
            retriever = content.retriever_for(state)
            settings, notes = read_settings((alpha, beta, gamma, k, True))
            found = handlers.rerank(retriever, state, weights=settings.weights, top_k=settings.top_k)
            answer = handlers.as_json(found, retriever, content.fingerprints)
            return {**answer, "notes": [*dict.fromkeys((*notes, *answer["notes"]))]}
        except Exception as error:
            raise for_programs(error) from error

    return rank


def explain_with(content: PageContent) -> Callable[..., dict[str, Any]]:
    """The call `/explain`."""

    def explain(state: Session, image_id: Any = None) -> dict[str, Any]:
        """Say what the score of one result of the last answer is made of: every term, so that it can be computed."""
        try:
            retriever = content.retriever_for(state)
            return explained(retriever, handlers.answer(retriever, state), image_id)
        except Exception as error:
            raise for_programs(error) from error

    return explain


def explained(retriever: Retriever, found: Answer, image_id: object) -> dict[str, Any]:
    """One result with all terms of its score, under the keys of `python -m cir search --json --explain`.

    Raises:
        BadQuery: the image is not among the results.
    """
    result = next((r for r in found.results if r.image_id == image_id), None)
    if result is None:
        raise BadQuery(
            "That image is not among the results of the last answer.",
            "Ask for one of them, or for more results: k.",
        )
    why = retriever.explain(found.composed, found.settings.weights, result.image_id)
    nothing = {"image": 0.0, "captions": 0.0}
    return {
        "rank": result.rank,
        "image_id": result.image_id,
        "score": float(result.score),
        "label": retriever.gallery.label(result.image_id),
        "captions": list(retriever.gallery.captions(result.image_id)),
        "terms": {name: dict(why.terms.get(name, nothing)) for name in PARTS},
        "tv_tv": why.tv_tv,
        "tc_tc": why.tc_tc,
        "tv_tc": why.tv_tc,
        "gamma": why.gamma,
        "gram": retriever.gram(found.composed),
        "effective_weights": part_weights(found.composed, found.settings.weights)[0],
    }


def for_programs(error: Exception) -> gr.Error:
    """An error as a program gets it: two sentences, and no traceback in the log for what is the caller's own."""
    problem = handlers.describe_problem(error)
    return gr.Error(f"{problem.message} {problem.remedy}".strip(), print_exception=False)
