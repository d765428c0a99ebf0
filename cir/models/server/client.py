"""One server that answers in JSON: asked again where it may help, until a deadline, and what goes wrong in sentences.

httpx, which gradio brings, does the asking; the `openai` package would bring nothing that is wanted here beside it: it
follows redirects, reads answers of any length, and waits as long as a server tells it to. Requests run in an event
loop of their own, because only there a deadline ends one whatever the server is doing. No proxy and no .netrc counts:
captions go to the address that was given and nowhere else. Knows no prompts.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar

import httpx

from cir.errors import LanguageModelFailed
from cir.models.server.address import ServerAddress
from cir.text import clean_text, counted

TRIES = 4
BACKOFF_SECONDS, BACKOFF = 0.5, 2.0  # before the second try, and how much longer before each further one
ENDING_SECONDS = 5.0
MAX_ANSWER_BYTES = 1 << 20
SAID_CHARACTERS = 200  # of what a server says of a question that it refuses
_MAY_PASS = {408, 429, 500, 502, 503, 504, 529}
_BUSY = {429, 503, 529}
_OF_ROLES = re.compile(
    r"\broles?\b", re.IGNORECASE
)  # a failure of the model's template: no further try helps
_SLOW = "Try again; if it stays so, the server has too much to do, or its model is too large for it."
Answer = TypeVar("Answer")


class Refused(LanguageModelFailed):
    """The server says that the question itself cannot be answered. `said`: its own words, cleaned."""

    def __init__(self, message: str, remedy: str, said: str) -> None:
        super().__init__(message, remedy)
        self.said = said


class _MayPass(Exception):
    """A failure that may be over soon. `seconds`: what the server wants to be waited for."""

    def __init__(self, problem: LanguageModelFailed, seconds: float = 0.0) -> None:
        super().__init__(problem.message)
        self.problem, self.seconds = problem, seconds


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A request under way: its time limit, and until when (of the loop's clock) that may be put off."""

    limit: asyncio.Timeout
    seconds: float
    latest: float

    def prolong(self) -> None:
        """The server is at work: count the seconds from now."""
        if not self.limit.expired():
            until = min(self.latest, asyncio.get_running_loop().time() + self.seconds)
            self.limit.reschedule(max(until, self.limit.when() or 0.0))


class ServerClient:
    """A server and its key. Safe to be called by several threads.

    Args:
        address: of the server.
        key: sent to it and to nobody else; "" for none.
        key_name: the variable that the key is in, for people.
        backoff_seconds: what is waited for before the second try.
    """

    def __init__(
        self,
        address: ServerAddress,
        key: str = "",
        key_name: str = "",
        *,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self.address, self._key, self._key_name = address, key, key_name
        self._backoff = backoff_seconds
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient | None = None
        self._closed = False
        self._waiting: set[_Waiting] = set()

    def ask(
        self,
        method: str,
        path: str,
        row: Mapping[str, Any] | None,
        seconds: float,
        *,
        at_most: float | None = None,
    ) -> Any:
        """What the server answers to a request, as JSON.

        Args:
            method: "GET" or "POST".
            path: behind the address, such as "/models".
            row: what is sent as JSON; None for nothing.
            seconds: within which it has to have answered, all tries together. They begin anew whenever it answers something
                else: a server that answers one question after the other comes to each.
            at_most: after which nothing begins anew any more; None for `seconds`.

        Raises:
            Refused: the server says that the question cannot be answered.
            LanguageModelFailed: the server does not answer, or not so that it can be used.
        """
        return self._run(self._in_time(method, path, row, seconds, at_most or seconds))

    def close(self) -> None:
        """End what is under way. Calls after this fail."""
        with self._lock:
            self._closed, loop, self._loop = True, self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        with self._lock:
            if self._closed:
                work.close()
                raise LanguageModelFailed("The language model was closed.", "Start the program again.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._http = self._opened()
                name = "language model's server"
                threading.Thread(target=self._loop.run_forever, daemon=True, name=name).start()
            waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except CancelledError:
            raise LanguageModelFailed("The language model was closed.", "Start the program again.") from None
        finally:
            waiting.cancel()  # nobody waits any more, such as after Ctrl-C

    async def _end(self) -> None:
        asked = asyncio.all_tasks() - {asyncio.current_task()}
        for task in asked:
            task.cancel()
        if asked:  # whoever waits for one is told
            await asyncio.wait(asked, timeout=ENDING_SECONDS)
        if self._http is not None:
            await self._http.aclose()
        asyncio.get_running_loop().stop()

    def _opened(self) -> httpx.AsyncClient:
        headers = {"Accept-Encoding": "identity", "User-Agent": "recompose"}  # nothing unpacks into gigabytes
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # The certificates of SSL_CERT_FILE count; proxies and passwords of the environment do not.
        return httpx.AsyncClient(
            headers=headers, trust_env=False, verify=httpx.create_ssl_context(), timeout=None
        )

    async def _in_time(
        self, method: str, path: str, row: Mapping[str, Any] | None, seconds: float, at_most: float
    ) -> Any:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds) as limit:
                waiting = _Waiting(limit, seconds, began + at_most)
                self._waiting.add(waiting)
                try:
                    answer = await self._tried(method, path, row, limit)
                finally:
                    self._waiting.discard(waiting)
                for other in self._waiting:
                    other.prolong()
                return answer
        except TimeoutError:
            passed = asyncio.get_running_loop().time() - began
            raise LanguageModelFailed(
                f"The language model's server {self.address.shown} gave no answer within {passed:.0f} seconds.",
                _SLOW,
            ) from None

    async def _tried(
        self, method: str, path: str, row: Mapping[str, Any] | None, limit: asyncio.Timeout
    ) -> Any:
        wait = self._backoff
        for left in reversed(range(TRIES)):
            try:
                return await self._once(method, path, row)
            except _MayPass as failed:
                pause = max(wait, failed.seconds)
                until = limit.when() or 0.0
                if not left or asyncio.get_running_loop().time() + pause >= until:
                    raise failed.problem from None
            await asyncio.sleep(pause)
            wait *= BACKOFF
        raise AssertionError("the last try answers or raises")

    async def _once(self, method: str, path: str, row: Mapping[str, Any] | None) -> Any:
        assert self._http is not None
        body = bytearray()
        try:
            async with self._http.stream(method, f"{self.address.base}{path}", json=row) as response:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise self._no_answer(f"sent more than {MAX_ANSWER_BYTES >> 20} MB for one answer")
        except httpx.HTTPError as error:  # its words may hold anything; none of them is repeated
            raise self._gone(error) from None
        if not response.is_success:
            raise self._refusal(response, bytes(body))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._no_answer("sent something that is no answer") from None

    def _no_answer(self, why: str) -> LanguageModelFailed:
        remedy = "See whether it speaks OpenAI's protocol at this address: --llm URL#MODEL"
        return LanguageModelFailed(f"The language model's server {self.address.shown} {why}.", remedy)

    def _gone(self, error: httpx.HTTPError) -> Exception:
        shown = self.address.shown
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return LanguageModelFailed(
                f"The certificate of the language model's server {shown} is not trusted.",
                "If it is your own, name the file of who signed it: SSL_CERT_FILE=FILE",
            )
        if isinstance(error, httpx.ConnectError):
            why, remedy = (
                "cannot be reached",
                "See whether it runs, and whether the address is right: --llm URL#MODEL",
            )
        else:
            why, remedy = "broke the connection off", "Try again; its log may say why."
        return _MayPass(LanguageModelFailed(f"The language model's server {shown} {why}.", remedy))

    def _refusal(self, response: httpx.Response, body: bytes) -> Exception:
        status, shown = response.status_code, self.address.shown
        said, code = self._said(body)
        if response.has_redirect_location or 300 <= status < 400:
            return LanguageModelFailed(
                f"The language model's server {shown} sends questions on to another address; they are not sent there.",
                "Give that address itself, if you trust it: --llm URL#MODEL",
            )
        if status in (401, 403):
            return LanguageModelFailed(
                f"The language model's server {shown} refuses the key, or wants one.",
                f"Put the right one into the environment ({self._key_name}, or the name that --llm-key-env gives).",
            )
        if code == "insufficient_quota" or status == 402:
            problem = (
                f"The language model's server {shown} says that nothing is left to be spent with this key."
            )
            return LanguageModelFailed(problem, "See its account, or take another model: --llm")
        if status in _MAY_PASS and not _OF_ROLES.search(said):
            seconds = _retry_after(response)
            if status not in _BUSY:
                problem = LanguageModelFailed(
                    f"The language model's server {shown} failed ({status}).", "Its log says why."
                )
                return _MayPass(problem, seconds)
            asks = f", and asks for {counted(round(seconds), 'second')} of patience" if seconds >= 1 else ""
            problem = f"The language model's server {shown} has too much to do{asks}."
            return _MayPass(LanguageModelFailed(problem, "Try again later."), seconds)
        if status == 404:
            model = f" model {self.address.model} there" if self.address.model else "thing at this address"
            remedy = "Leave #MODEL out to be told which models it has, or check the address: --llm URL#MODEL"
            return LanguageModelFailed(f"The language model's server {shown} knows no{model}.", remedy)
        words = f": “{said}”" if said else ""
        problem = f"The language model's server {shown} refused the question ({status}){words}."
        return Refused(problem, "Take another model, or another server: --llm URL#MODEL", said)

    def _said(self, body: bytes) -> tuple[str, str]:
        """The server's own words on one short line, without the key, and its code for what is wrong."""
        try:
            row = json.loads(body)
            error = row.get("error", row)
            said = error if isinstance(error, str) else error.get("message") or error.get("detail") or ""
            code = "" if isinstance(error, str) else str(error.get("code") or "")
        except (ValueError, RecursionError, AttributeError):
            return "", ""
        said = said if isinstance(said, str) else json.dumps(said)
        if self._key:
            said = said.replace(self._key, "KEY")
        return clean_text(said)[0][:SAID_CHARACTERS], code


def _retry_after(response: httpx.Response) -> float:
    """Seconds that a server asks to be left alone for; 0 where it does not say, or says something else."""
    said = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (ValueError, OverflowError):
        return 0.0
