"""Where the page is served and for whom, as the options and the environment say it; checked before anything is loaded."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cir.commands.command_parser import CommandParser
from cir.environment import setting
from cir.errors import BadQuery

THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
# First parts of the paths that the page itself has: a request for one would be taken for one below the sub-path.
_OWN_PATHS = (
    "gradio_api",
    "assets",
    "static",
    "small-pictures",
    "config",
    "login",
    "logout",
    "theme.css",
    "svelte",
)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_NAME = re.compile(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is served.

    Attributes:
        host, port: what to listen on.
        auth: (user, password) that a visitor has to know, or None.
        names: by which the page may be called; "*" for any.
        root_path: below which a reverse proxy shows it, "" for none.
        proxies: addresses or networks of reverse proxies that are believed.
        alone: whether only who sits at this machine can reach it.
    """

    host: str
    port: int
    auth: tuple[str, str] | None
    names: tuple[str, ...]
    root_path: str
    proxies: tuple[str, ...]
    alone: bool


def add_address_options(parser: CommandParser) -> None:
    """--host, --port and what a page behind a reverse proxy needs."""
    host, port = setting("GRADIO_SERVER_NAME", THIS_MACHINE[0]), setting("GRADIO_SERVER_PORT", "7860")
    root_path = setting("GRADIO_ROOT_PATH")
    parser.add_argument("--host", default=host, help=f"address to listen on (default: {host})")
    parser.add_argument(
        "--port", type=int, default=port, help=f"port to listen on (default: {port}; 0: a free one)"
    )
    parser.add_argument("--listen", action="store_true", help="listen on every address; needs --auth")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="what a visitor has to know")
    proxied = parser.add_argument_group("behind a reverse proxy (docs/reverse-proxy.md)")
    proxied.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which visitors call the page; may be given again",
    )
    proxied.add_argument(
        "--root-path", default=root_path, metavar="PATH", help="where the proxy shows the page, as in /photos"
    )
    proxied.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a proxy on another machine, or its network; those on this one are trusted",
    )


def read_address(options: argparse.Namespace) -> Address:
    """Where to serve the page.

    Raises:
        BadQuery: an option that cannot be, or the page would be open to other machines without a password.
    """
    space = is_space()
    host = "0.0.0.0" if options.listen or space else options.host.strip().strip("[]")
    user, _, password = (options.auth or "").partition(":")
    auth = (user, password) if user and password else None
    local = is_loopback(host)
    if auth is None and (options.auth or not (local or space)):
        raise BadQuery(f"Without a password the page is not served at {host}.", "Add --auth USER:PASSWORD.")
    root_path, more = read_root_path(options.root_path)
    named = [read_host_name(name) for name in (*options.allowed_host, *more)]
    alone = local and auth is None and not named and not space
    if options.mcp and not alone:
        message = (
            "Assistants cannot give a password, so their tool is not served beside one or to other machines."
        )
        remedy = "Leave out --mcp, or leave out --auth, --host, --listen and --allowed-host."
        raise BadQuery(message, remedy)
    names = (*THIS_MACHINE, *named) if local or named else ("*",)
    return Address(
        host, options.port, auth, tuple(dict.fromkeys(names)), root_path, tuple(options.trusted_proxy), alone
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_space() -> bool:
    """Whether this is a hosted Space: its container is reached through the hub alone."""
    return bool(os.environ.get("SPACE_ID"))


def read_root_path(given: str) -> tuple[str, list[str]]:
    """(the path, begun by a slash and ended by none; the host that was named with it, if it was a whole address).

    Raises:
        BadQuery: it is no path, or one that the page itself has.
    """
    parts = urlsplit(given.strip())
    path = "/" + parts.path.strip("/") if parts.path.strip("/") else ""
    if parts.query or parts.fragment or not _PATH.fullmatch(path):
        raise BadQuery(f"{given!r} is no path for the page.", "Give one as in --root-path /photos")
    if path[1:].partition("/")[0] in _OWN_PATHS:
        raise BadQuery(f"The path {path} belongs to the page itself.", "Choose another: --root-path /photos")
    return path, [parts.netloc] if parts.netloc else []


def read_host_name(given: str) -> str:
    """The name of a host as browsers send it: without scheme, port and path, in small ASCII letters.

    Raises:
        BadQuery: it is none.
    """
    name = urlsplit(given if "//" in given else f"//{given}").netloc.rpartition("@")[2].strip().lower()
    name = name if name.endswith("]") else re.sub(r":\d*$", "", name)
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise BadQuery(f"{given!r} is no name of a host.", "Give one as in --allowed-host photos.example.org")
    return name
