"""A call for programs whose page in the API is our own docstring, and whose arguments are refused in sentences.

Gradio takes types from the signature and the first lines of a docstring from itself; what stands below "Args:" it
shows to assistants alone, so it is put beside each parameter here. Before a handler is asked, gradio looks at how
many values came and at what is marked as a file; what it finds there is a traceback, so it is looked at here first.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from cir.ui.server import gradio_private
from cir.ui.server.programs.arguments import refuse_upload

_ARGUMENT = re.compile(r"^    (\w+): (.+)$")


def checked(call: Callable[..., Any], values: list[Any]) -> list[Any]:
    """The values of a call's arguments in order, with None for those at the end that were not sent.

    Raises:
        gradio.Error: too many values, or a file that was not uploaded.
    """
    names = [*argument_texts(inspect.getdoc(call) or "")]
    if len(values) > len(names):
        said = f"/{call.__name__} takes {len(names)} values, and {len(values)} came."
        raise gr.Error(f"{said} They are: {', '.join(names)}.", print_exception=False)
    for name, value in zip(names, values, strict=False):
        _refuse_strange_files(name, value)
    return [*values, *[None] * (len(names) - len(values))]


def _refuse_strange_files(name: str, value: object) -> None:
    """Everything in a value that is marked as a file has to be an upload."""
    if isinstance(value, Mapping):
        if "path" in value and "meta" in value and not is_upload(value):
            sent = value["path"] if _is_address(value) else value
            raise gr.Error(str(refuse_upload(name, sent)), print_exception=False)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _refuse_strange_files(name, item)


def is_upload(value: object) -> bool:
    """Whether a value is a file as gradio's client sends it after the upload, where uploads are kept."""
    meta = value.get("meta") if isinstance(value, Mapping) else None
    if (
        not isinstance(value, Mapping)
        or not isinstance(meta, Mapping)
        or meta.get("_type") != "gradio.FileData"
    ):
        return False
    try:
        gr.FileData(**value)
        return Path(value["path"]).resolve().is_relative_to(gradio_private.upload_folder().resolve())
    except (OSError, TypeError, ValueError):  # a NUL, a name that is too long, a field of another type
        return False


def _is_address(value: Mapping[Any, Any]) -> bool:
    return str(value.get("path")).startswith(("http://", "https://"))


def offer(page: gr.Blocks, call: Callable[..., Any], answer: Any) -> None:
    """Offer a function as the call of its name.

    Args:
        page: the page that is being built.
        call: fully typed; its docstring has a section "Args:".
        answer: the type of what it returns or, in stages, yields.
    """
    call.__annotations__["return"] = answer
    made = gr.api(call, api_name=call.__name__, concurrency_limit=None)
    gradio_private.describe_call(page, made, argument_texts(inspect.getdoc(call) or ""))


def argument_texts(docstring: str) -> dict[str, str]:
    """argument -> what its docstring says of it, in one line."""
    texts: dict[str, str] = {}
    name = ""
    for line in docstring.partition("Args:\n")[2].splitlines():
        found = _ARGUMENT.match(line)
        if found:
            name = found[1]
            texts[name] = found[2]
        elif line.startswith("      ") and name:
            texts[name] += f" {line.strip()}"
        else:
            break
    return texts


def refusals(page: gr.Blocks) -> dict[Any, Any]:
    """What a program is told whose call has no such name, no such argument, or no such body: kind of error -> handler."""

    def refused(sentence: str, status: int) -> JSONResponse:
        return JSONResponse({"detail": sentence, "error": sentence}, status)

    def no_call(request: Request, error: Exception) -> JSONResponse:
        if "/call/" not in request.url.path:
            raise error
        asked = request.url.path.partition("/call/")[2].removeprefix("v2/").strip("/")
        return refused(
            f"There is no call /{asked[:40]}. Choose one of: {', '.join(gradio_private.arguments_of_calls(page))}.",
            404,
        )

    def no_argument(request: Request, error: Exception) -> JSONResponse:
        unknown = gradio_private.unknown_argument(error)
        if unknown is None or "/call/v2/" not in request.url.path:
            raise error
        call = "/" + request.url.path.rstrip("/").rpartition("/")[2]
        names = ", ".join(gradio_private.arguments_of_calls(page)[call])
        return refused(f"There is no argument {unknown!r}. Choose among: {names}.", 422)

    async def no_body(request: Request, error: Exception) -> Any:
        assert isinstance(error, RequestValidationError)
        if "/call/v2/" in request.url.path:
            return refused('The body has to be an object of arguments: {"text": "at night"}.', 422)
        if "/call/" in request.url.path:
            return refused(
                'The body has to be {"data": [...]}, with the values of all arguments in order.', 422
            )
        return await request_validation_exception_handler(request, error)

    return {
        **dict.fromkeys(gradio_private.NO_CALL, no_call),
        TypeError: no_argument,
        RequestValidationError: no_body,
    }
