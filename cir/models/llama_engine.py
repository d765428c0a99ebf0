"""One llama.cpp model in this process: tokens in, a short completion out, prefixes kept evaluated.

It runs in the worker process (`cir.models.llama_child`), never in the application itself, because a fault in
llama.cpp ends the process that it happens in. It knows tokens and the KV cache; it does not know captions,
edits, the wire, or restarts.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cir.models.chat_templates import recognise, render
from cir.models.prefix_store import PrefixStore
from cir.text import counted

ANSWERS_VERSION = (
    1  # raise it when a model would answer the same prompt otherwise: sampling, where an answer ends
)
MAX_SLOTS = 4  # kinds of prompts whose evaluated prefixes are kept side by side
BATCH_TOKENS = 512


class PromptTooLong(ValueError):
    """The prompt and its answer do not fit into the context."""


class OutOfTime(RuntimeError):
    """The deadline passed between two tokens."""


@dataclass(slots=True)
class Slot:
    """One sequence of the KV cache and the tokens that are evaluated in it."""

    sequence: int
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer and what it cost: prompt tokens evaluated (not found in the cache), tokens generated."""

    text: str
    evaluated: int
    generated: int
    milliseconds: float


class LlamaEngine:
    """A GGUF model with one context, in which each kind of prompt has a sequence of its own.

    Calls of one kind share everything up to the caption, so only the rest is evaluated; two kinds that
    alternate do not evict each other. Not for two threads at once.

    Args:
        path: the GGUF file.
        context_tokens: cells of the KV cache, shared by all kinds.
        threads: CPU threads.
        store: where evaluated prefixes are kept from one start to the next.

    Raises:
        ValueError: llama.cpp cannot read the file.
    """

    def __init__(
        self, path: str, *, context_tokens: int = 2048, threads: int = 2, store: PrefixStore | None = None
    ) -> None:
        import llama_cpp as library  # pyright: ignore[reportMissingImports] - it may not be there

        llama_cpp: Any = library  # its pointers are optional in its types; they are checked here, once
        self._api = llama_cpp
        llama_cpp.llama_backend_init()
        model_parameters = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model_parameters)
        if not self._model:
            raise ValueError("llama.cpp cannot read this file")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = context_tokens
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.n_seq_max = MAX_SLOTS
        parameters.kv_unified = True  # the kinds share the cells; each takes what it needs
        parameters.swa_full = True  # else a sliding-window model could not go back to its prefix
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not self._context:
            raise ValueError("llama.cpp cannot make a context for this model")
        self.context_tokens = context_tokens
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)
        self._slots: OrderedDict[str, Slot] = OrderedDict()  # kind -> slot, the least recently used first
        jinja = llama_cpp.llama_model_chat_template(self._model, None) or b""
        self.template = recognise(jinja.decode("utf-8", "replace"))
        self._store = store

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text, without start or end marks. Only `special` lets control tokens in."""
        data = text.encode("utf-8")
        room = len(data) + 8
        ids = (self._api.llama_token * room)()
        count = self._api.llama_tokenize(self._vocabulary, data, len(data), ids, room, False, special)
        if count < 0:
            raise ValueError("the text cannot be tokenised")
        return list(ids[:count])

    def is_control(self, token: int) -> bool:
        """Whether a token is markup of the model (a role, an end) and not text."""
        return bool(self._api.llama_vocab_is_control(self._vocabulary, token))

    def encode_prompt(self, prompt: Mapping[str, Any]) -> list[int]:
        """Token ids of a rendered prompt.

        Raises:
            ValueError: a plain part would become a control token (a vocabulary that cannot be trusted).
        """
        ids: list[int] = []
        if self._api.llama_vocab_get_add_bos(self._vocabulary):
            ids.append(int(self._api.llama_vocab_bos(self._vocabulary)))
        for text, special in render(self.template, prompt):
            part = self.tokenize(text, special=special) if text else []
            if not special and any(map(self.is_control, part)):
                raise ValueError("a plain text would become a control token")
            ids += part
        return ids

    def complete(
        self,
        prompt: Mapping[str, Any],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        seconds: float = float("inf"),
    ) -> Completion:
        """Continue a prompt until its `stop` text, the model's end mark, or `max_tokens`.

        Args:
            prompt: as for `render`, with "stop" ("" for none).
            max_tokens: the longest answer.
            temperature: 0 takes the likeliest token each time.
            seed: of the sampling, when the temperature is above 0.
            seconds: when to give up.

        Raises:
            PromptTooLong: prompt and answer do not fit into the context.
            OutOfTime: `seconds` passed.
        """
        began = time.monotonic()
        ids = self.encode_prompt(prompt)
        if len(ids) + max_tokens > self.context_tokens:
            raise PromptTooLong(
                f"the prompt has {counted(len(ids), 'token')}, which with {max_tokens} for the answer is more than "
                f"{self.context_tokens}"
            )
        slot = self._take_slot(str(prompt["prefix"]), len(ids) + max_tokens)
        evaluated = self._evaluate(slot, ids)
        random = np.random.default_rng(seed)
        pieces, generated = b"", 0
        stop = prompt.get("stop", "").encode("utf-8")
        while generated < max_tokens:
            token = self._sample(temperature, random)
            if self._api.llama_vocab_is_eog(self._vocabulary, token):
                break
            generated += 1
            pieces += self._piece(token)
            if stop and stop in pieces.lstrip():
                pieces = pieces.lstrip().split(stop)[0]
                break
            if time.monotonic() - began > seconds:
                raise OutOfTime(f"no end of the answer after {seconds:.1f} s")
            if generated < max_tokens:
                self._decode(slot, [token])
        text = pieces.decode("utf-8", "ignore").strip()
        return Completion(text, evaluated, generated, 1000 * (time.monotonic() - began))

    def warm(self, prompt: Mapping[str, Any]) -> int:
        """Evaluate what all prompts of this kind share, or read it from the store.

        Returns:
            Tokens that had to be evaluated.
        """
        first, second = (self.encode_prompt({**prompt, "question": q}) for q in ("a", "The"))
        shared = first[: _common_length(first, second)]
        if not shared:
            return 0
        slot = self._take_slot(str(prompt["prefix"]), len(shared))
        if slot.tokens[: len(shared)] == shared or self._restore(slot, shared):
            return 0
        evaluated = self._evaluate(slot, shared)
        if self._store is not None:
            size = self._api.llama_state_seq_get_size(self._context, slot.sequence)
            buffer = (ctypes.c_uint8 * size)()
            size = self._api.llama_state_seq_get_data(self._context, buffer, size, slot.sequence)
            self._store.save(shared, memoryview(buffer).cast("B")[:size])
        return evaluated

    def _restore(self, slot: Slot, ids: Sequence[int]) -> bool:
        """Fill a slot from the store. Returns whether that was possible."""
        state = self._store.load(ids) if self._store is not None else None
        if state is None:
            return False
        self._api.llama_memory_seq_rm(self._memory, slot.sequence, -1, -1)
        slot.tokens.clear()
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not self._api.llama_state_seq_set_data(self._context, buffer, len(state), slot.sequence):
            self._api.llama_memory_seq_rm(self._memory, slot.sequence, -1, -1)
            return False
        slot.tokens.extend(ids)
        return True

    def _take_slot(self, kind: str, tokens: int) -> Slot:
        """The slot of a kind, emptied of other kinds as far as `tokens` cells are needed."""
        if kind not in self._slots:
            if len(self._slots) == MAX_SLOTS:
                self._forget(next(iter(self._slots)))
            used = {s.sequence for s in self._slots.values()}
            self._slots[kind] = Slot(next(i for i in range(MAX_SLOTS) if i not in used))
        self._slots.move_to_end(kind)
        while (
            len(self._slots) > 1
            and tokens + sum(len(s.tokens) for k, s in self._slots.items() if k != kind) > self.context_tokens
        ):
            self._forget(next(iter(self._slots)))
        return self._slots[kind]

    def _forget(self, kind: str) -> None:
        self._api.llama_memory_seq_rm(self._memory, self._slots.pop(kind).sequence, -1, -1)

    def _evaluate(self, slot: Slot, ids: Sequence[int]) -> int:
        """Bring the slot to hold exactly `ids`, the last one's logits at hand. Returns how many were run."""
        keep = min(_common_length(slot.tokens, ids), len(ids) - 1)
        if not self._api.llama_memory_seq_rm(self._memory, slot.sequence, keep, -1):
            self._api.llama_memory_seq_rm(self._memory, slot.sequence, -1, -1)
            keep = 0
        del slot.tokens[keep:]
        for start in range(keep, len(ids), BATCH_TOKENS):
            self._decode(slot, ids[start : start + BATCH_TOKENS])
        return len(ids) - keep

    def _decode(self, slot: Slot, ids: Sequence[int]) -> None:
        batch = self._batch
        batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            batch.token[index] = token
            batch.pos[index] = len(slot.tokens) + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = slot.sequence
            batch.logits[index] = index == len(ids) - 1
        if code := self._api.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {code}")
        slot.tokens.extend(ids)

    def _sample(self, temperature: float, random: np.random.Generator) -> int:
        pointer = self._api.llama_get_logits_ith(self._context, -1)
        logits = np.ctypeslib.as_array(pointer, (self._vocabulary_size,))
        if temperature <= 0:
            return int(logits.argmax())
        scaled = (logits - logits.max()).astype(np.float64) / temperature
        weights = np.exp(scaled)
        return int(random.choice(self._vocabulary_size, p=weights / weights.sum()))

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = self._api.llama_token_to_piece(self._vocabulary, token, buffer, 256, 0, False)
        return buffer.raw[: max(0, length)]


def _common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading items are equal."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
