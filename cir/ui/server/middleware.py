"""What stands before every request: headers, limits, and files that are not to be fetched.

Middleware for any ASGI application; it knows the paths of gradio's routes, and of the page what it is called.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cir.ui.problems import describe_problem
from cir.ui.server.gradio_private import with_own_words
from cir.ui.server.proxies import route_of
from cir.ui.server.uploads import IN_USE

MAX_BODY_BYTES = 20 * 2**20  # of a request that is no upload
MAX_FILE_BYTES = 150 * 2**20  # of one upload: what a camera's file may have
MAX_UPLOADED_BYTES = 2**32  # of all uploads that are kept at one time
MOST_READ_AWAY = 2**28  # of a body that is refused
_ROOM_STEP = 2**20
KEPT_SECONDS = 600.0  # an upload younger than this is never removed to make room
Fits = Callable[[int], Awaitable[bool]]  # whether a body of so many bytes may come
Refusal = tuple[str, int]
_TOO_LARGE: Refusal = ("The request is too large.", 413)
_NO_ROOM: Refusal = ("There is no room for uploads at the moment. Try again in ten minutes.", 507)
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"no-referrer",
}

PREVIEW = (
    '<meta property="og:title" content="Recompose"><meta property="og:type" content="website">'
    '<meta property="og:description" content="Search pictures with a picture and a sentence">'
    '<meta name="description" content="Search pictures with a picture and a sentence">'
    '<meta name="twitter:card" content="summary">'
)
WITHOUT_SCRIPTS = (
    '<noscript><p style="margin: 2rem auto; max-width: 40rem; padding: 0 1rem">'
    "Recompose needs JavaScript. Allow it for this address, then load the page again. "
    "On the command line, nothing of it is needed: <code>python -m cir search --help</code></p></noscript>"
)


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
                message["headers"] = [*kept, *self.headers.items(), *_unbuffered(kept)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            problem = describe_problem(error)
            answer = PlainTextResponse(f"{problem.message} {problem.remedy}", 500)
            await answer(scope, receive, send_with_headers)


def _unbuffered(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What asks a proxy to hand a stream on as it comes, for headers of one; nginx keeps it back otherwise."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    is_stream = any(kind.startswith(b"text/event-stream") for kind in kinds)
    return [(b"x-accel-buffering", b"no")] if is_stream else []


class OwnFilesOnly:
    """Refuse what gradio's file route would do beyond our own files: fetch an address, follow a link."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] == "http" and self._is_foreign(route_of(scope)):
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


class OwnWords:
    """What the page says of itself without a script: to messengers that show a link, and without JavaScript."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; of an answer that is a page of HTML, all is read, then sent on with these words."""
        start: Message | None = None
        read = b""

        async def send_in_own_words(message: Message) -> None:
            nonlocal start, read
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                read += message.get("body", b"")
                if not message.get("more_body", False):
                    document = with_own_words(read.decode(), PREVIEW, WITHOUT_SCRIPTS).encode()
                    MutableHeaders(raw=start["headers"])["content-length"] = str(len(document))
                    await send(start)
                    await send({"type": "http.response.body", "body": document})

        is_for_page = scope["type"] == "http" and scope["method"] == "GET"
        await self.app(scope, receive, send_in_own_words if is_for_page else send)


def _is_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers


class UploadQuota:
    """Refuse bodies that are too large, or uploads for which there is no room; old uploads make room.

    A body whose length is not told (proxies may pass it on while it arrives) is counted as it is read.

    Args:
        app: what answers.
        folder: where uploads are kept.
        limit: bytes of all of them together.
        kept_seconds: how long an upload is kept at least.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Callable[[], Path],
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
        length = Headers(scope=scope).get("content-length")
        if length is not None and not length.isdecimal():
            await PlainTextResponse("The length of the request is no number.", 400)(scope, receive, send)
        elif route_of(scope).rstrip("/").endswith("/upload"):
            with self._room() as fits:
                await self._pass_on(scope, receive, send, length, fits, _NO_ROOM)
        else:
            await self._pass_on(scope, receive, send, length, _fits_in_memory, _TOO_LARGE)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, length: str | None, fits: Fits, refusal: Refusal
    ) -> None:
        """Pass a request on while its body fits; what of it is too much is not read."""
        if length is not None:
            if await fits(int(length)):
                await self.app(scope, receive, send)
                return
            await _read_away(receive)
            await PlainTextResponse(*refusal)(scope, receive, send)
            return
        read, refused, begun = 0, False, False

        async def receive_counted() -> Message:
            nonlocal read, refused
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                refused = refused or not await fits(read)
            return {"type": "http.disconnect"} if refused else message

        async def send_unless_refused(message: Message) -> None:
            nonlocal begun
            if begun or not refused:  # what is made of half a request is no answer to it
                begun = True
                await send(message)

        try:
            await self.app(scope, receive_counted, send_unless_refused)
        except Exception:
            if begun or not refused:
                raise
        if refused and not begun:
            await PlainTextResponse(*refusal)(scope, receive, send)

    @contextmanager
    def _room(self) -> Iterator[Fits]:
        """Room for one upload, given back when it is there. Taken in steps, as each looks at every file."""
        kept = 0

        async def fits(length: int) -> bool:
            nonlocal kept
            more = length - kept
            for wanted in (max(more, _ROOM_STEP), more) if more > 0 else ():
                if await anyio.to_thread.run_sync(self._reserve, wanted):
                    kept += wanted
                    return True
            return more <= 0

        try:
            yield fits
        finally:
            with self._lock:
                self._arriving -= kept

    def _reserve(self, length: int) -> bool:
        with self._lock:
            free = self.limit - self._arriving - length
            if free < 0 or not make_room(self.folder(), free, self.kept_seconds):
                return False
            self._arriving += length
            return True


async def _read_away(receive: Receive) -> None:
    """Read a body that is not wanted: a proxy that cannot get rid of it reports a broken server, not the refusal."""
    left = MOST_READ_AWAY
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _fits_in_memory(length: int) -> bool:
    return length <= MAX_BODY_BYTES


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
    """(time of change, bytes, path) of every upload; those that vanish meanwhile are left out."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path == folder / IN_USE:
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime, status.st_size, path))
    return found
