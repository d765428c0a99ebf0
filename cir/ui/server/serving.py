"""Serve the page: on this machine only, unless asked otherwise, and without a request to anywhere else."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from cir.ui import styles
from cir.ui.server import gradio_private
from cir.ui.server.assistants import offer_tool_alone
from cir.ui.server.listening import PageServer, address_of, listen_on
from cir.ui.server.middleware import (
    MAX_FILE_BYTES,
    MAX_UPLOADED_BYTES,
    OwnFilesOnly,
    OwnWords,
    SafeHeaders,
    UploadQuota,
)
from cir.ui.server.pictures import ThumbnailFiles
from cir.ui.server.programs.offering import refusals
from cir.ui.server.proxies import LOOPBACK_PROXIES, ForwardedHeaders, SubPath

MAX_SESSIONS = 200  # that gradio keeps; a page goes on without
MAX_VISITORS = 512  # whose events are worked on at once, waiting ones included; as many again may queue
HEAPS = 2
_ARENA_MAX = -8  # of mallopt, malloc.h
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")  # names by which it is called from itself


def hold_memory() -> None:
    """Keep a long day's memory level: few heaps for all threads, and no statistics of past events.

    What a thread has freed stays in its heap, and glibc makes eight for each processor; other libraries of C do not
    have this call.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, HEAPS)
    gradio_private.keep_no_statistics()


def forget_closed_pages(page: gr.Blocks) -> None:
    """Drop what gradio keeps of a page in a browser when that is closed.

    What was asked is in `cir.ui.session.Sessions`, by which a page that only lost its connection goes on.
    """

    def forget(request: gr.Request) -> None:
        gradio_private.forget_session(page, request.session_hash)

    with page:
        page.unload(forget)


def launch(
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    listener: socket.socket | None = None,
    auth: tuple[str, str] | None = None,
    allowed_hosts: Sequence[str] = THIS_MACHINE,
    root_path: str = "",
    trusted_proxies: Sequence[str] = LOOPBACK_PROXIES,
    framed_by: Sequence[str] = (),
    assistants: bool = False,
    upload_limit: int = MAX_UPLOADED_BYTES,
) -> PageServer:
    """Serve until the server that is returned is closed.

    Args:
        page: from `build_page`.
        host, port: where to listen.
        listener: a socket that listens there already, from `listen_on`.
        auth: (user, password) that a visitor has to know.
        allowed_hosts: names by which the page may be called; others are refused, which stops DNS rebinding.
        root_path: the path below which a proxy shows the page, as "/pictures"; "" for none.
        trusted_proxies: addresses or networks of proxies that are believed in what host and scheme was asked for.
        framed_by: origins that may show the page in a frame.
        assistants: offer the tool of `cir.ui.server.assistants` (MCP).
        upload_limit: bytes of all uploads that are kept at one time.

    Raises:
        CirError: the address cannot be listened on, or tools cannot be offered.
    """
    hold_memory()
    forget_closed_pages(page)
    gradio_private.fetch_no_addresses()
    gradio_private.say_nothing_of_state()
    listener = listener or listen_on(host, port)
    gradio_private.limit(page, sessions=MAX_SESSIONS, threads=MAX_VISITORS)
    page.queue(max_size=MAX_VISITORS, default_concurrency_limit=2)
    outer = gr.mount_gradio_app(
        FastAPI(openapi_url=None, docs_url=None, redoc_url=None),
        page,
        path=root_path or "/",
        root_path="",
        auth=auth,
        theme=styles.theme(),
        css_paths=[styles.STYLE_SHEET],
        head=styles.head(),
        max_file_size=MAX_FILE_BYTES,
        ssr_mode=False,
        pwa=False,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=assistants,
        footer_links=["api", "settings"],
        app_kwargs={
            "openapi_url": None,
            "docs_url": None,
            "redoc_url": None,
            "exception_handlers": refusals(page),
            "middleware": _middleware(framed_by, upload_limit),
        },
    )
    if assistants:
        offer_tool_alone(page)
    mounted = gradio_private.mounted(outer)
    server = PageServer(
        _behind_proxies(outer, allowed_hosts, root_path, trusted_proxies, framed_by),
        listener,
        address_of(listener, root_path),
        partial(gradio_private.stop_streams, mounted),
    )
    gradio_private.mark_as_launched(page, mounted, server.url)
    server.start()
    return server


def _behind_proxies(
    app: ASGIApp,
    allowed_hosts: Sequence[str],
    root_path: str,
    trusted: Sequence[str],
    framed_by: Sequence[str],
) -> ASGIApp:
    """The application as a proxy shows it. The host is checked as it came, and as a trusted proxy says it was."""
    app = TrustedHostMiddleware(SubPath(app, root_path), allowed_hosts=list(allowed_hosts))
    app = TrustedHostMiddleware(ForwardedHeaders(app, trusted), allowed_hosts=list(allowed_hosts))
    return SafeHeaders(app, framed_by)


def _middleware(framed_by: Sequence[str], upload_limit: int) -> list[Middleware]:
    """Outermost first, so that refusals have their headers as well."""
    return [
        Middleware(SafeHeaders, framed_by=framed_by),
        Middleware(OwnWords),
        Middleware(OwnFilesOnly),
        Middleware(UploadQuota, folder=gradio_private.upload_folder, limit=upload_limit),
        Middleware(ThumbnailFiles),
    ]
