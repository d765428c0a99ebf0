"""Every event handler answers an error in words, on the page, whatever kind of handler it is."""

from __future__ import annotations

import asyncio
import errno
import inspect
from typing import Any

import gradio as gr
import pytest

from cir.errors import BadQuery
from cir.ui.problems import describe_problem
from cir.ui.wiring import sent_with, with_problems_shown

WRONG = BadQuery("No such day.", "Give another.")


def function(value: object) -> dict[str, object]:
    raise WRONG


def stages(value: object):
    yield {"stage": value}
    raise WRONG


async def awaited(value: object) -> dict[str, object]:
    raise WRONG


async def awaited_stages(value: object):
    yield {"stage": value}
    raise WRONG


def answers_of(handler: Any, *values: object) -> list[Any]:
    """All that a handler answers, whatever its kind."""

    async def all_of(answers: Any) -> list[Any]:
        return [answer async for answer in answers]

    if inspect.isasyncgenfunction(handler):
        return asyncio.run(all_of(handler(*values)))
    if inspect.iscoroutinefunction(handler):
        return [asyncio.run(handler(*values))]
    return list(handler(*values)) if inspect.isgeneratorfunction(handler) else [handler(*values)]


@pytest.mark.parametrize("handler", [function, awaited, stages, awaited_stages])
def test_an_error_of_a_handler_is_shown_in_words_after_all_that_it_answered(handler: Any):
    part = gr.HTML()
    *before, last = answers_of(with_problems_shown(handler, part), 7)
    assert before == ([] if handler in (function, awaited) else [{"stage": 7}])
    assert list(last) == [part]
    assert "No such day." in last[part]
    assert "Give another." in last[part]


@pytest.mark.parametrize("handler", [function, awaited, stages, awaited_stages])
def test_who_shows_an_error_differently_is_given_what_the_handler_was_called_with(handler: Any):
    shown = with_problems_shown(handler, lambda error, value: {"kept": value, "error": error})
    assert answers_of(shown, 7)[-1] == {"kept": 7, "error": WRONG}


@pytest.mark.parametrize(
    ("error", "told", "way_out"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/cache/x"), "The disk is full", "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv/cache/x"), "permission denied", "CIR_CACHE=FOLDER"),
        (OSError(errno.EROFS, "Read-only file system", "/srv/cache/x"), "read-only file system", "CIR_CACHE=FOLDER"),
        (OSError(errno.EIO, "Input/output error"), "The disk answered with an error", "Check it"),
        (FileNotFoundError(errno.ENOENT, "", "x.json"), "Something went wrong in the program", "Try again"),
    ],
)  # fmt: skip
def test_what_the_disk_refuses_is_no_fault_of_the_program_and_tells_no_place_on_the_server(
    error, told, way_out
):
    problem = describe_problem(error)
    assert told in problem.message
    assert way_out in problem.remedy
    assert "/srv" not in f"{problem.message} {problem.remedy}"


def test_a_library_that_only_says_that_writing_failed_is_told_by_the_error_that_it_came_of():
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert describe_problem(error).message.startswith("The disk is full")


@pytest.mark.parametrize("sent", [None, 3, "do it", ["do"], {}, {"place": 2}])
def test_what_a_script_did_not_send_is_none_whatever_came_in_its_place(sent: object):
    assert sent_with(gr.EventData(None, sent), "do") is None


def test_what_a_script_sent_is_read_by_its_name():
    assert sent_with(gr.EventData(None, {"do": "undo"}), "do") == "undo"
