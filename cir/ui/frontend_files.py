"""Gradio's scripts and style sheets, answered from memory.

A page asks for about ninety of them. Through gradio each passes its routing, three changes of thread and a new
compression; together that is more work than all the rest of opening the page.
"""

from __future__ import annotations

import mimetypes
import os
from functools import cached_property, lru_cache
from pathlib import Path

import brotli
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_ROUTE = "/assets/"
_TEXTS = (".js", ".css")


class FrontendFiles:
    """Answers requests for the files of one flat folder whose names change with their contents.

    Args:
        app: what answers everything else.
        folder: the folder behind `/assets/`.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self.app, self.folder = app, folder

    @cached_property
    def names(self) -> frozenset[str]:
        """What there is to ask for: a name that is not among these is not looked for on the disk."""
        return frozenset(entry.name for entry in os.scandir(self.folder) if entry.is_file())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        path: str = scope.get("path", "")
        name = path.removeprefix(_ROUTE)
        if scope["type"] != "http" or scope["method"] != "GET" or name == path or name not in self.names:
            await self.app(scope, receive, send)
            return
        packed = name.endswith(_TEXTS) and "br" in Headers(scope=scope).get("accept-encoding", "")
        answer = Response(
            _contents(self.folder / name, packed),
            media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            headers={"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"},
        )
        if packed:
            answer.headers["content-encoding"] = "br"
        await answer(scope, receive, send)


@lru_cache(maxsize=1024)
def _contents(path: Path, packed: bool) -> bytes:
    data = path.read_bytes()
    return brotli.compress(data, quality=5) if packed else data
