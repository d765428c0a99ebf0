"""What stands between the page and who visits it: a reverse proxy, under another name, below a path, with https.

Middleware for any ASGI application, around all others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cir.errors import BadQuery

LOOPBACK_PROXIES = ("127.0.0.0/8", "::1/128")
_FORWARDED = b"x-forwarded-"


class ForwardedHeaders:
    """Believe a proxy that is trusted in what host and scheme were asked for; nobody else.

    The headers are gone after that, so that nothing further in reads what a stranger wrote. A page that was lured
    onto this server by its own host name could write them as well: the host that a request really has is therefore
    to be checked before this, and what it says, after.

    Args:
        app: what answers.
        trusted: addresses or networks of proxies.

    Raises:
        BadQuery: one is neither.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str] = LOOPBACK_PROXIES) -> None:
        self.app = app
        self.trusted = [network_of(one) for one in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as it was asked for."""
        if scope["type"] in ("http", "websocket"):
            scope = self._as_asked(scope)
        await self.app(scope, receive, send)

    def _as_asked(self, scope: Scope) -> Scope:
        headers = [one for one in scope["headers"] if not one[0].startswith(_FORWARDED)]
        scheme = scope["scheme"]
        if self._trusts(scope):
            forwarded = Headers(scope=scope)
            host, proto = (
                _first(forwarded.get("x-forwarded-host")),
                _first(forwarded.get("x-forwarded-proto")),
            )
            if host:
                headers = [(b"host", host.encode("latin-1")), *(h for h in headers if h[0] != b"host")]
            if proto.lower() in ("http", "https"):
                scheme = proto.lower()
        return {**scope, "headers": headers, "scheme": scheme}

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ipaddress.ip_address((scope.get("client") or ("",))[0].partition("%")[0])
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self.trusted if network.version == peer.version)


class SubPath:
    """Take requests below a path, whether or not the proxy has taken that path away.

    Args:
        app: what answers below `root_path`.
        root_path: begins with a slash and ends with none; "" does nothing.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole path."""
        path = scope.get("path", "")
        if self.root_path and path != self.root_path and not path.startswith(f"{self.root_path}/"):
            whole = {"path": self.root_path + path}
            if raw := scope.get("raw_path"):
                whole["raw_path"] = self.root_path.encode("ascii") + raw
            scope = {**scope, **whole}
        await self.app(scope, receive, send)


def route_of(scope: Scope) -> str:
    """The path of a request below the application's own."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def network_of(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A network, of one address or of many.

    Raises:
        BadQuery: it is none.
    """
    try:
        return ipaddress.ip_network(address.strip().strip("[]"), strict=False)
    except ValueError as error:
        raise BadQuery(
            f"{address!r} is no address and no network.", "Give one as in --trusted-proxy 172.18.0.0/16"
        ) from error


def _first(values: str | None) -> str:
    """The first of several, which is what the outermost proxy was asked."""
    return (values or "").partition(",")[0].strip()
