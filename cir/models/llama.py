"""The language model behind its protocol: a worker process with one lock, a deadline, and a restart.

llama.cpp ends the process that two threads call it in, and a fault in it cannot be caught: so it lives in a
process of its own (`cir.models.llama_child`), started as a plain command and spoken to in lines of JSON. A
command, not `multiprocessing`: a spawned child would import the application's main module, gradio and torch
with it, and would need seconds and hundreds of megabytes for nothing.

Knows the wire, time limits and restarts; does not know what a prompt asks, nor what becomes of an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from cir.cache_keys import digest_of
from cir.errors import LanguageModelFailed, MissingModel, UnsafeFile
from cir.models.chat_templates import layout_digest
from cir.models.llama_engine import ANSWERS_VERSION
from cir.models.protocols import PatientLanguageModel
from cir.models.worker_process import WorkerProcess
from cir.processors import processors
from cir.prompts import Prompt
from cir.questions import at_once

DEADLINE_SECONDS = 10.0
MOST_THREADS = 8  # beyond them a language model waits for memory
START_SECONDS = 120.0  # reading a file and evaluating prefixes, on a machine that is busy with other things
QUEUE_SECONDS = 60.0
SOFT_SHARE = 0.9  # of the deadline: then the worker gives up by itself, and keeps its model
KINDS_KEPT = 3  # kinds of prompts kept evaluated; the worker has a fourth place for plain questions
_SMALLER = "The search goes on without it. Try again, or choose a smaller model: --llm qwen2.5-coder-0.5b"


def check_gguf(path: Path) -> None:
    """Look at a model file's first bytes, before a parser written in C sees it.

    Raises:
        MissingModel: no such file.
        UnsafeFile: no GGUF, or counts that no model has.
    """
    if not path.is_file():
        raise MissingModel(
            f"There is no language model at {path}.",
            "Fetch the default one: python -m cir models pull embedded",
        )
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or head[:4] != b"GGUF":
        raise UnsafeFile(f"{path.name} is no GGUF file.", _ANOTHER)
    version, tensors, keys = struct.unpack("<IQQ", head[4:])
    # Split files have their tensors in the later parts, so that none in the first is legal.
    if version not in (2, 3) or tensors > 100_000 or not 0 < keys < 100_000:
        raise UnsafeFile(f"{path.name} is a damaged GGUF file (version {version}).", _ANOTHER)
    if path.stat().st_size < 24 + 12 * keys + 24 * tensors:
        raise UnsafeFile(f"{path.name} is a GGUF file that was cut off.", _ANOTHER)


_ANOTHER = "Give another file, or fetch the default one: python -m cir models pull embedded"


def file_fingerprint(path: Path) -> str:
    """12 hexadecimal digits from a file's size, its first and last MiB: not a gigabyte at every start."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read())
    return digest.hexdigest()[:12]


def _asked_how() -> str:
    """8 hexadecimal digits of what decides an answer beside the file: how a prompt is laid out, sampled and ended."""
    return digest_of(layout_digest(), ANSWERS_VERSION)[:8]


class LlamaWorker:
    """A GGUF model in a worker process, as a `LanguageModel`. Safe to be called by several threads.

    The process is started at the first call (or by `warm_up`), killed when it does not answer in time, and
    started again after it was killed or died. It ends when this object is closed, and when this process ends.

    Args:
        path: the GGUF file; checked when it is first used.
        name: for people; the file's name by default.
        fingerprint: where its hash is known already.
        threads: CPU threads; as many as there are processors to use, at most eight, by default.
        context_tokens: prompt and answer together.
        deadline_seconds: for one call, once the model is loaded and the prompt's prefix evaluated.
        start_seconds: for these two.
        cache_folder: where evaluated prefixes are kept from one start to the next; None keeps none.
        command: another worker that speaks the same lines.
        remembered: how many answers are kept.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        fingerprint: str | None = None,
        threads: int | None = None,
        context_tokens: int = 2048,
        deadline_seconds: float = DEADLINE_SECONDS,
        start_seconds: float = START_SECONDS,
        cache_folder: Path | None = None,
        command: Sequence[str] | None = None,
        remembered: int = 512,
    ) -> None:
        self.path = Path(path)
        check_gguf(self.path)
        self.name = name or self.path.stem
        self.fingerprint = f"{self.name}@{fingerprint or file_fingerprint(self.path)}.{_asked_how()}"
        self.context_tokens = context_tokens
        self.deadline_seconds, self.start_seconds = deadline_seconds, start_seconds
        self.last_timings: dict[str, float] = {}
        self._command = list(command or self._usual_command(threads, cache_folder))
        self._answers: LRUCache[tuple[str, str, int, float, int], str] = LRUCache(remembered)
        self._lock = threading.Lock()
        self._child: WorkerProcess | None = None
        self._wanted: OrderedDict[str, Prompt] = OrderedDict()  # prefix -> a prompt with it
        self._closed, self._refused = False, ""

    def _usual_command(self, threads: int | None, cache_folder: Path | None) -> list[str]:
        count = threads or min(MOST_THREADS, processors())
        options = ["--threads", str(count), "--context", str(self.context_tokens)]
        if cache_folder is not None:
            options += ["--cache", str(cache_folder), "--fingerprint", self.fingerprint]
        return [sys.executable, "-m", "cir.models.llama_child", str(self.path), *options]

    def complete(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        deadline_seconds: float | None = None,
    ) -> str:
        """The completion of a prompt. A plain string is one question; a `Prompt` keeps its prefix evaluated.

        Args:
            prompt: what is asked.
            max_tokens: of the answer.
            temperature, seed: of the choice among tokens.
            deadline_seconds: for this call; by default that of the model.

        Raises:
            LanguageModelFailed: no answer in time, a prompt that is too long, the worker died (it is started
                again), or llama.cpp cannot read the file (it is not tried again).
        """
        if max_tokens < 1:
            raise ValueError("max_tokens has to be at least 1")
        asked = prompt if isinstance(prompt, Prompt) else Prompt("", (), prompt, stop="")
        key = (str(asked), asked.stop, max_tokens, temperature, seed)
        deadline = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        with self._turn():
            if key in self._answers:
                return self._answers[key]
            if asked.prefix:
                self._warm([asked])
            answer = self._ask(
                {
                    "do": "complete",
                    "prompt": _as_json(asked),
                    "max_tokens": max_tokens,
                    "temperature": temperature,
                    "seed": seed,
                    "seconds": SOFT_SHARE * deadline,
                },
                deadline,
            )
            text = answer.get("text")
            if not isinstance(text, str):
                raise self._broken("The language model's process sent something that is no answer.")
            self.last_timings = {
                k: float(answer[k]) for k in ("evaluated", "generated", "milliseconds") if k in answer
            }
            if self._answers.maxsize:
                self._answers[key] = text
            return text

    def forget(self) -> None:
        """Remember no answer any more, as measuring how long one takes wants it."""
        with self._turn():
            self._answers.clear()

    def warm_up(self, prompts: Sequence[Prompt]) -> None:
        """Load the model and evaluate what the given kinds of prompts share, so that the first call is quick.

        Raises:
            LanguageModelFailed: as for `complete`.
        """
        with self._turn():
            self._warm(prompts)

    def close(self) -> None:
        """End the worker process. Calls after this fail."""
        self._closed = True
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __enter__(self) -> LlamaWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=QUEUE_SECONDS):
            raise LanguageModelFailed(
                "The language model is busy with other questions.", "Try again in a minute."
            )
        try:
            yield
        finally:
            self._lock.release()

    def _warm(self, prompts: Sequence[Prompt]) -> None:
        child = self._ready_child()
        for prompt in prompts:
            self._wanted[prompt.prefix] = prompt
            self._wanted.move_to_end(prompt.prefix)
        while len(self._wanted) > KINDS_KEPT:
            child.warm.discard(self._wanted.popitem(last=False)[0])
        for prefix, prompt in self._wanted.items():
            if prefix not in child.warm:
                self._ask({"do": "warm", "prompt": _as_json(prompt)}, self.start_seconds)
                child.warm.add(prefix)

    def _ready_child(self) -> WorkerProcess:
        """The running worker, started if there is none; its model is loaded."""
        if self._closed:
            raise LanguageModelFailed("The language model was closed.", "Start the program again.")
        if self._refused:
            raise LanguageModelFailed(self._refused, _ANOTHER)
        child = self._child = self._child or self._start()
        if not child.ready:
            greeting = self._receive(child, self.start_seconds, None)
            if not greeting.get("ready"):
                reason = str(greeting.get("error", "it gave no reason"))[:200]
                self._refused = f"The language model {self.path.name} cannot be used: {reason}."
                raise self._broken(self._refused, _ANOTHER)
            child.ready = True
        return child

    def _start(self) -> WorkerProcess:
        try:
            return WorkerProcess(self._command)
        except OSError as error:
            raise LanguageModelFailed(
                f"The language model's process cannot be started: {error}.", _SMALLER
            ) from error

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        child = self._ready_child()
        number = child.send(request)
        answer = self._receive(child, seconds, number)
        if "error" in answer:
            remedy = "Shorten the edit." if answer.get("kind") == "too_long" else _SMALLER
            raise LanguageModelFailed(f"The language model gave no answer: {answer['error']}.", remedy)
        return answer

    def _receive(self, child: WorkerProcess, seconds: float, number: int | None) -> dict[str, Any]:
        try:
            return child.receive(seconds, number)
        except TimeoutError:
            raise self._broken(f"The language model gave no answer within {seconds:.0f} seconds.") from None
        except (EOFError, ValueError, OSError) as error:
            raise self._broken(f"The language model's process failed: {error}.") from error

    def _broken(self, message: str, remedy: str = _SMALLER) -> LanguageModelFailed:
        """Kill the worker, and start the next one if this one had come as far as answering.

        Returns:
            The error to raise.
        """
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            if child.ready and not self._closed:
                with contextlib.suppress(LanguageModelFailed):  # then the next call tries, and says why
                    self._child = self._start()
        return LanguageModelFailed(message, remedy)


def _as_json(prompt: Prompt) -> dict[str, Any]:
    return {
        "instruction": prompt.instruction,
        "examples": [list(e) for e in prompt.examples],
        "question": prompt.question,
        "prefix": prompt.prefix,
        "stop": prompt.stop,
    }


class PatientModel:
    """A language model with a deadline of its own, for work that nobody waits for word by word.

    Args:
        model: which is asked.
        deadline_seconds: for one call.
    """

    def __init__(self, model: PatientLanguageModel, deadline_seconds: float) -> None:
        self.fingerprint, self._model, self._seconds = model.fingerprint, model, deadline_seconds
        self.at_once = at_once(model)

    def complete(self, prompt: str, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> str:
        """As the model's own."""
        how = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        return self._model.complete(prompt, deadline_seconds=self._seconds, **how)
