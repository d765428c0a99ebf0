"""A language model that a server answers for, by OpenAI's protocol: vLLM, Ollama, llama.cpp's own, or a closed one.

A prompt goes as the turns of a chat, with its examples as answers that were given before: the same layout that a file
gets by its own template. Nothing else is asked of a server - no grammar, no JSON, no stop text: as with a file, an
answer ends at the first line end after its first word, and is checked by `cir.replies` before it is used. The server
gets no pictures. Knows neither captions nor edits, nor how a request is sent.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache

from cir.cache_keys import digest_of
from cir.errors import BadQuery, LanguageModelFailed
from cir.models.server.address import AT_ONCE, Asking, ServerAddress, read_address
from cir.models.server.client import Refused, ServerClient
from cir.prompts import Prompt
from cir.text import clean_text

ASKED_VERSION = 1  # raise it when the same prompt would be asked otherwise
DEADLINE_SECONDS = 20.0  # first results are shown meanwhile
START_SECONDS = 90.0  # for the first answer: some servers load a model only when it is asked
QUEUE_SECONDS = 60.0
LISTING_SECONDS = 10.0
NAMED = 12  # models of a server in a sentence
MAX_NAME_CHARACTERS = 100
Turn = dict[str, str]
THOUGHT_TOKENS = 1000  # room for what a model thinks, where a server counts that with the answer
_NO_SYSTEM = re.compile(r"system.{0,20}role|role.{0,20}system|roles must alternate", re.IGNORECASE)
_OTHER_LIMIT = re.compile(r"max_completion_tokens")
_ONE_TEMPERATURE = re.compile(
    r"temperature.{0,40}(not support|unsupported|default|not allowed)|unsupported.{0,40}temperature",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|too (long|many tokens)|maximum.{0,20}tokens", re.IGNORECASE
)
_THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


class ServerModel:
    """A server's model as a `LanguageModel`. Safe to be called by several threads.

    Args:
        client: asks the server.
        model: the name that the server knows it by.
        at_once: how many questions are under way at the same time, at most.
        deadline_seconds: for one question, all tries together; counted anew from each other answer, `at_once` times at
            most, so that a server that answers one after the other comes to each.
        start_seconds: for the first answer.
        remembered: how many answers are kept.
    """

    def __init__(
        self,
        client: ServerClient,
        model: str,
        *,
        at_once: int = AT_ONCE,
        deadline_seconds: float = DEADLINE_SECONDS,
        start_seconds: float = START_SECONDS,
        remembered: int = 512,
    ) -> None:
        address = client.address
        self.name, self.at_once, self.sent_to = model, at_once, address.shown
        asked = digest_of(ASKED_VERSION)[:8]
        self.fingerprint = f"{model} at {address.shown}@{digest_of(address.base, model)[:12]}.{asked}"
        self.deadline_seconds, self.start_seconds = deadline_seconds, start_seconds
        self._client = client
        self._answers: LRUCache[tuple[str, str, int, float, int], str] = LRUCache(remembered)
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(at_once)
        self._manner, self._awake = _Manner(), False

    def complete(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        deadline_seconds: float | None = None,
    ) -> str:
        """The completion of a prompt. A plain string is one question.

        Args:
            prompt: what is asked.
            max_tokens: of the answer.
            temperature, seed: of the choice among tokens, where the server heeds them.
            deadline_seconds: for this call; by default that of the model.

        Raises:
            LanguageModelFailed: no answer in time, or none that can be used; what was wrong, and what to do.
        """
        if max_tokens < 1:
            raise ValueError("max_tokens has to be at least 1")
        asked = prompt if isinstance(prompt, Prompt) else Prompt("", (), prompt, stop="")
        key = (str(asked), asked.stop, max_tokens, temperature, seed)
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        how: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        if temperature > 0:
            how["seed"] = seed
        text = self._ask(asked, how, deadline_seconds or self.deadline_seconds)
        with self._lock:
            if self._answers.maxsize:
                self._answers[key] = text
        return text

    def forget(self) -> None:
        """Remember no answer any more, as measuring how long one takes wants it."""
        with self._lock:
            self._answers.clear()

    def warm_up(self, prompts: Sequence[Prompt]) -> None:
        """Ask one short question of each kind, so that the server has its model at hand.

        Raises:
            LanguageModelFailed: as for `complete`.
        """
        for prompt in prompts:
            self._ask(
                prompt, {"max_tokens": 1, "temperature": 0.0}, max(self.deadline_seconds, self.start_seconds)
            )

    def close(self) -> None:
        """End what is under way. Calls after this fail."""
        self._client.close()

    def __enter__(self) -> ServerModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, prompt: Prompt, how: Mapping[str, Any], seconds: float) -> str:
        allowed = max(seconds, 0.0 if self._awake else self.start_seconds)
        with self._place():
            try:
                row = self._sent(prompt, how, allowed)
            finally:
                self._awake = True  # or it is not to be waited for that long again
        return _until_stop(self._answer_in(row, bool(prompt.stop)), prompt.stop)

    def _sent(self, prompt: Prompt, how: Mapping[str, Any], seconds: float) -> Any:
        at_most = seconds * self.at_once
        while True:
            manner = self._manner  # others may find out more meanwhile
            row = {"model": self.name, **manner.asked(prompt, how), "stream": False}
            try:
                return self._client.ask("POST", "/chat/completions", row, seconds, at_most=at_most)
            except Refused as refused:
                other = manner.instead(refused.said)
                if other is None:
                    self._say_too_long(refused)
                    raise
                self._manner = other

    def _say_too_long(self, refused: Refused) -> None:
        if _TOO_LONG.search(refused.said):
            raise LanguageModelFailed(
                f"The question is too long for the language model of the server {self.sent_to}.",
                "Shorten the edit, or take a model that reads more.",
            ) from None

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the questions under way."""
        if not self._places.acquire(timeout=QUEUE_SECONDS):
            raise LanguageModelFailed(
                f"The language model is busy with others for more than {QUEUE_SECONDS:.0f} seconds.",
                "Try again later.",
            )
        try:
            yield
        finally:
            self._places.release()

    def _answer_in(self, row: Any, one_line: bool) -> str:
        """The text of an answer.

        Raises:
            LanguageModelFailed: there is none.
        """
        try:
            choice = row["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            thought = message.get("reasoning_content") or message.get("reasoning")
            if not isinstance(text, str):
                raise TypeError
        except (KeyError, IndexError, TypeError, AttributeError):
            raise LanguageModelFailed(
                f"The language model's server {self.sent_to} sent something that is no answer.",
                "See whether it speaks OpenAI's protocol at this address: --llm URL#MODEL",
            ) from None
        text = _THOUGHT.sub("", text.encode("utf-8", "ignore").decode())
        is_cut = (
            not self._manner.max_tokens and choice.get("finish_reason") == "length"
        )  # within its thoughts
        if (not text.strip() and (thought or is_cut)) or re.match(r"\s*<think", text, re.IGNORECASE):
            raise LanguageModelFailed(
                f"The model {self.name} thinks before it answers, and its answer does not begin in time.",
                "Switch its thinking off on the server, or take another model: --llm URL#MODEL",
            )
        if not text.strip() and choice.get("finish_reason") == "content_filter":
            raise LanguageModelFailed(f"The server {self.sent_to} keeps the answer back.", "Change the edit.")
        return text


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a model wants to be asked; found out by its refusals, each of which takes one thing back.

    Attributes:
        system: whether the instruction may be a turn of its own.
        max_tokens: whether the length of an answer is limited by that name; else by "max_completion_tokens".
        temperature: whether it may be chosen.
    """

    system: bool = True
    max_tokens: bool = True
    temperature: bool = True

    def asked(self, prompt: Prompt, how: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a question."""
        found = {"messages": turns(prompt, system=self.system), **how}
        if not self.max_tokens:
            found["max_completion_tokens"] = found.pop("max_tokens") + THOUGHT_TOKENS
        if not self.temperature:
            del found["temperature"]
        return found

    def instead(self, said: str) -> _Manner | None:
        """How to ask after a refusal in these words; None where nothing else is to be tried."""
        if self.system and _NO_SYSTEM.search(said):
            return replace(self, system=False)
        if self.max_tokens and _OTHER_LIMIT.search(said):
            return replace(self, max_tokens=False)
        if self.temperature and _ONE_TEMPERATURE.search(said):
            return replace(self, temperature=False)
        return None


def turns(prompt: Prompt, *, system: bool) -> list[Turn]:
    """A prompt as a chat; without a `system` role, the instruction goes before the first question."""
    instruction = prompt.instruction
    found = [{"role": "system", "content": instruction}] if instruction and system else []
    for question, answer in [*prompt.examples, (prompt.question, None)]:
        text = f"{instruction}\n\n{question}" if instruction and not system else question
        instruction = ""
        found.append({"role": "user", "content": text})
        if answer is not None:
            found.append({"role": "assistant", "content": answer})
    return found


def _until_stop(text: str, stop: str) -> str:
    return (text.lstrip().split(stop)[0] if stop else text).strip()


def connect(name: str, asking: Asking | None = None) -> ServerModel:
    """The model at URL#MODEL. Only where no model is named the server is asked for anything: which it has.

    Raises:
        BadQuery: that is no address, the key is not there, or the server has several models and none is named.
        LanguageModelFailed: the server does not say which models it has.
    """
    asking, address = asking or Asking(), read_address(name)
    key = asking.key()
    if address.model:
        return ServerModel(ServerClient(address, key, asking.key_name), address.model, at_once=asking.at_once)
    client = ServerClient(address, key, asking.key_name)
    try:
        models = models_of(client)
        if len(models) != 1:
            raise _choose(models, address)
    except BaseException:
        client.close()
        raise
    return ServerModel(client, models[0], at_once=asking.at_once)


def models_of(client: ServerClient) -> list[str]:
    """The names of a server's models.

    Raises:
        LanguageModelFailed: it does not say.
    """
    row = client.ask("GET", "/models", None, LISTING_SECONDS)
    try:
        names = [str(one["id"]) for one in row["data"]]
    except (KeyError, TypeError):
        raise LanguageModelFailed(
            f"The language model's server {client.address.shown} does not say which models it has.",
            "Name one: --llm URL#MODEL",
        ) from None
    return [name for name in names if name.isprintable() and 0 < len(name) <= MAX_NAME_CHARACTERS]


def _choose(models: Sequence[str], address: ServerAddress) -> BadQuery:
    if not models:
        return BadQuery(
            f"The language model's server {address.shown} has no model.",
            "Let it load one, or name one that it fetches when it is asked: --llm URL#MODEL",
        )
    names = ", ".join(clean_text(name)[0] for name in models[:NAMED])
    more = f" and {len(models) - NAMED} more" if len(models) > NAMED else ""
    return BadQuery(
        f"The language model's server {address.shown} has several models: {names}{more}.",
        f"Say which: --llm '{address.base}#{models[0]}'",
    )
