"""`python -m cir serve`, and what `app.py` runs: one place that reads the options, builds everything and serves.

The two differ in one thing: `app.py` shows the page in a browser where there is a screen.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from cir.commands.checks import check_arguments
from cir.commands.options import CommandParser, add_models_option
from cir.environment import folder_list, setting
from cir.errors import BadQuery, CirError, MissingModel

if TYPE_CHECKING:
    from cir.models.model_set import Models
    from cir.retriever import Retriever
    from cir.ui.layout import PageContent

FIRST_VISIT_SECONDS = 3.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SPACE_FRAMES = ("https://huggingface.co",)  # a hosted Space is shown inside a page of the hub


def add_options(parser: CommandParser) -> None:
    """What can be said about the page on the command line; the environment decides what is not said."""
    host, port = setting("GRADIO_SERVER_NAME", LOOPBACK[0]), setting("GRADIO_SERVER_PORT", "7860")
    add_models_option(parser)
    parser.add_argument(
        "--phi", help="CVSI's mapping network: any recipe of the model set (default: its first)"
    )
    parser.add_argument("--gallery", help="a gallery's name, or the folder that it was indexed from")
    parser.add_argument("--host", default=host, help=f"address to listen on (default: {host})")
    parser.add_argument("--port", type=int, default=port, help=f"port to listen on (default: {port})")
    parser.add_argument("--listen", action="store_true", help="listen on every address; needs --auth")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="what a visitor has to know")
    parser.add_argument(
        "--mcp", action="store_true", help="offer the tool search_gallery to assistants (MCP)"
    )
    roots = "a folder below which the page may make galleries; may be given again"
    parser.add_argument("--gallery-root", type=Path, action="append", default=[], metavar="DIR", help=roots)
    parser.set_defaults(browser=False)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `app.py`."""
    parser = CommandParser(description="Search your pictures with a picture and a sentence.")
    add_options(parser)
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="open no browser")
    parser.set_defaults(browser=has_screen())
    return parser.parse_args(arguments)


def has_screen() -> bool:
    """Whether a browser can be shown on this machine to who has started the program: not over SSH."""
    if "SSH_CONNECTION" in os.environ:
        return False
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(shown)


def is_space() -> bool:
    """Whether this is a hosted Space: its container is reached through the hub alone."""
    return bool(os.environ.get("SPACE_ID"))


def read_address(options: argparse.Namespace) -> tuple[str, tuple[str, str] | None, list[str]]:
    """(host, auth, names by which the page may be called).

    Raises:
        BadQuery: the page would be open to other machines without a password.
    """
    host = "0.0.0.0" if options.listen or is_space() else options.host
    user, _, password = (options.auth or "").partition(":")
    auth = (user, password) if user and password else None
    alone = host in LOOPBACK
    if auth is None and (options.auth or not (alone or is_space())):
        raise BadQuery(f"Without a password the page is not served at {host}.", "Add --auth USER:PASSWORD.")
    if options.mcp and (auth is not None or not alone):
        message = (
            "Assistants cannot give a password, so their tool is not served beside one or to other machines."
        )
        raise BadQuery(message, "Leave out --mcp, or leave out --auth, --host and --listen.")
    return host, auth, ["127.0.0.1", "localhost"] if alone else ["*"]


def gallery_roots(options: argparse.Namespace, auth: object) -> tuple[Path, ...]:
    """The folders below which the page may make galleries, by --gallery-root or $CIR_GALLERY_ROOTS.

    Without either it is the folder Pictures of who has started the page, if nobody else can reach the page.

    Raises:
        BadQuery: one that was named is no folder.
    """
    named = [*options.gallery_root, *folder_list("CIR_GALLERY_ROOTS")]
    named = [root.expanduser().absolute() for root in named]
    for root in named:
        if not root.is_dir():
            raise BadQuery(f"{root} is not a folder.", "Name a folder that is there: --gallery-root DIR")
    alone = auth is None and not options.listen and options.host in LOOPBACK and not is_space()
    pictures = Path.home() / "Pictures"
    usual = [pictures] if alone and not named and pictures.is_dir() else []
    return tuple(dict.fromkeys([*named, *usual]))


def serve(options: argparse.Namespace) -> int:
    """Serve the page until interrupted.

    Raises:
        CirError: it cannot be served like that.
    """
    host, auth, names = read_address(options)
    if options.mcp:
        _require_mcp()
    from cir import application
    from cir.ui.serving import keep_uploads_apart, launch
    from cir.ui.view import build_page

    keep_uploads_apart()
    if is_space():  # nobody else can ask for the models there
        _fetch_models(options)
    models, retriever = application.build(
        options.models, llm=options.llm, gallery=options.gallery, phi=options.phi, deferred=True
    )
    opened = Event()

    def warm_up() -> None:
        """Load the models once a page is there: both at once would make who waits for the page wait longer."""
        opened.wait(FIRST_VISIT_SECONDS)
        application.warm_up(models)

    with closing(models):
        content = page_content(options, models, retriever, gallery_roots(options, auth))
        launch(
            build_page(replace(content, opened=opened.set)),
            host=host,
            port=options.port,
            auth=auth,
            allowed_hosts=names,
            framed_by=SPACE_FRAMES if is_space() else (),
            assistants=options.mcp,
            inbrowser=options.browser,
            when_served=Thread(target=warm_up, daemon=True).start,
        )
    return 0


def page_content(
    options: argparse.Namespace, models: Models, retriever: Retriever, roots: Sequence[Path] = ()
) -> PageContent:
    """What the page is about: everything concrete is joined to it here."""
    from cir import application
    from cir.commands.results import read_results
    from cir.triplet_source import open_triplets
    from cir.ui.galleries.handlers import Making
    from cir.ui.handlers import load_examples
    from cir.ui.layout import PageContent

    title = "" if options.gallery else "Sample gallery"
    shelf = application.build_shelf(models, retriever, title=title)
    indexer = application.build_indexer(models, shelf)
    making = Making(indexer, tuple(roots), note=application.about_photographs(models))

    return PageContent(
        retriever,
        presets=application.presets(models),
        missing=models.missing,
        facts=models.facts,
        fingerprints=models.fingerprints,
        examples=load_examples(application.ROOT / "assets" / "examples.json", retriever.gallery),
        gallery_title=title,
        shelf=shelf,
        making=None if is_space() else making,
        results=read_results,
        triplets=open_triplets(models),
        text_encoder=models.clip,
        assistants=options.mcp,
        ready=lambda: models.ready,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """`app.py`: serve until interrupted. Returns the exit status."""
    try:
        options = read_options(arguments)
        check_arguments(options)
        return serve(options)
    except CirError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _fetch_models(options: argparse.Namespace) -> None:
    """Fetch what is missing; what cannot be had is said by the page."""
    from cir.commands.models import models_pull

    wanted = {"name": options.models, "llm": options.llm}
    models_pull(argparse.Namespace(**wanted, accept_noncommercial=False, best_effort=True))


def _require_mcp() -> None:
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        message = "The package through which assistants ask (mcp) is not installed."
        raise MissingModel(message, "Install it: pip install -r requirements-mcp.txt")
