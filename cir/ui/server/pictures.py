"""The small pictures of galleries: the address of each, and the answer when a browser asks for it.

An address says a folder by a number that nothing can be read from, and a name in it. Through gradio's route for
files each picture changes threads five times, which is most of what thirty new results cost the server.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cir.ui.server.gradio_private import has_given_password
from cir.ui.server.proxies import route_of

_ROUTE = "/small-pictures/"
_SERVED: dict[str, Path] = {}


def serve_folder(folder: Path) -> None:
    """Let the WebP files of a folder be seen by whoever may see the page; not those of its folders."""
    _SERVED[_number(folder)] = folder


def address_of(path: Path) -> str:
    """Where the page finds a picture, relative to its own address."""
    return f"{_ROUTE[1:]}{_number(path.parent)}/{quote(path.name, safe='')}"


@lru_cache(maxsize=1024)
def _number(folder: Path) -> str:
    return blake2b(str(folder.absolute()).encode(), digest_size=8).hexdigest()


class ThumbnailFiles:
    """Answers requests for small pictures. They are read at once: each has some kilobytes.

    Args:
        app: what answers everything else; gradio's, which knows who has given the password.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "http" or not route_of(scope).startswith(_ROUTE):
            await self.app(scope, receive, send)
            return
        answer: Response = PlainTextResponse("There is no such picture.", 404)
        if not has_given_password(scope):
            answer = PlainTextResponse("The password has not been given.", 401)
        elif scope["method"] == "GET" and (data := _read(route_of(scope))) is not None:
            answer = Response(
                data, media_type="image/webp", headers={"cache-control": "private, max-age=3600"}
            )
        await answer(scope, receive, send)


def _read(asked: str) -> bytes | None:
    """The picture; None when that is no name of a picture in a folder that is served."""
    number, _, name = asked.removeprefix(_ROUTE).partition("/")
    folder = _SERVED.get(number)
    if (
        folder is None
        or Path(name).name != name
        or "\\" in name
        or "\0" in name
        or not name.endswith(".webp")
    ):
        return None
    path = folder / name
    try:
        return None if path.is_symlink() else path.read_bytes()
    except OSError:
        return None
