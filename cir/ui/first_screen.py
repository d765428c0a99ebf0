"""The first screen, before gradio's scripts have been read: one can look, type, choose and ask at once.

The page's description comes with the page; `first_screen.js` draws its Search tab from that and does on the page
what was done on the first screen, as soon as the page is there.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = Path(__file__).with_suffix(".js")
_BEFORE = b"<gradio-app"


class FirstScreen:
    """Puts the script of the first screen into the page, before what it stands in for.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @cached_property
    def script(self) -> bytes:
        """What is put into the page."""
        return f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; add to the answer if it is the page."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def send_with_script(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body", False):
                return
            body = body.replace(_BEFORE, self.script + _BEFORE, 1)
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, send_with_script)
