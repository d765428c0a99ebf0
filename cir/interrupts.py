"""How the process ends: by Ctrl-C at any moment, when it is told to, and at its own end.

Imports nothing of the program, as it comes before all of it.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import NoReturn

CALLED_OFF = ("SIGTERM", "SIGHUP")  # whoever stops a service, or closes the window that it was started in


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within, Ctrl-C ends the process without a word; afterwards it is a KeyboardInterrupt again.

    For the moments in which the program itself is still being read: there is nothing to keep yet.
    """
    with _heard(("SIGINT",), signal.SIG_DFL):
        yield


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Within, the process ends as by Ctrl-C when it is told to: what it holds for others, such as uploads, goes with it."""
    with _heard(CALLED_OFF, signal.default_int_handler):
        yield


@contextmanager
def _heard(names: tuple[str, ...], handler: object) -> Iterator[None]:
    """Signals are answered otherwise. Those that are ignored, as `nohup` has it, go on being ignored."""
    if current_thread() is not main_thread():  # no other may say what signals do
        yield
        return
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in numbers if signal.getsignal(one) != signal.SIG_IGN}
    for one in before:
        signal.signal(one, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for one, answer in before.items():
            signal.signal(one, answer)


def run_to_its_end(main: Callable[[], int]) -> NoReturn:
    """Run a program as the whole of this process, and leave with its exit status.

    What is registered for the end of the process is done; then it is left without waiting for threads that work in
    native code, such as an indexing: Python ends these in a way that aborts the process.
    """
    status: list[int] = []
    atexit.register(_leave, status)  # the first that is registered is the last that is done
    status.append(main())
    raise SystemExit(status[0])


def _leave(status: list[int]) -> None:
    if not status:  # a traceback is on its way
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read has gone: Python says so, with a status of its own
        return
    os._exit(status[0])
