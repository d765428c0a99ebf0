"""Visitors wait in line for what only few can have at a time, such as the language model. Who waits holds no thread.

Gradio's queue knows whole events only: a search that waits there has shown nothing yet, and one that waits inside its
handler keeps a thread from everybody else's first results. So a search stands in two lines, one after the other: for
its quick steps, and for its costly ones, with the first results on the screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.to_thread

TELL_SECONDS = 1.0  # between two looks at one's place
Value = TypeVar("Value")
Steps = Generator[tuple[Value, bool], None, None]  # values, each with whether the step after it is costly


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place in a line.

    Attributes:
        before: how many come first, those who are being served included; 0 when it is one's turn.
    """

    before: int


class WaitingLine:
    """Who came first is served first, `places` at a time. For one event loop."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._tickets: list[asyncio.Event] = []  # in order; set for those who are being served

    def __len__(self) -> int:
        return len(self._tickets)

    @contextmanager
    def join(self) -> Iterator[asyncio.Event]:
        """Stand in the line, and leave it at the end. Yields the ticket, which is set when it is one's turn."""
        ticket = asyncio.Event()
        self._tickets.append(ticket)
        self._call()
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            self._call()

    async def wait(self, ticket: asyncio.Event, wanted: Callable[[], bool]) -> AsyncIterator[Waiting]:
        """One's place whenever it has changed, until it is one's turn, which is told last, or nobody wants it any more.

        Nothing is told to who need not wait.
        """
        last = None
        while not ticket.is_set() and wanted():
            place = Waiting(self._tickets.index(ticket))
            if place != last:
                yield (last := place)
            try:
                await asyncio.wait_for(ticket.wait(), TELL_SECONDS)
            except TimeoutError:
                continue
        if last is not None and wanted():
            yield Waiting(0)  # also the moment at which gradio drops the search of a visitor who went away

    def _call(self) -> None:
        for ticket in self._tickets[: self.places]:
            ticket.set()


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one page: for the steps that need an encoder at most, and for those that need other models.

    What takes minutes, such as making triplets, has a line of its own, so that it holds no place of a search.
    """

    quick: WaitingLine = field(default_factory=lambda: WaitingLine(2))
    costly: WaitingLine = field(default_factory=lambda: WaitingLine(2))
    long: WaitingLine = field(default_factory=lambda: WaitingLine(1))

    async def in_turn(
        self,
        steps: Steps[Value],
        wanted: Callable[[], bool] = lambda: True,
        *,
        lines: Sequence[WaitingLine] = (),
    ) -> AsyncGenerator[Value | Waiting, None]:
        """Take the steps in threads, when it is their turn.

        Args:
            steps: values, each with whether the step after it is costly. From the first costly one on, all are.
            wanted: asked while it waits; once it is not, the line is left and nothing more is done.
            lines: to stand in, one after the other; by default the quick one, and the costly one from the first
                costly step on.

        Yields:
            The values, and the places in line between them.
        """
        try:
            lines = lines or (self.quick, self.costly)
            for line in lines:
                with line.join() as ticket:
                    async for place in line.wait(ticket, wanted):
                        yield place
                    last = line is lines[-1]
                    while wanted():
                        step = await anyio.to_thread.run_sync(next, steps, None)
                        if step is None:
                            return
                        yield step[0]
                        if step[1] and not last:
                            break
        finally:
            with suppress(ValueError):  # cancelled in the midst of a step, which ends by itself
                steps.close()
