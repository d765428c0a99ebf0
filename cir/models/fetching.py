"""Fetching a set of models while a page is served: begun, watched, cancelled and gone on with by whoever is there.

A process of its own does the work (`python -m cir models pull NAME --json`): it can be ended at any moment without a loss,
gives its memory back, and has the proxies that a serving process leaves out. Here is how far it is, and why it ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any

from cir.errors import CirError, MissingModel
from cir.memory import available_bytes
from cir.models.catalog import SETS, is_here, part_bytes, parts_of, source_of
from cir.models.model_files import models_folder
from cir.places import PACKAGE

IDLE, RUNNING, STOPPING, STOPPED, FAILED, READY = (
    "idle", "running", "stopping", "stopped", "failed", "ready",
)  # fmt: skip
FETCHING, MAKING, TRYING = "fetching", "making", "trying"  # the stages, in order
END_SECONDS = 20.0  # for a process that was asked to end
RATE_SECONDS = 20.0  # over which the speed is taken
NICENESS = 10  # searches go first


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A model of a set: `size` in bytes, None where nobody knows it; `made`: on this computer, not fetched."""

    name: str
    licence: str
    source: str
    size: int | None
    made: bool
    here: bool


@dataclass(frozen=True, slots=True)
class FetchingJob:
    """The present or the last fetching.

    Attributes:
        state: one of the constants of this module.
        stage: what is being done, likewise; "" before the first report.
        part: the model that is being fetched.
        sizes: model -> bytes in all, of those that are to come.
        done: model -> bytes that are here.
        seconds_left: until everything is fetched, by the speed of late; None while that is not known.
        said: how far making or trying is, in words.
        problem: why it failed.
    """

    state: str = IDLE
    stage: str = ""
    part: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    done: Mapping[str, int] = field(default_factory=dict)
    seconds_left: float | None = None
    said: str = ""
    problem: CirError | None = None

    @property
    def is_running(self) -> bool:
        """Whether it still works, if only to end."""
        return self.state in (RUNNING, STOPPING)

    @property
    def whole(self) -> tuple[int, int]:
        """(bytes done, bytes in all) of everything that was to come."""
        return sum(self.done.values()), sum(self.sizes.values())


class Fetching:
    """Fetches one set, when it is asked to. What came is kept, however it ends.

    Args:
        name: of the set.
        environment: of the process that fetches; this one's by default.
        llm: another language model than the set's, as of `Models`.
        device: where its models are tried; None takes a GPU where there is one.
    """

    def __init__(
        self,
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        llm: str | None = None,
        device: str | None = None,
    ) -> None:
        self.name, self.llm, self.device = name, llm, device
        self._environment = environment
        self._job = FetchingJob()
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: Thread | None = None

    @property
    def job(self) -> FetchingJob:
        """How things stand now."""
        return self._job

    @property
    def folder(self) -> Path:
        """Where models are written."""
        return models_folder()

    @property
    def memory_bytes(self) -> int:
        """What the set takes of memory at its most, without the language model."""
        return SETS[self.name].memory_bytes

    @property
    def free_memory(self) -> int:
        """Bytes that can be taken now."""
        return available_bytes()

    @property
    def free_disk(self) -> int:
        """Bytes that are free where models are written."""
        there = next(one for one in (self.folder, *self.folder.parents) if one.exists())
        return shutil.disk_usage(there).free

    def plan(self) -> list[PlannedPart]:
        """The models of the set. What is here is hashed, once."""
        return [
            PlannedPart(
                part.name, part.licence, source_of(part), part_bytes(part), bool(part.made), is_here(part)
            )
            for _, part in parts_of(self.name, self.llm)
            if not part.asked_for
            if not part.shipped
        ]

    def start(self) -> None:
        """Begin, or go on where an earlier fetching ended. It does nothing while one is running."""
        with self._lock:
            if self._job.is_running:
                return
            sizes = {one.name: one.size or 0 for one in self.plan() if not one.here and not one.made}
            self._job = FetchingJob(RUNNING, sizes=sizes)
            complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  its reader closes it
            self._process = self._begin(complaints)
            self._thread = Thread(target=self._follow, args=(self._process, complaints), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """End it; what came is kept."""
        with self._lock:
            if self._job.state != RUNNING or self._process is None:
                return
            self._job = replace(self._job, state=STOPPING)
            self._process.terminate()

    def close(self) -> None:
        """End it with the page, and wait for that."""
        self.cancel()
        self.join(2 * END_SECONDS)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _begin(self, complaints: IO[str]) -> subprocess.Popen[str]:
        environment = dict(os.environ if self._environment is None else self._environment)
        paths = [str(PACKAGE.parent), *filter(None, [environment.get("PYTHONPATH")])]
        process = subprocess.Popen(
            pull_command(self.name, self.llm, self.device),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
        )
        with suppress(OSError, AttributeError):  # other systems have no such number, or it has ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    def _follow(self, process: subprocess.Popen[str], complaints: IO[str]) -> None:
        assert process.stdout is not None
        speed, problem = _Speed(), None
        with process.stdout as lines, complaints:
            for line in lines:
                report = _read(line)
                if "error" in report:
                    problem = MissingModel(str(report["error"]), str(report.get("remedy", "")))
                elif "stage" in report:
                    self._note(report, speed)
            status = self._ended(process)
            complaints.seek(0)
            last = [one.strip() for one in complaints if one.strip()][-1:]
        if self._job.state == STOPPING:
            self._end(STOPPED)
        elif status == 0:
            self._end(READY)
        else:
            self._end(FAILED, problem or _unexpected(self.name, status, "".join(last)))

    def _ended(self, process: subprocess.Popen[str]) -> int:
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _note(self, report: Mapping[str, Any], speed: _Speed) -> None:
        with self._lock:
            job = replace(self._job, stage=str(report["stage"]), said=str(report.get("said", "")))
            if job.stage == FETCHING:
                part, done, total = str(report["part"]), int(report["done"]), int(report["total"])
                sizes = {**job.sizes, part: max(done, total or job.sizes.get(part, 0))}
                job = replace(job, part=part, sizes=sizes, done={**job.done, part: done})
                job = replace(job, seconds_left=speed.seconds_left(*job.whole))
            self._job = job

    def _end(self, state: str, problem: CirError | None = None) -> None:
        with self._lock:
            self._job = replace(self._job, state=state, problem=problem)


def pull_command(name: str, llm: str | None, device: str | None) -> list[str]:
    """What fetches a set, makes what is missing, and tries it."""
    given = [
        word for option, value in (("--llm", llm), ("--device", device)) if value for word in (option, value)
    ]
    return [sys.executable, "-m", "cir", "models", "pull", name, "--json", "--first-gallery", *given]


class _Speed:
    """How fast bytes came of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def seconds_left(self, done: int, total: int) -> float | None:
        """Until all is done, at the speed of late; None while too little was seen."""
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        began, before = self._seen[0]
        if done <= before or now - began < 1.0:
            return None
        return max(0, total - done) * (now - began) / (done - before)


def _read(line: str) -> dict[str, Any]:
    """A line of the process; what is none of its reports says nothing."""
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _unexpected(name: str, status: int, last: str) -> CirError:
    if status < 0:
        why = f"It was ended by signal {-status}, as happens when the memory is full."
    else:
        why = f"It said: {last[:300]}" if last else f"Its exit status is {status}."
    return MissingModel(
        f"Fetching the set {name} broke off. {why}",
        f"Go on with it: what came is kept. In a terminal it says more: python -m cir models pull {name}",
    )
