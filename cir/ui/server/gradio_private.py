"""What the page needs of gradio that is neither documented nor promised: one small function for each, and why.

No other module of this program names any of it. `tests/test_gradio_private.py` asks each of them on a page of a few
lines, so that a gradio that has changed is told by the name of what changed. Seen with gradio 6.31.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, cast

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils, utils
from gradio.route_utils import FnIndexInferError
from gradio.routes import App
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Scope

# What gradio writes into a page, and `style.css` and the scripts rely on: when -> selector -> what for.
MARKUP = {
    "opened": {
        ".gradio-container > .main": "the width of the page and its padding",
        "#ask .block": "the box around a component",
        ".html-container": "the box around a piece of HTML",
        ".form": "the box around fields that stand beside one another",
        "#weights .column": "what lies in a fold",
        "#weights .weight .wrap": "the parts of a slider",
        "#weights .weight .head": "its name and its number",
        "#weights .weight .min_value": "the ends of its range, which are not shown",
        "#weights .weight .max_value": "the same",
        "#weights .weight input[type=range]": "what is dragged",
        "#more.row": "fields that stand beside one another",
        "#reference input[type=file]": "takes a picture that was pasted, or dropped beside it",
        "#reference [data-testid=upload-text]": "the words in the empty field",
        "#edit :is(textarea, input)": "what is typed",
        "#tabs > .tab-wrapper [role=tab]": "the names of the tabs",
        "footer > .show-api ~ .divider": "the dots between the links at the foot",
        "gradio-app": "has the page's ground and its letters; a larger picture is shown in it",
    },
    "dark": {".dark .gradio-container": "the page where it is dark"},
    "with a picture": {"#reference .icon-button-wrapper button": "takes the picture out of its field"},
    "on a phone": {"#tabs > .tab-wrapper .overflow-menu > button": "leads to the tabs that do not fit a row"},
}


# What a messenger shows of a link: gradio's name and pictures of its own, fetched from elsewhere.
_PREVIEW = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')


class CheckedBlocks(gr.Blocks):
    """A page whose public calls may be looked at before gradio looks at them.

    Gradio answers too few or too many values, and a file that is none, with a traceback.
    """

    check: Callable[[Callable[..., Any], list[Any]], list[Any]] | None = None

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Let `check(call, values)` refuse the values of a call, or put others in their place."""
        if self.check is not None and block_fn.api_visibility == "public":
            inputs[:] = self.check(block_fn.fn, inputs)
        super().validate_inputs(block_fn, inputs)


def upload_folder() -> Path:
    """Where uploads are kept: $GRADIO_TEMP_DIR, or what gradio takes without it."""
    return Path(utils.get_upload_folder())


@contextmanager
def folder_beside_uploads() -> Iterator[Path]:
    """A folder for what is written to be copied among uploads: it goes at the end, or with all uploads of the process."""
    upload_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=upload_folder()) as folder:
        yield Path(folder)


def copied_among_uploads(path: str | Path) -> str:
    """A copy of a file where gradio may show it, so that the page is not told where it came from."""
    return processing_utils.save_file_to_cache(path, cache_dir=str(upload_folder()))


def fetch_no_addresses() -> None:
    """Let gradio refuse an address in the place of a file; it would fetch any public one that a visitor names."""

    async def refuse(url: str) -> NoReturn:
        raise gr.Error("Addresses are not fetched. Upload the picture itself.", print_exception=False)

    processing_utils.async_ssrf_protected_get = refuse


def keep_no_statistics() -> None:
    """Keep one event, not ten thousand of which gradio makes a table after each, for a page that is switched off here.

    To be called before `page.queue`.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))


def limit(page: gr.Blocks, *, sessions: int, threads: int) -> None:
    """Bound what is kept of visitors, and how many events are worked on; arguments of `launch` that mounting has not.

    To be called before `page.queue` and before mounting.
    """
    page.state_session_capacity, page.max_threads = sessions, threads


def mounted(outer: FastAPI) -> App:
    """Gradio's own application, which `gr.mount_gradio_app` has put below another one last."""
    return cast(App, cast(Mount, outer.routes[-1]).app)


def mark_as_launched(page: gr.Blocks, app: App, url: str) -> None:
    """Note what `launch` notes on a page and mounting does not.

    Gradio's check that a file was uploaded is skipped for a page that was not launched, and its queue looks for the
    application there.
    """
    page.has_launched = True
    page.app = page.server_app = app
    page.local_url = url


def stop_streams(app: App) -> None:
    """End the streams to open pages, for which a server that is closed would wait. In the server's event loop."""
    app.stop_event.set()


def forget_session(page: gr.Blocks, session_hash: str | None) -> None:
    """Drop what is kept of a page in a browser.

    Gradio keeps it for an hour after the page is closed, with all that was shown on it: a megabyte and more.
    """
    page.server_app.state_holder.session_data.pop(session_hash or "", None)


def has_given_password(scope: Scope) -> bool:
    """Whether no password is asked for, or who sends this request has given it. For middleware of gradio's application."""
    app = scope["app"]
    if app.auth is None:
        return True
    cookies = Request(scope).cookies
    given = [cookies.get(f"access-token-{kind}{app.cookie_id}") for kind in ("", "unsecure-")]
    return any(token in app.tokens for token in given if token)


def only_tool(page: gr.Blocks, name: str) -> str:
    """Of a mounted page, offer assistants (MCP) one call; gradio makes a tool of every public one.

    Returns:
        Why gradio cannot offer tools at all, about which it would say nothing; "" where it can.
    """
    server = page.mcp_server_obj
    if server is None or page.mcp_error:
        return str(page.mcp_error or "The tool for assistants cannot be offered")
    server.tool_to_endpoint = {
        tool: endpoint for tool, endpoint in server.tool_to_endpoint.items() if endpoint == f"/{name}"
    }
    return ""


def say_nothing_of_state() -> None:
    """Keep quiet about calls that are taken out of the tools right after: `only_tool`."""
    warnings.filterwarnings("ignore", message="This MCP server includes a tool that has a gr.State input")


def describe_call(page: gr.Blocks, call: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Put names and sentences beside the arguments of a call on the API page, where gradio has "1st", "2nd" and none.

    Args:
        page: where the call is offered.
        call: what `gr.api` returned.
        arguments: argument -> what is said of it, in their order.
    """
    for block_id, name in zip(call["inputs"], arguments, strict=True):
        block: Any = page.blocks[block_id]
        block.label = name
        block.api_info()["additional_description"] = arguments[name]
    for block_id in call["outputs"]:
        cast(Any, page.blocks[block_id]).label = "Answer"


def arguments_of_calls(page: gr.Blocks) -> dict[str, Sequence[str]]:
    """The public calls of a page, "/search", and the names of their arguments."""
    named = page.get_api_info()["named_endpoints"]
    return {name: [one["parameter_name"] for one in call["parameters"]] for name, call in named.items()}


# What gradio raises where a program names a call that there is none of, by either of the two ways to call.
NO_CALL = (FnIndexInferError, KeyError)


def unknown_argument(error: Exception) -> str | None:
    """The argument that a call does not have, where that is what a TypeError of gradio says."""
    found = re.match("Parameter `(.{0,80})` is not a valid", str(error))
    return found[1] if found else None


def with_own_words(document: str, head: str, body: str) -> str:
    """Gradio's HTML without what it says of itself where a link is shared.

    It takes `head` and `body` by script alone, which those that show a link do not run, nor a browser without JavaScript.

    Args:
        document: as gradio answers it.
        head: put at the beginning of the head.
        body: put at the beginning of the body.
    """
    document = _PREVIEW.sub("", document).replace("<head>", f"<head>{head}", 1)
    return re.sub(r"<body[^>]*>", lambda found: found[0] + body, document, count=1)
