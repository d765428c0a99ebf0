"""What a command prints: on a console of any encoding, and to a reader that may stop reading.

File names, captions and what people type know every script; a console may know only ASCII.
"""

from __future__ import annotations

import errno
import io
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from cir.models.model_set import Models

# What a shell sees of a program that a closed pipe has ended.
CLOSED_PIPE_STATUS = 128 + getattr(signal, "SIGPIPE", 13)


@contextmanager
def any_console() -> Iterator[None]:
    """Print what the console cannot show as escapes, and end quietly when nobody reads any more (`| head`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _drop_what_nobody_reads():
            raise  # another pipe: that of a model's process
        raise SystemExit(CLOSED_PIPE_STATUS) from None
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _lead_nowhere(sys.stdout)
        sys.stderr.write(f"What was to be printed cannot be written: {os.strerror(error.errno).lower()}.\n")
        raise SystemExit(2) from None


class IndexProgress:
    """Says on standard error how far the building of an index is, every other second."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called by who builds: what is done, how far it is, and of how much."""
        if time.monotonic() - self._shown > 2.0:
            sys.stderr.write(f"building the index: {stage}, {done:,} of {total:,}\n")
            self._shown = time.monotonic()


def print_json(value: Any) -> None:
    """Write one line of JSON; where the console does not know every letter, in JSON's own escapes."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    sys.stdout.write(json.dumps(value, ensure_ascii=not encoding.startswith("utf")) + "\n")


def announce(models: Models) -> None:
    """Say where a command sends captions and edits, if it sends them anywhere."""
    if models.where_asked:
        sys.stderr.write(f"{models.where_asked}\n")


def _drop_what_nobody_reads() -> bool:
    """Let a closed pipe lead nowhere, so that the end of the program finds nothing to complain of."""
    closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream.fileno())]
    for stream in closed:
        _lead_nowhere(stream)
    return bool(closed)


def _lead_nowhere(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_closed(descriptor: int) -> bool:
    """Whether nobody reads from the other end: asked of the system, since a stream forgets what it could not write."""
    asked = select.poll()
    asked.register(descriptor, 0)
    return bool(asked.poll(0))
