"""A server that speaks OpenAI's protocol on loopback, and misbehaves as a test wants it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes import ToyLanguageModel

KEY = "sk-a-key-that-nobody-may-see"


class Asked(BaseHTTPRequestHandler):
    """One request; `reply` of the server answers it."""

    server: _Server

    def do_GET(self) -> None:
        """The list of models, unless the test answers it otherwise."""
        self._handle(None)

    def do_POST(self) -> None:
        """A question."""
        length = int(self.headers.get("Content-Length", 0))
        self._handle(json.loads(self.rfile.read(length)))

    def _handle(self, row: Any) -> None:
        llm = self.server.llm
        with llm.lock:
            llm.requests.append((self.path, dict(self.headers), row))
            llm.under_way += 1
            llm.most_under_way = max(llm.most_under_way, llm.under_way)
            number = len(llm.requests)
        try:
            llm.reply(self, row, number)
        except (BrokenPipeError, ConnectionResetError):
            pass  # who asked went away
        finally:
            with llm.lock:
                llm.under_way -= 1

    def say(self, row: Any, status: int = 200, **headers: str) -> None:
        """Answer with JSON, or with text as it is."""
        body = row.encode() if isinstance(row, str) else json.dumps(row).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, text: Any, **more: Any) -> None:
        """A usual answer."""
        self.say({"choices": [{"message": {"role": "assistant", "content": text, **more}}]})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    llm: LlmServer


Reply = Callable[[Asked, Any, int], None]


def echo(asked: Asked, row: Any, number: int) -> None:
    """The models "small" alone; to a question what was asked last."""
    if row is None:
        asked.say({"data": [{"id": "small"}]})
    else:
        asked.answer(f"about {row['messages'][-1]['content']}")


def toy(asked: Asked, row: Any, number: int) -> None:
    """What the toys' language model says."""
    prompt = "\n".join(turn["content"] for turn in row["messages"])
    asked.answer(ToyLanguageModel().complete(prompt, max_tokens=row["max_tokens"]))


@dataclass
class LlmServer:
    """What was asked, and how it is answered.

    Attributes:
        reply: called with the request, its JSON, and its number from 1.
        requests: path, headers and JSON of each.
    """

    reply: Reply = echo
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def questions(self) -> list[Any]:
        """The JSON of each question."""
        return [row for _, _, row in self.requests if row is not None]


@contextmanager
def llm_server(reply: Reply = echo) -> Iterator[LlmServer]:
    """A server on a free port of this machine."""
    llm = LlmServer(reply)
    with _Server(("127.0.0.1", 0), Asked) as server:
        server.llm = llm
        llm.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield llm
        finally:
            server.shutdown()


def drip(asked: Asked, row: Any, number: int) -> None:
    """An answer that never ends, a byte now and then."""
    asked.send_response(200)
    asked.end_headers()
    for _ in range(600):
        asked.wfile.write(b" ")
        asked.wfile.flush()
        time.sleep(0.05)


def flood(asked: Asked, row: Any, number: int) -> None:
    """An answer that never ends, as fast as it is read."""
    asked.send_response(200)
    asked.end_headers()
    while True:
        asked.wfile.write(b" " * 65536)


def hang_up(asked: Asked, row: Any, number: int) -> None:
    """No answer: the connection ends."""
    asked.close_connection = True
    asked.connection.close()
