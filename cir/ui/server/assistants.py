"""The one tool for assistants (MCP): words and the id of a gallery image in, results out.

An assistant cannot upload a picture here; it names one that an earlier answer showed. Gradio would make a tool
of every documented call; `offer_tool_alone` leaves this one.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import gradio as gr

from cir.errors import CirError
from cir.ui.page import PageContent
from cir.ui.server import gradio_private
from cir.ui.server.programs.arguments import Arguments
from cir.ui.server.programs.offering import refuse
from cir.ui.server.programs.searching import stages
from cir.ui.server.waiting import Steps, Waiting
from cir.ui.wiring import with_problems_shown

TOOL = "search_gallery"
USUAL_RESULTS = 10


def serve_assistants(content: PageContent) -> None:
    """Offer the tool `search_gallery`."""

    async def search_gallery(
        text: str | None = None,
        reference_id: str | None = None,
        top_k: int | None = None,
        gallery: str | None = None,
        without: str | None = None,
        image_id: str | None = None,
        count: int | None = None,
    ) -> str:
        """Search a gallery of pictures by words, or by one of its pictures changed by words.

        Returns JSON: "results", the best pictures first, each with its id, its score (higher is better), a caption
        and its file name; and "notes", what was noticed on the way. Give such an id as reference_id to search for
        "this picture, but ...".

        Args:
            text: what the picture should show; with reference_id, what should be different, like "at night".
            reference_id: the image_id of a picture from an earlier answer, or nothing.
            top_k: how many pictures, from 1 to 60; 10 for none.
            gallery: another gallery by its name, or nothing; a wrong name is answered with those that there are.
            without: what should not be in the picture, like "people", or nothing.
            image_id: old name of reference_id.
            count: old name of top_k.
        """
        given = Arguments(
            {
                "text": text,
                "reference_id": reference_id,
                "top_k": USUAL_RESULTS if top_k is None and count is None else top_k,
                "gallery": gallery,
                "without": without,
                "image_id": image_id,
                "count": count,
            },
            {"image_id": "reference_id", "count": "top_k"},
        )
        found: dict[str, Any] = {}
        async with aclosing(content.lines.in_turn(find_pictures(content, given))) as came:
            async for answer in came:
                found = found if isinstance(answer, Waiting) else answer
        return json.dumps(found, ensure_ascii=False)  # gradio would send Python's own writing of it

    call = with_problems_shown(search_gallery, refuse)
    gr.api(call, api_name=TOOL, concurrency_limit=None)  # it stands in lines of its own


def offer_tool_alone(page: gr.Blocks) -> None:
    """Of a page that is being served, take away the tools that gradio made of the calls for programs.

    Raises:
        CirError: gradio could not offer tools at all; it would go on without them.
    """
    if problem := gradio_private.only_tool(page, TOOL):
        raise CirError(f"{problem}.", "Install what fits: pip install -r requirements-mcp.txt")


def find_pictures(content: PageContent, given: Arguments) -> Steps[dict[str, Any]]:
    """Results for an assistant, with notes; the last are those of all models.

    Raises:
        CirError: what cannot be searched for.
    """
    for _, retriever, found in stages(content, "assistant", given):
        rows = [
            {
                "image_id": result.image_id,
                "score": round(float(result.score), 4),
                "caption": next(iter(retriever.gallery.captions(result.image_id)), ""),
                "label": retriever.gallery.label(result.image_id),
            }
            for result in found.results
        ]
        yield {"results": rows, "notes": list(found.notes)}, bool(found.composed.pending)
