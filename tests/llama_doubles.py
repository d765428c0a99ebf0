"""A worker process that speaks the language model's lines and misbehaves as its first argument says.

Run as a program: `python tests/llama_doubles.py MODE [FILE]`. FILE counts the starts, so that a second
start can behave better than the first.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path


def write_gguf(path: Path, *, version: int = 3, tensors: int = 0, keys: int = 1, body: int = 64) -> Path:
    """A file whose first bytes are those of a GGUF model."""
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + bytes(body))
    return path


def command(mode: str, counter: Path | None = None) -> list[str]:
    """How to start this worker."""
    return [sys.executable, __file__, mode, *([str(counter)] if counter else [])]


def starts(counter: Path) -> int:
    """How often a worker with this counter was started."""
    return len(counter.read_text().split()) if counter.exists() else 0


def _say(row: object) -> None:
    sys.stdout.write((row if isinstance(row, str) else json.dumps(row)) + "\n")
    sys.stdout.flush()


def _answer(mode: str, request: dict[str, object], first: bool) -> None:
    number, question = request["id"], request["prompt"]["question"]  # type: ignore[index]
    if request["do"] == "warm":
        _say({"id": number, "evaluated": 7})
    elif mode == "sleeps" and first:
        time.sleep(60)
    elif mode == "crashes" and first:
        sys.stderr.write("GGML_ASSERT(something) failed\n")
        sys.stderr.flush()
        os._exit(134)
    elif mode == "junk" and first:
        _say("llama_decode: this is no JSON")
    elif mode == "wrong-type" and first:
        _say({"id": number, "text": ["not", "a", "text"]})
    elif mode == "late":
        _say({"id": number - 1, "text": "an answer that nobody waits for any more"})  # type: ignore[operator]
        _say({"id": number, "text": f"about {question}"})
    elif mode == "too-long":
        _say({"id": number, "error": "the prompt has 9000 tokens", "kind": "too_long"})
    elif mode == "environment":
        _say(
            {
                "id": number,
                "text": " ".join(os.environ.get(k, "-") for k in ("OMP_WAIT_POLICY", "GGML_NO_BACKTRACE")),
            }
        )
    elif mode == "process":
        _say({"id": number, "text": str(os.getpid())})
    else:
        _say({"id": number, "text": f"about {question} ({request['max_tokens']}, {request['seed']})"})


def main() -> None:
    """Answer until the input ends, as told."""
    mode, counter = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    first = True
    if counter is not None:
        first = starts(counter) == 0
        counter.write_text(f"{counter.read_text() if counter.exists() else ''}{os.getpid()}\n")
    if mode == "refuses":
        _say({"ready": False, "error": "llama.cpp cannot read this file"})
        return
    if mode == "dies":
        sys.stderr.write("error while loading shared libraries\n")
        return
    _say({"ready": True})
    for line in sys.stdin:
        _answer(mode, json.loads(line), first)


if __name__ == "__main__":
    main()
