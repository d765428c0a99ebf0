"""Where a language model's server is, as a person writes it: URL#MODEL. Knows no network; a key stands in no sentence."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cir.environment import setting
from cir.errors import BadQuery

KEY_SETTING = "CIR_LLM_KEY"
AT_ONCE = 4  # questions under way; a server that answers one after the other lets the others wait
MOST_AT_ONCE = 64
_LIKE = "Write it like http://localhost:8000#MODEL or https://HOST/v1#MODEL"
_NONE = "That is no address of a language model's server."
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Asking:
    """How a server is asked.

    Attributes:
        key_setting: the name of the environment's variable that holds its key; "" for KEY_SETTING, which may be unset.
        at_once: how many questions are under way at the same time, at most.
    """

    key_setting: str = ""
    at_once: int = AT_ONCE

    @classmethod
    def of(cls, options: argparse.Namespace) -> Asking:
        """As the options of a command say, where it has them."""
        return cls(getattr(options, "llm_key_env", ""), getattr(options, "llm_at_once", AT_ONCE))

    @property
    def key_name(self) -> str:
        """The variable's name."""
        return self.key_setting or KEY_SETTING

    def key(self) -> str:
        """The key; "" for a server that wants none.

        Raises:
            BadQuery: the variable that was named is not set, or what it holds cannot be a key.
        """
        found = setting(self.key_name)
        name = self.key_name[:40]
        if self.key_setting and not found:
            raise BadQuery(
                f"The environment has no variable {name}, which is to hold the key of the language model's server.",
                f"Set it: export {name}=...",
            )
        if not (found.isascii() and found.isprintable()) or " " in found:
            raise BadQuery(
                f"What the environment's variable {name} holds cannot be a key: it has blanks or letters beyond ASCII.",
                f"Set it again: export {name}=...",
            )
        return found


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server that speaks OpenAI's protocol, and which of its models is asked.

    Attributes:
        base: "https://HOST:PORT/v1", without a slash at the end.
        shown: HOST, with the port where it is not the usual one.
        model: the model's name; "" for the only one that the server has.
    """

    base: str
    shown: str
    model: str = ""


def is_server(name: str | None) -> bool:
    """Whether the name of a language model is meant as an address."""
    return "://" in (name or "")


def read_address(text: str) -> ServerAddress:
    """URL#MODEL. Where the URL has no path, /v1 is meant.

    Raises:
        BadQuery: it is no such address, or holds what others should not read. The sentence does not repeat it.
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise BadQuery(_NONE, _LIKE) from None
    if parts.username is not None or parts.password is not None or parts.query:
        what = "a question mark, behind which a key may stand" if parts.query else "a name or a password"
        raise BadQuery(
            f"The address of the language model's server holds {what}: others could read it on the command line.",
            f"Leave it out, and put the key into the environment: {KEY_SETTING}, or a name that --llm-key-env gives.",
        )
    plain = parts.path.isascii() and text.strip().isprintable() and " " not in parts.path
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or not plain:
        raise BadQuery(_NONE, _LIKE)
    shown = f"[{host}]" if ":" in host else host
    if port not in (None, _PORTS[parts.scheme]):
        shown += f":{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return ServerAddress(f"{parts.scheme}://{shown}{path}", shown, parts.fragment)
