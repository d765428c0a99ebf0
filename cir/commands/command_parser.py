"""The parser of a command, and the options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cir.commands import checks
from cir.environment import setting
from cir.models.server.address import AT_ONCE, KEY_SETTING
from cir.ranking.engines import DEFAULT


class CommandParser(argparse.ArgumentParser):
    """A parser whose help ends with the names that its options take; they are looked up only then.

    Attributes:
        lists: of `checks.LISTS`, those that this command's options name something of.
        later: adds options that cost something to know, when the command is used or its help is asked for.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.lists: list[str] = []
        self.later: Callable[[CommandParser], None] | None = None

    def fill(self) -> None:
        """Add what was put off."""
        later, self.later = self.later, None
        if later is not None:
            later(self)

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """As of argparse, with all options."""
        self.fill()
        return super().parse_known_args(*args, **options)

    def format_help(self) -> str:
        """The help, with today's names."""
        self.fill()
        lines = [f"  {title}: {', '.join(checks.LISTS[title]()) or 'none yet'}" for title in self.lists]
        self.epilog = "\n".join(["names:", *lines]) if lines else None
        return super().format_help()


def command(
    group,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    lists: Sequence[str] = (),
    aliases: Sequence[str] = (),
) -> CommandParser:
    """A command of a group, with its text as help and description, and what its help lists the names of."""
    sub = group.add_parser(name, help=text, description=text, aliases=aliases)
    sub.set_defaults(run=run)
    sub.lists += lists
    return sub


def add_models_option(sub: CommandParser, chosen: str = "") -> None:
    """--models, --llm and --device. `chosen`: the set where neither the command line nor the environment names one."""
    default = setting("CIR_MODELS", chosen or "embedded")
    sub.add_argument("--models", default=default, help=f"model set (default: {default})")
    sub.add_argument(
        "--llm",
        default=setting("CIR_LLM") or None,
        help="language model: a name, a path to a .gguf file, URL#MODEL of a server that speaks OpenAI's protocol, or none to do "
        "without (default: the set's)",
    )
    add_asking_options(sub)
    add_device_option(sub)
    sub.lists += ["model sets", "language models"]


def add_asking_options(sub: argparse.ArgumentParser) -> None:
    """--llm-key-env and --llm-at-once."""
    text = f"the name of the environment variable that holds the key of the language model's server (default: {KEY_SETTING})"
    sub.add_argument("--llm-key-env", default="", metavar="NAME", help=text)
    text = f"questions to the language model's server at the same time, at most (default: {AT_ONCE})"
    sub.add_argument("--llm-at-once", type=int, default=AT_ONCE, metavar="N", help=text)


def add_network_option(sub: argparse._ActionsContainer) -> None:
    """--network."""
    sub.add_argument(
        "--network",
        dest="networks",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a network of a supervised method that was trained by `train fusion`, in the place of the set's; may be repeated",
    )


def add_device_option(sub: argparse.ArgumentParser) -> None:
    """--device."""
    text = "where models run: cpu, cuda, cuda:1 ... (default: a GPU where there is one)"
    sub.add_argument("--device", default=setting("CIR_DEVICE") or None, help=text)


def add_engine_option(sub: CommandParser) -> None:
    """--engine."""
    default = setting("CIR_ENGINE", DEFAULT)
    text = "what ranks the pictures: exact looks at all of them, faiss at what an index finds, for a million and more; qdrant asks servers"
    sub.add_argument("--engine", default=default, metavar="ENGINE", help=f"{text} (default: {default})")
    sub.lists.append("engines")


def add_server_options(sub: argparse._ActionsContainer, *, searched: bool = False) -> None:
    """--qdrant-url and --qdrant-key-env, and --thumbnails where a gallery on the server is `searched`."""
    url = setting("CIR_QDRANT_URL")
    sub.add_argument(
        "--qdrant-url", default=url, metavar="URL", help="a Qdrant server, such as http://localhost:6333"
    )
    text = "the name of the environment variable that holds the server's key (default: CIR_QDRANT_KEY)"
    sub.add_argument("--qdrant-key-env", default="", metavar="NAME", help=text)
    if searched:
        text = (
            "for a gallery on a server: a folder or a web address with its small pictures, CONTENT_HASH.webp"
        )
        sub.add_argument("--thumbnails", default="", metavar="PLACE", help=text)


def add_report_option(sub: argparse.ArgumentParser) -> None:
    """--out; --results is its older name."""
    text = "the file that the table is written into (default: results.md in gallery_cache/evaluations)"
    sub.add_argument("--out", "--results", dest="results", type=Path, metavar="FILE", help=text)
