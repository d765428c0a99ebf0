"""What programs may call: `/search` and `/rank`, with the fields of the page in and one JSON object out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from cir.ui import handlers
from cir.ui.handlers import Session, read_settings
from cir.ui.layout import Ask, PageContent


def serve_programs(content: PageContent, session: gr.State, ask: Ask) -> None:
    """`/search` and `/rank` for programs: the fields of the page in, one JSON object out."""

    def search(
        state: Session, image: Any, text: Any, method: Any, alpha: Any, beta: Any, gamma: Any, k: Any
    ) -> Iterator[dict[str, Any]]:
        """Search the gallery with a reference image and a modification text; answers come in stages."""
        try:
            settings, notes = read_settings((alpha, beta, gamma, k, False))
            stages = handlers.search(
                content.retriever_for(state),
                state,
                image=image,
                text=text,
                method=method,
                settings=settings,
                notes=notes,
            )
            for found in stages:
                yield handlers.as_json(found, content.retriever_for(state), content.fingerprints)
        except Exception as error:
            raise _for_programs(error) from error

    def rank(state: Session, alpha: Any, beta: Any, gamma: Any, k: Any) -> dict[str, Any]:
        """Rank the last search of this session again with other weights; no model is called."""
        try:
            settings, notes = read_settings((alpha, beta, gamma, k, False))
            found = handlers.rerank(
                content.retriever_for(state), state, weights=settings.weights, top_k=settings.top_k, leave_out=False
            )
            answer = handlers.as_json(found, content.retriever_for(state), content.fingerprints)
            return {**answer, "notes": [*dict.fromkeys((*notes, *answer["notes"]))]}
        except Exception as error:
            raise _for_programs(error) from error

    weights = [ask.alpha, ask.beta, ask.gamma, ask.top_k]
    answer = gr.JSON(visible=False, label="Answer")
    how: dict[str, Any] = {"preprocess": False, "show_progress": "hidden"}
    gr.Button(visible=False).click(
        search,
        [session, ask.image, ask.text, ask.method, *weights],
        [answer],
        api_name="search",
        concurrency_id="models",
        concurrency_limit=2,
        **how,
    )
    gr.Button(visible=False).click(
        rank, [session, *weights], [answer], api_name="rank", concurrency_limit=None, **how
    )


def _for_programs(error: Exception) -> gr.Error:
    problem = handlers.describe_problem(error)
    return gr.Error(f"{problem.message} {problem.remedy}".strip(), print_exception=False)
