"""The one tool for assistants (MCP): words and the id of a gallery image in, results out.

An assistant cannot upload a picture here; it names one that an earlier answer showed. Gradio would make a tool
of every documented call; `offer_tool_alone` leaves this one.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import gradio as gr

from cir.errors import CirError
from cir.ui import handlers
from cir.ui.handlers import Session, Settings
from cir.ui.layout import PageContent
from cir.ui.reading import read_top_k
from cir.ui.waiting import Steps, Waiting

TOOL = "search_gallery"


def serve_assistants(content: PageContent) -> None:
    """Offer the tool `search_gallery`."""

    async def search_gallery(text: str = "", image_id: str = "", count: int = 10) -> list[dict[str, Any]]:
        """Search a gallery of pictures by words, or by one of its pictures changed by words.

        Returns the best pictures first, each with its id, its score (higher is better), a caption and its file
        name. Give such an id as image_id to search for "this picture, but ...".

        Args:
            text: what the picture should show; with image_id, what should be different, like "at night".
            image_id: the id of a picture from an earlier answer, or nothing.
            count: how many pictures, from 1 to 60.
        """
        try:
            found: list[dict[str, Any]] = []
            async with aclosing(content.lines.in_turn(find_pictures(content, text, image_id, count))) as came:
                async for answer in came:
                    found = found if isinstance(answer, Waiting) else answer
            return found
        except Exception as error:
            problem = handlers.describe_problem(error)
            raise gr.Error(f"{problem.message} {problem.remedy}", print_exception=False) from error

    gr.api(search_gallery, api_name=TOOL, concurrency_limit=None)  # it stands in lines of its own


def offer_tool_alone(page: gr.Blocks) -> None:
    """Of a page that is being served, take away the tools that gradio made of the calls for programs.

    Raises:
        CirError: gradio could not offer tools at all; it would go on without them.
    """
    server = page.mcp_server_obj
    if server is None or page.mcp_error:
        raise CirError(
            f"{page.mcp_error or 'The tool for assistants cannot be offered'}.",
            "Install what fits: pip install -r requirements-mcp.txt",
        )
    server.tool_to_endpoint = {
        tool: endpoint for tool, endpoint in server.tool_to_endpoint.items() if endpoint == f"/{TOOL}"
    }


def find_pictures(
    content: PageContent, text: object, image_id: object, count: object
) -> Steps[list[dict[str, Any]]]:
    """Results for an assistant, by the page's first method and first preset; the last are those of all models.

    Raises:
        CirError: what cannot be searched for.
    """
    state = Session()
    retriever = content.retriever_for(state)
    image = None
    if image_id not in (None, ""):
        image = {"path": str(handlers.pick(retriever.gallery, state, image_id))}  # type: ignore[arg-type]
    top_k, _ = read_top_k(count)
    settings = Settings(next(iter(content.presets.values())), top_k)
    method = retriever.methods[0]
    stages = handlers.search(retriever, state, image=image, text=text, method=method, settings=settings)
    for found in stages:
        rows = [
            {
                "image_id": result.image_id,
                "score": round(float(result.score), 4),
                "caption": next(iter(retriever.gallery.captions(result.image_id)), ""),
                "label": retriever.gallery.label(result.image_id),
            }
            for result in found.results
        ]
        yield rows, bool(found.composed.pending)
