"""Serve the page: on this machine only, unless asked otherwise, and without a request to anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cir.ui import styles

MAX_WAITING = 64
MAX_UPLOAD = "20mb"
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"content-security-policy": b"frame-ancestors 'self'",
    b"referrer-policy": b"no-referrer",
}


class SafeHeaders:
    """Add headers to every answer: no guessing of types, no foreign frame round the page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; see to the headers when the answer starts."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message.get("headers", []) if header[0].lower() not in _HEADERS]
                message["headers"] = [*kept, *_HEADERS.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def launch(
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: tuple[str, str] | None = None,
    allowed_hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    **options: Any,
) -> None:
    """Serve until interrupted.

    Args:
        page: from `build_page`.
        host, port: where to listen.
        auth: (user, password) that a visitor has to know.
        allowed_hosts: names by which the page may be called; others are refused, which stops DNS rebinding.
        **options: more for `gradio.Blocks.launch`, such as `prevent_thread_lock`.
    """
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts)),
        Middleware(SafeHeaders),
    ]
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=2).launch(
        server_name=host,
        server_port=port,
        auth=auth,
        theme=styles.theme(),
        css_paths=[styles.STYLE_SHEET],
        head=styles.head(),
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        share=False,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        state_session_capacity=200,
        footer_links=["api", "settings"],
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None, "middleware": middleware},
        **options,
    )
