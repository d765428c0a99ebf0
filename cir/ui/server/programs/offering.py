"""A call for programs: what the API page says of it, and in what words wrong calls are refused.

Before a handler is asked, gradio looks at how many values came and at what is marked as a file; what it finds there
is a traceback, so it is looked at here first.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

import gradio as gr
from fastapi import Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from cir.text import counted
from cir.ui.problems import describe_problem
from cir.ui.server import gradio_private
from cir.ui.server.programs.arguments import ARGUMENTS, Arguments, is_upload, refuse_upload
from cir.ui.wiring import with_problems_shown


def refuse(error: Exception, *_: object) -> NoReturn:
    """Tell a program of an error: two sentences, and no traceback in the log for what is the caller's own."""
    problem = describe_problem(error)
    raise gr.Error(f"{problem.message} {problem.remedy}".strip(), print_exception=False) from error


def call_of(
    handler: Callable[[str, Arguments], Any], names: Sequence[str], answer: Any
) -> Callable[..., Any]:
    """A function as gradio calls it, of a handler that takes who calls and the arguments.

    Args:
        handler: its name and its docstring are those of the call; its answer, or its stages.
        names: the arguments that the call has, in their order; each may be left out.
        answer: the type of what it answers.
    """

    def call(request: gr.Request, *values: object) -> Any:
        return handler(str(request.session_hash), Arguments(dict(zip(names, values, strict=False))))

    async def stages(request: gr.Request, *values: object) -> AsyncIterator[Any]:
        async with aclosing(call(request, *values)) as came:
            async for stage in came:
                yield stage

    made: Any = with_problems_shown(stages if inspect.isasyncgenfunction(handler) else call, refuse)
    types = {name: ARGUMENTS[name][0] | None for name in names}
    made.__name__, made.__doc__ = handler.__name__, handler.__doc__
    made.__annotations__ = {"request": gr.Request, **types, "return": answer}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, default=None, annotation=types[name]) for name in names]
    made.__signature__ = inspect.Signature(
        [inspect.Parameter("request", kind, annotation=gr.Request), *parameters], return_annotation=answer
    )
    return made


def offer(page: gr.Blocks, call: Callable[..., Any]) -> None:
    """Offer a function from `call_of` as the call of its name."""
    made = gr.api(call, api_name=call.__name__, concurrency_limit=None)
    gradio_private.describe_call(page, made, {name: ARGUMENTS[name][1] for name in names_of(call)})


def names_of(call: Callable[..., Any]) -> list[str]:
    """The arguments of a call, in their order."""
    return [name for name in inspect.signature(call).parameters if name != "request"]


def checked(call: Callable[..., Any], values: list[Any]) -> list[Any]:
    """The values of a call's arguments in order, with None for those at the end that were not sent.

    Raises:
        gradio.Error: too many values, or a file that was not uploaded.
    """
    names = names_of(call)
    if len(values) > len(names):
        takes = f"{counted(len(names), 'value')} ({', '.join(names)})" if names else "no value"
        raise gr.Error(f"/{call.__name__} takes {takes}, and {len(values)} came.", print_exception=False)
    for name, value in zip(names, values, strict=False):
        _refuse_strange_files(name, value)
    return [*values, *[None] * (len(names) - len(values))]


def _refuse_strange_files(name: str, value: object) -> None:
    """Everything in a value that is marked as a file has to be an upload."""
    if isinstance(value, Mapping):
        if "path" in value and "meta" in value and not is_upload(value):
            is_address = str(value["path"]).startswith(("http://", "https://"))
            sent = value["path"] if is_address else value
            raise gr.Error(str(refuse_upload(name, sent)), print_exception=False)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _refuse_strange_files(name, item)


def refusals(page: gr.Blocks) -> dict[Any, Any]:
    """What a program is told whose call has no such name, no such argument, or no such body: kind of error -> handler."""

    def refused(sentence: str, status: int) -> JSONResponse:
        return JSONResponse({"detail": sentence, "error": sentence}, status)

    def no_call(request: Request, error: Exception) -> JSONResponse:
        if "/call/" not in request.url.path:
            raise error
        asked = request.url.path.partition("/call/")[2].removeprefix("v2/").strip("/")
        calls = ", ".join(gradio_private.arguments_of_calls(page))
        return refused(f"There is no call /{asked[:40]}. Choose one of: {calls}.", 404)

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

    errors = {TypeError: no_argument, RequestValidationError: no_body}
    return {**dict.fromkeys(gradio_private.NO_CALL, no_call), **errors}
