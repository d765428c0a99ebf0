"""What stands before every request: headers, limits, and files that are not to be fetched.

Middleware for any ASGI application; it knows the paths of gradio's routes, and nothing of the page.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cir.ui.handlers import describe_problem

MAX_BODY_BYTES = 20 * 2**20  # of a request that is no upload
MAX_UPLOADED_BYTES = 2**30  # of all uploads that are kept at one time
KEPT_SECONDS = 600.0  # an upload younger than this is never removed to make room
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"no-referrer",
}


class SafeHeaders:
    """Headers on every answer: no guessing of types, no foreign frame. A fault is told by an id, not by its text.

    Args:
        app: what answers.
        framed_by: origins that may show the page in a frame; none but the page's own by default.
    """

    def __init__(self, app: ASGIApp, framed_by: Sequence[str] = ()) -> None:
        self.app = app
        policy = " ".join(["frame-ancestors 'self'", *framed_by])
        self.headers = {**_HEADERS, b"content-security-policy": policy.encode()}
        if framed_by:  # an older header that knows no list
            del self.headers[b"x-frame-options"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; see to the headers when the answer starts."""
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                kept = [one for one in message.get("headers", []) if one[0].lower() not in self.headers]
                message["headers"] = [*kept, *self.headers.items()]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            problem = describe_problem(error)
            answer = PlainTextResponse(f"{problem.message} {problem.remedy}", 500)
            await answer(scope, receive, send_with_headers)


class OwnFilesOnly:
    """Refuse what gradio's file route would do beyond our own files: fetch an address, follow a link."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] == "http" and self._is_foreign(scope["path"]):
            await PlainTextResponse("This file is not served.", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    @staticmethod
    def _is_foreign(path: str) -> bool:
        for route in ("/file=", "/file/", "/proxy="):
            _, found, asked = path.partition(route)
            if found and (route == "/proxy=" or ":/" in asked or "\0" in asked or os.path.islink(asked)):
                return True
        return False


class Quota:
    """Refuse bodies that are too large, or uploads for which there is no room; old uploads make room.

    Args:
        app: what answers.
        folder: where uploads are kept.
        limit: bytes of all of them together.
        kept_seconds: how long an upload is kept at least.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Callable[[], str],
        limit: int = MAX_UPLOADED_BYTES,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self.app, self.folder, self.limit, self.kept_seconds = app, folder, limit, kept_seconds
        self._arriving = 0
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            refused = PlainTextResponse("The length of the request has to be told.", 411)
            await refused(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/upload"):
            await self._take_upload(int(length), scope, receive, send)
        elif int(length) > MAX_BODY_BYTES:
            await PlainTextResponse("The request is too large.", 413)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _take_upload(self, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an upload on when there is room for it; until it is there, its room is taken."""
        if not await anyio.to_thread.run_sync(self._reserve, length):
            message = "There is no room for uploads at the moment. Try again in ten minutes."
            await PlainTextResponse(message, 507)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            with self._lock:
                self._arriving -= length

    def _reserve(self, length: int) -> bool:
        with self._lock:
            free = self.limit - self._arriving - length
            if free < 0 or not make_room(Path(self.folder()), free, self.kept_seconds):
                return False
            self._arriving += length
            return True


def make_room(folder: Path, limit: int, kept_seconds: float) -> bool:
    """Remove the oldest files until those that are left have at most `limit` bytes.

    Args:
        folder: a folder of uploads.
        limit: bytes.
        kept_seconds: files younger than this stay.

    Returns:
        Whether that was possible.
    """
    files = sorted(_files_below(folder))
    used = sum(size for _, size, _ in files)
    for changed, size, path in files:
        if used <= limit:
            break
        if time.time() - changed >= kept_seconds:
            path.unlink(missing_ok=True)
            used -= size
    return used <= limit


def _files_below(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of change, bytes, path) of every file; those that vanish meanwhile are left out."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime, status.st_size, path))
    return found
