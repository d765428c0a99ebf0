"""A process that answers lines of JSON with lines of JSON: started, asked with a deadline, killed.

Does not know what is asked, nor when it should be started again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_LINE = 1 << 20


class WorkerProcess:
    """One run of a worker: its pipes, and threads that read what it says.

    Args:
        command: as a list; started without a shell.

    Attributes:
        ready: whether it said so (kept by the owner).
        warm: what it has evaluated in advance (kept by the owner).
    """

    def __init__(self, command: Sequence[str]) -> None:
        root = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([root, inherited] if inherited else [root]),
            "PYTHONUNBUFFERED": "1",
            "OMP_WAIT_POLICY": "passive",  # threads that spin slow everything else on the machine
            "GGML_NO_BACKTRACE": "1",  # else an abort forks a debugger, which can hang
        }
        pipe = subprocess.PIPE
        # A session of its own: it can be killed with whatever it forked, and Ctrl-C is left to this process.
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )
        self.ready = False
        self.warm: set[str] = set()
        self._numbers = itertools.count(1)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._complaints: deque[bytes | None] = deque(maxlen=5)
        self._readers = [
            threading.Thread(target=_pump, args=(stream, keep), daemon=True, name="language model")
            for stream, keep in (
                (self.process.stdout, self._lines.put),
                (self.process.stderr, self._complaints.append),
            )
        ]
        for reader in self._readers:
            reader.start()
        self._finalizer = weakref.finalize(self, _kill, self.process)

    def send(self, request: dict[str, Any]) -> int:
        """Write a request; returns its number."""
        number = next(self._numbers)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it is gone: `receive` finds out why
        return number

    def receive(self, seconds: float, number: int | None) -> dict[str, Any]:
        """The answer with a number (None: the greeting). Answers nobody waits for any more are passed over.

        Raises:
            TimeoutError: not in time.
            EOFError: the process ended.
            ValueError: a line that is no JSON object.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise TimeoutError from None
            if line is None:
                raise EOFError(self._obituary())
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise ValueError("it sent something that is no answer")
            if answer.get("id") == number:
                return answer

    def _obituary(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2)
        self._readers[-1].join(timeout=2)  # its last words may still be on their way
        said = [
            text for line in self._complaints if line and (text := line.decode("utf-8", "replace").strip())
        ]
        return f"it ended with code {self.process.poll()}{f' ({said[-1][:200]})' if said else ''}"

    def end(self) -> None:
        """Close its input, at which it ends; kill it when it does not."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._finalizer()


def _pump(stream: BinaryIO, keep: Callable[[bytes | None], object]) -> None:
    """Hand on a stream's lines, then None."""
    with stream:
        while line := stream.readline(LONGEST_LINE):
            keep(line)
    keep(None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
