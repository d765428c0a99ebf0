"""A hub on this machine: files of repositories over HTTP, as the Hugging Face hub serves them.

For a process of its own it is named by HF_ENDPOINT. It can close the connection in the middle of a file, wait, and serve
other bytes than it promises.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34
PIECE = 1 << 14


@dataclass
class HubServer:
    """What is served and how.

    Attributes:
        files: (repository, file) -> bytes.
        url: of the endpoint.
        breaks: file -> after how many of its bytes, counted from where it is asked for, the connection is closed; once.
        free: cleared, a file of several pieces stops before its last one until it is set again.
        lies: file -> the bytes that come in place of those that are promised.
        asked: (file, first byte) of every file that was asked for.
        down: whether nothing is answered but 503.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    url: str = ""
    breaks: dict[str, int] = field(default_factory=dict)
    free: threading.Event = field(default_factory=threading.Event)
    lies: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    down: bool = False

    def add(self, repository: str, files: Mapping[str, bytes]) -> None:
        """Publish files."""
        self.files |= {(repository, name): data for name, data in files.items()}


class _Handler(BaseHTTPRequestHandler):
    """Answers for the `HubServer` that its server holds."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> HubServer:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        listed = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path)
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if self.hub.down:
            self._say(503, b"")
        elif listed:
            self._say(200, json.dumps(_listing(self.hub, listed[1])).encode(), "application/json")
        elif asked and (asked[1], asked[2]) in self.hub.files:
            self._file(asked[2], self.hub.files[asked[1], asked[2]], with_body=with_body)
        else:
            self._say(404, b"")

    def _say(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str, data: bytes, *, with_body: bool) -> None:
        first = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range") or "") or ["0"])[0])
        if with_body:
            self.hub.asked.append((name, first))
        if first >= len(data) > 0:
            self._say(416, b"")
            return
        sent = self.hub.lies.get(name, data)[first:]
        self.send_response(206 if first else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if not with_body:
            return
        ends = self.hub.breaks.pop(name, None)
        for start in range(0, len(sent), PIECE):
            if start > 0 and start + PIECE >= len(sent):
                self.hub.free.wait()
            if ends is not None and start >= ends:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(sent[start : start + PIECE])
            self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, *_: Any) -> None:
        pass  # whoever asked has gone


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Serve until the block ends."""
    hub = HubServer()
    hub.free.set()
    server = _Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.free.set()
        server.shutdown()
        server.server_close()


def _listing(hub: HubServer, repository: str) -> dict[str, Any]:
    """What the hub's API says of a repository."""
    files = [
        {
            "rfilename": name,
            "size": len(data),
            "blobId": "0" * 40,
            "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134},
        }
        for (owner, name), data in hub.files.items()
        if owner == repository
    ]
    return {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": files, "tags": []}
