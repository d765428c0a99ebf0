"""Where the page is reached: the socket that it listens on, the server behind it, and the address to open.

Gradio's own `launch` asks itself through its own address before it serves, by way of whatever proxy the environment
names; mounted on a server of ours it does not. Knows nothing of the page.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from cir.errors import BadQuery, CirError

START_SECONDS = 30.0
END_SECONDS = 5.0
# An idle connection is kept for longer than reverse proxies and browsers keep it: who closes first must not be the one
# that does not know whether a request is on its way.
KEEP_ALIVE = 90
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_ANOTHER_PORT = "Choose another, as in --port 7861, or end what uses it."


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; `host` is a name or an address, IPv6 with brackets or without.

    Raises:
        BadQuery: no such port, or no such address on this machine.
        CirError: the port is taken, or may not be used.
    """
    if not 0 <= port <= 65535:
        raise BadQuery(f"There is no port {port}.", "Give a number from 1 to 65535: --port 7860")
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _no_address(host) from error
    family, _, _, _, address = found[0]
    everywhere = address[0] == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(address[:2], family=family, backlog=128, dualstack_ipv6=everywhere)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _no_address(host) from error
        if error.errno == errno.EACCES:
            message = f"Port {port} may not be used by this account."
            raise CirError(message, "Choose one above 1023: --port 7860") from error
        raise CirError(f"Port {port} of {host} is in use.", _ANOTHER_PORT) from error


def address_of(listener: socket.socket, root_path: str = "") -> str:
    """What to type into a browser on this machine, with a slash at the end."""
    named, port = listener.getsockname()[:2]
    host = str(_EVERYWHERE.get(named, named))
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{root_path}/"


def _no_address(host: str) -> BadQuery:
    return BadQuery(
        f"{host} is no address of this machine.",
        "Leave --host out to serve this machine alone, or give --listen.",
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stop_streams: Callable[[], object]) -> None:
        super().__init__(config)
        self._stop_streams = stop_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop_streams()
        await super().shutdown(sockets)


class PageServer:
    """A page that is served from a thread until it is closed. As a context manager it is closed in the end.

    Args:
        app: what answers.
        listener: from `listen_on`.
        url: where it is reached.
        stop_streams: called in the server's loop when it is closed: it waits for streams that are open.
    """

    def __init__(
        self, app: ASGIApp, listener: socket.socket, url: str, stop_streams: Callable[[], object]
    ) -> None:
        # Which proxy is believed is settled by `cir.ui.server.proxies`; uvicorn would believe any on this machine.
        config = uvicorn.Config(
            app,
            log_level="warning",
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self.url = url
        self._server = _Server(config, stop_streams)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True, name="server"
        )

    def start(self) -> None:
        """Serve; return as soon as the page answers.

        Raises:
            CirError: it does not.
        """
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise CirError("The page could not be served.", "The log has the details.")
            time.sleep(0.005)

    def wait(self) -> None:
        """Return when the server has ended, or at an interrupt, which closes it."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)
        finally:
            self.close()

    def end(self) -> None:
        """Let it end, without waiting for that: `wait` returns then."""
        self._server.should_exit = True

    def close(self) -> None:
        """End it, and whatever streams it has open."""
        self.end()
        self._thread.join(END_SECONDS)

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
