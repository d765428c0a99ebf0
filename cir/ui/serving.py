"""Serve the page: on this machine only, unless asked otherwise, and without a request to anywhere else."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils, utils
from gradio.route_utils import BUILD_PATH_LIB
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cir.errors import CirError
from cir.ui import styles
from cir.ui.assistants import offer_tool_alone
from cir.ui.frontend_files import FrontendFiles
from cir.ui.guards import MAX_UPLOADED_BYTES, OwnFilesOnly, Quota, SafeHeaders
from cir.ui.pictures import Pictures

MAX_VISITORS = 512  # whose events are worked on at once, waiting ones included; as many again may queue
MAX_UPLOAD = "20mb"


def keep_uploads_apart() -> None:
    """Give uploads a folder of this process alone, which nobody else may read and which goes when it ends.

    To be called before the page is built. A folder that $GRADIO_TEMP_DIR names is left to who named it.
    """
    if not os.environ.get("GRADIO_TEMP_DIR"):
        folder = tempfile.mkdtemp(prefix="recompose-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def launch(
    page: gr.Blocks,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: tuple[str, str] | None = None,
    allowed_hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    framed_by: Sequence[str] = (),
    assistants: bool = False,
    upload_limit: int = MAX_UPLOADED_BYTES,
    prevent_thread_lock: bool = False,
    when_served: Callable[[], object] = lambda: None,
    **options: Any,
) -> None:
    """Serve until interrupted.

    Args:
        page: from `build_page`.
        host, port: where to listen.
        auth: (user, password) that a visitor has to know.
        allowed_hosts: names by which the page may be called; others are refused, which stops DNS rebinding.
        framed_by: origins that may show the page in a frame.
        assistants: offer the tool of `cir.ui.assistants` (MCP).
        upload_limit: bytes of all uploads that are kept at one time.
        prevent_thread_lock: return as soon as the page is served.
        when_served: called as soon as the page answers.
        **options: more for `gradio.Blocks.launch`.

    Raises:
        CirError: the port is taken, or tools cannot be offered.
    """
    processing_utils.async_ssrf_protected_get = _fetch_nothing
    # Said of calls that are taken out of the tools right after.
    warnings.filterwarnings("ignore", message="This MCP server includes a tool that has a gr.State input")
    try:
        page.queue(max_size=MAX_VISITORS, default_concurrency_limit=2).launch(
            max_threads=MAX_VISITORS,
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
            mcp_server=assistants,
            state_session_capacity=200,
            footer_links=["api", "settings"],
            app_kwargs={
                "openapi_url": None,
                "docs_url": None,
                "redoc_url": None,
                "middleware": _guards(allowed_hosts, framed_by, upload_limit),
            },
            prevent_thread_lock=True,
            **options,
        )
    except OSError as error:
        raise CirError(
            f"Port {port} of {host} cannot be listened on.", "Choose another: --port 7861"
        ) from error
    if assistants:
        try:
            offer_tool_alone(page)
        except CirError:
            page.close(verbose=False)
            raise
    when_served()
    if not prevent_thread_lock:
        page.block_thread()


def _guards(allowed_hosts: Sequence[str], framed_by: Sequence[str], upload_limit: int) -> list[Middleware]:
    """Outermost first, so that refusals have their headers as well."""
    return [
        Middleware(SafeHeaders, framed_by=framed_by),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts)),
        Middleware(OwnFilesOnly),
        Middleware(Quota, folder=utils.get_upload_folder, limit=upload_limit),
        Middleware(Pictures),
        Middleware(FrontendFiles, folder=Path(BUILD_PATH_LIB)),
    ]


async def _fetch_nothing(url: str) -> NoReturn:
    """In the place of gradio's own download, which would fetch any public address that a visitor names."""
    raise gr.Error("Addresses are not fetched. Upload the picture itself.", print_exception=False)
