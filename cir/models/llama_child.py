"""The worker process of the language model: `python -m cir.models.llama_child FILE ...`.

One JSON object a line. In: {"id", "do": "complete" or "warm", "prompt", ...}. Out: {"ready": true} once, or
{"ready": false, "error"}; then for each request {"id", "text", "evaluated", "generated", "milliseconds"}, or
{"id", "error", "kind"}. When its input ends, the process ends, even amid an answer.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from cir.models.llama_engine import LlamaEngine, OutOfTime, PromptTooLong
from cir.models.prefix_store import PrefixStore


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
    store = None
    if arguments.cache:
        version = metadata.version("llama-cpp-python")  # another version may lay the cache out differently
        store = PrefixStore(Path(arguments.cache), f"{arguments.fingerprint} {version} {arguments.context}")
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True, name="requests").start()
    try:
        engine = LlamaEngine(
            arguments.path, context_tokens=arguments.context, threads=arguments.threads, store=store
        )
    except ValueError as error:
        print(json.dumps({"ready": False, "error": str(error)}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    while True:
        print(json.dumps(answer_request(engine, requests.get())), file=answers)


if __name__ == "__main__":
    main()
