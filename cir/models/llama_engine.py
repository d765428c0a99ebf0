"""One llama.cpp model in this process: tokens in, a short completion out, prefixes kept evaluated.

It is run by the worker process (`python -m cir.models.llama_engine FILE ...`), never by the application
itself, because a fault in llama.cpp ends the process that it happens in. It knows chat templates and token
ids; it does not know captions, edits, deadlines of a query or restarts (`cir.models.llama` does).

The wire: one JSON object a line. In: {"id", "do": "complete" | "warm", "prompt", ...}. Out: {"ready": true}
once, or {"ready": false, "error"}; then {"id", "text", "evaluated", "generated", "milliseconds"} or
{"id", "error", "kind"} for each request. When its input ends, the process ends, even in the middle of an answer.
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

Part = tuple[str, bool]  # text, and whether it is markup of the template (parsed for special tokens)
MAX_SLOTS = 4  # kinds of prompts whose evaluated prefixes are kept side by side
BATCH_TOKENS = 512


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The markup around each role. A model without a system role has its instruction put before the first question."""

    recognised_by: str
    system: tuple[str, str] | None
    user: tuple[str, str]
    assistant: tuple[str, str]


CHAT_TEMPLATES = (
    ChatTemplate(
        "<|im_start|>",
        ("<|im_start|>system\n", "<|im_end|>\n"),
        ("<|im_start|>user\n", "<|im_end|>\n"),
        ("<|im_start|>assistant\n", "<|im_end|>\n"),
    ),
    ChatTemplate(
        "<start_of_turn>",
        None,
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
    ),
    ChatTemplate(
        "<|start_header_id|>",
        ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    ),
    ChatTemplate("[INST]", None, ("[INST] ", " [/INST]"), ("", "</s>")),
)
PLAIN_TEMPLATE = ChatTemplate("", ("", "\n\n"), ("", " "), ("", "\n\n"))  # a model that was never taught to chat


def render(template: ChatTemplate, prompt: Mapping[str, Any]) -> list[Part]:
    """Lay a prompt out as turns.

    Only markup that stands in the template is marked as such; everything that came from a prompt file, a
    caption or a person is plain text, so no typed text can become a special token.

    Args:
        template: the model's own.
        prompt: {"instruction", "examples": [[question, answer], ...], "question"}.
    """
    instruction = prompt["instruction"]
    parts: list[Part] = []
    if instruction and template.system:
        parts += [(template.system[0], True), (instruction, False), (template.system[1], True)]
        instruction = ""
    for question, answer in [*prompt["examples"], (prompt["question"], None)]:
        text = f"{instruction}\n\n{question}" if instruction else question
        instruction = ""
        parts += [(template.user[0], True), (text, False), (template.user[1], True), (template.assistant[0], True)]
        if answer is not None:
            parts += [(answer, False), (template.assistant[1], True)]
    return parts


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

    Raises:
        ValueError: llama.cpp cannot read the file.
    """

    def __init__(self, path: str, *, context_tokens: int = 2048, threads: int = 2) -> None:
        import llama_cpp

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
        self.template = self._find_template()

    def _find_template(self) -> ChatTemplate:
        text = (self._api.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")
        return next((t for t in CHAT_TEMPLATES if t.recognised_by in text), PLAIN_TEMPLATE)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text, without start or end marks. Only with `special` can there be control tokens."""
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
                f"the prompt has {len(ids)} tokens; with {max_tokens} for the answer the limit is {self.context_tokens}"
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
        """Evaluate what all prompts of this kind share. Returns the tokens that it took."""
        first, second = (self.encode_prompt({**prompt, "question": q}) for q in ("a", "The"))
        shared = first[: _common_length(first, second)]
        return self._evaluate(self._take_slot(str(prompt["prefix"]), len(shared)), shared) if shared else 0

    def _take_slot(self, kind: str, tokens: int) -> Slot:
        """The slot of a kind, emptied of other kinds as far as `tokens` cells are needed."""
        if kind not in self._slots:
            if len(self._slots) == MAX_SLOTS:
                self._forget(next(iter(self._slots)))
            used = {s.sequence for s in self._slots.values()}
            self._slots[kind] = Slot(next(i for i in range(MAX_SLOTS) if i not in used))
        self._slots.move_to_end(kind)
        while len(self._slots) > 1 and tokens + sum(
            len(s.tokens) for k, s in self._slots.items() if k != kind
        ) > self.context_tokens:
            self._forget(next(iter(self._slots)))
        return self._slots[kind]

    def _forget(self, kind: str) -> None:
        self._api.llama_memory_seq_rm(self._memory, self._slots.pop(kind).sequence, -1, -1)

    def _evaluate(self, slot: Slot, ids: Sequence[int]) -> int:
        """Bring the slot to hold exactly `ids`, with the last one's logits at hand. Returns how many were evaluated."""
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


def answer_request(engine: LlamaEngine, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what one line asks for."""
    try:
        if request["do"] == "warm":
            return {"id": request["id"], "evaluated": engine.warm(request["prompt"])}
        done = engine.complete(
            request["prompt"],
            max_tokens=int(request["max_tokens"]),
            temperature=float(request["temperature"]),
            seed=int(request["seed"]),
            seconds=float(request["seconds"]),
        )
    except PromptTooLong as error:
        return {"id": request["id"], "error": str(error), "kind": "too_long"}
    except OutOfTime as error:
        return {"id": request["id"], "error": str(error), "kind": "time"}
    except (ValueError, RuntimeError) as error:
        return {"id": request["id"], "error": str(error), "kind": "fault"}
    return {
        "id": request["id"],
        "text": done.text,
        "evaluated": done.evaluated,
        "generated": done.generated,
        "milliseconds": round(done.milliseconds, 1),
    }


def _read_requests(requests: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the parent is gone: nobody waits for the answer being computed


def _own_stdout() -> TextIO:
    """The real standard output, for answers alone: what llama.cpp prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return answers


def main() -> None:
    """Load a model, then answer lines until the input ends."""
    parser = argparse.ArgumentParser(description="Answer prompts, one JSON object a line.")
    parser.add_argument("path")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--fingerprint", default="")
    parser.add_argument("--cache", default=None)
    arguments = parser.parse_args()
    answers = _own_stdout()
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True, name="requests").start()
    try:
        engine = LlamaEngine(arguments.path, context_tokens=arguments.context, threads=arguments.threads)
    except ValueError as error:
        print(json.dumps({"ready": False, "error": str(error)}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    while True:
        print(json.dumps(answer_request(engine, requests.get())), file=answers)


if __name__ == "__main__":
    main()
