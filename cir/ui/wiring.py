"""How the page's events are wired: what each of them is told of gradio, and how an error is shown. Knows no tab."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from cir.ui import pieces
from cir.ui.problems import describe_problem
from cir.ui.server.waiting import Waiting

# No event of the page is a call for programs, and no veil lies over what an answer changes.
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
QUIET: dict[str, Any] = {**PRIVATE, "show_progress": "hidden"}
# Values as they were sent; handlers check them and say in words what is wrong. Uploads are still checked to be uploads.
AS_SENT: dict[str, Any] = {**QUIET, "preprocess": False}
# What is done while an answer is on its way is done as well: it says what it is about.
EACH: dict[str, Any] = {**AS_SENT, "concurrency_limit": None, "trigger_mode": "multiple"}
Update = dict[Any, Any]  # what a handler answers: component -> value


def remembered(value: object) -> gr.State:
    """What the server remembers of each page, for an hour after it was used last."""
    return gr.State(value, time_to_live=3600)


def html_piece(value: str, **options: Any) -> gr.HTML:
    """A piece of our own HTML, dressed by our own style sheet alone."""
    return gr.HTML(value, apply_default_css=False, **options)


def small_button(words: str, elem_id: str, **options: Any) -> gr.Button:
    """A button as wide as its words, for a row of them."""
    return gr.Button(words, size="sm", min_width=0, elem_id=elem_id, **options)


def then_answered(event: Any) -> None:
    """The page's script goes on with what was done after this event, once it is over."""
    afterwards(event, "() => recompose.answered()")


def afterwards(event: Any, script: str) -> None:
    """What the page's script does when an event is answered, or could not be, of which gradio's `then` does not hear."""
    for after in (event.then, event.failure):
        after(None, js=script, **PRIVATE)


async def answers_in_turn(
    answers: AsyncGenerator[Update | Waiting, None], stage: gr.HTML, said: str
) -> AsyncGenerator[Update, None]:
    """The answers of steps that stand in line (`Lines.in_turn`), and between them how many come first.

    Args:
        answers: as they come; closed in the end.
        stage: where that is said. When its turn has come, there is again what was there before.
        said: what is worked on until the first answer.
    """
    line, begun = pieces.working(said), False
    async with aclosing(answers):
        async for answer in answers:
            if not isinstance(answer, Waiting):
                line, begun = answer.get(stage, line), True
                yield answer
            elif answer.before:
                yield {stage: pieces.waiting(answer.before, first_results=begun)}
            else:
                yield {stage: line}


def problem_html(error: Exception) -> str:
    """An error as the page shows it; a fault is logged under an id."""
    return pieces.problem_card(describe_problem(error))


def with_problems_shown(
    handler: Callable[..., Any], shown: gr.HTML | Callable[..., dict[Any, Any]]
) -> Callable[..., Any]:
    """An event handler that answers {component: value}, and never with an error: that is shown in words.

    Args:
        handler: a function or a generator, asynchronous or not.
        shown: what shows an error while all else stays as it was; or a function (error, *what the handler was
            called with) -> {component: value}, which may raise another error in its place.
    """

    def problem(error: Exception, values: Sequence[Any]) -> dict[Any, Any]:
        return {shown: problem_html(error)} if isinstance(shown, gr.HTML) else shown(error, *values)

    # Gradio reads from a handler's signature whether it wants the event, and from its kind whether it has stages.
    @functools.wraps(handler)
    def answer(*values: Any, **named: Any) -> Any:
        try:
            return handler(*values, **named)
        except Exception as error:
            return problem(error, values)

    @functools.wraps(handler)
    async def answer_later(*values: Any, **named: Any) -> Any:
        try:
            return await handler(*values, **named)
        except Exception as error:
            return problem(error, values)

    @functools.wraps(handler)
    def stages(*values: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from handler(*values, **named)
        except Exception as error:
            yield problem(error, values)

    @functools.wraps(handler)
    async def stages_later(*values: Any, **named: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(handler(*values, **named)) as came:
                async for stage in came:
                    yield stage
        except Exception as error:
            yield problem(error, values)

    kinds: tuple[tuple[Callable[..., bool], Callable[..., Any]], ...] = (
        (inspect.isasyncgenfunction, stages_later),
        (inspect.iscoroutinefunction, answer_later),
        (inspect.isgeneratorfunction, stages),
    )
    return next((wrapper for is_kind, wrapper in kinds if is_kind(handler)), answer)


def sent_with(event: gr.EventData, name: str) -> object:
    """A value that the page's script sent along with an event; None where it sent none of that name."""
    try:
        return getattr(event, name, None)
    except TypeError:  # what came is no object of values
        return None
