"""`python -m cir serve`, and what `app.py` runs: one place that reads the options, builds everything and serves.

The two differ in one thing: `app.py` shows the page in a browser where there is a screen.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from cir import __version__
from cir.commands.addresses import (
    THIS_MACHINE,
    Address,
    add_address_options,
    is_loopback,
    is_space,
    read_address,
)
from cir.commands.checks import check_arguments
from cir.commands.command_parser import (
    CommandParser,
    add_engine_option,
    add_models_option,
    add_network_option,
    add_server_options,
)
from cir.commands.console import any_console
from cir.commands.exclusions import given_options, refuse_conflicts, refuse_empty
from cir.commands.going_on import PHOTOGRAPH_SET, SHIPPED_SET, GoingOn
from cir.environment import folder_list, home_folder, leave_proxies_out
from cir.errors import BadQuery, CirError, GalleryError, MissingModel
from cir.interrupts import ending_in_order
from cir.models.chosen import choose_set, chosen_set
from cir.models.server.address import Asking
from cir.places import ASSETS, SAMPLE_GALLERY, title_of_sample
from cir.ranking.engines import SERVED
from cir.surroundings import in_words

if TYPE_CHECKING:
    from cir.application import OnServer
    from cir.models.model_set import Models
    from cir.ranking.retriever import Retriever
    from cir.ui.galleries.model_sets import ModelSets
    from cir.ui.page import PageContent

FIRST_VISIT_SECONDS = 3.0
SPACE_FRAMES = ("https://huggingface.co",)  # a hosted Space is shown inside a page of the hub


def add_options(parser: CommandParser, *, browser: bool = False) -> None:
    """What can be said about the page on the command line; the environment decides what is not said.

    `browser`: whether one is opened unless the command line says otherwise.
    """
    add_models_option(parser, chosen_set())
    parser.add_argument(
        "--phi", help="CVSI's mapping network: any recipe of the model set (default: its first)"
    )
    add_network_option(parser)
    parser.add_argument("--gallery", help="a gallery's name, or the folder that it was indexed from")
    add_engine_option(parser)
    add_server_options(parser, searched=True)
    parser.add_argument(
        "--mcp", action="store_true", help="offer the tool search_gallery to assistants (MCP)"
    )
    roots = "a folder below which the page may make galleries; may be given again"
    parser.add_argument("--gallery-root", type=Path, action="append", default=[], metavar="DIR", help=roots)
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=browser,
        help=f"show the page in a browser (default: {'yes' if browser else 'no'})",
    )
    parser.lists += ["galleries", "mapping networks"]
    add_address_options(parser)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `app.py`: the options of `serve`."""
    return _parser().parse_args(arguments)


def _parser() -> CommandParser:
    parser = CommandParser(description="Search your pictures with a picture and a sentence.")
    parser.set_defaults(command="serve")
    parser.add_argument("--version", action="version", version=f"recompose {__version__}")
    add_options(parser, browser=has_screen())
    return parser


def has_screen() -> bool:
    """Whether a browser can be shown on this machine to who has started the program: not over SSH."""
    if "SSH_CONNECTION" in os.environ:
        return False
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or bool(shown)


def gallery_roots(options: argparse.Namespace, address: Address) -> tuple[Path, ...]:
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
    pictures = home_folder() / "Pictures"
    usual = [pictures] if address.alone and not named and pictures.is_dir() else []
    return tuple(dict.fromkeys([*named, *usual]))


def serve(options: argparse.Namespace) -> int:
    """Serve the page until interrupted.

    Raises:
        CirError: it cannot be served like that.
    """
    address = read_address(options)
    roots = gallery_roots(options, address)
    if options.mcp:
        _require_mcp()
    from cir.ui.server.listening import listen_on  # imports the server's library

    going_on = GoingOn()
    with ending_in_order(), listen_on(address.host, address.port) as listener:
        port = listener.getsockname()[1]
        _serve_on(listener, options, address, roots, going_on)
    return going_on.begin_anew(port) if going_on.wanted else 0


def _serve_on(
    listener: socket.socket,
    options: argparse.Namespace,
    address: Address,
    roots: Sequence[Path],
    going_on: GoingOn,
) -> None:
    if is_space():  # nobody else can ask for the models there
        _fetch_models(options)
    leave_proxies_out()
    from cir import application
    from cir.ui.server.proxies import LOOPBACK_PROXIES
    from cir.ui.server.serving import launch
    from cir.ui.server.uploads import keep_uploads_apart
    from cir.ui.view import build_page

    keep_uploads_apart()
    models, retriever = _build(options)
    sets = model_sets(models.name, options, address, going_on)
    opened = Event()

    def warm_up() -> None:
        """Load the models once a page is there: both at once would make who waits for the page wait longer."""
        opened.wait(FIRST_VISIT_SECONDS)
        application.warm_up(models)
        try:
            retriever.translator.prepare()
        except CirError as error:
            logging.getLogger(__name__).warning("What reads edits could not be loaded: %s", error)

    with (
        closing(models),
        closing(sets.fetching) if sets else nullcontext(),
        launch(
            build_page(replace(page_content(options, models, retriever, roots, sets), opened=opened.set)),
            listener=listener,
            auth=address.auth,
            allowed_hosts=address.names,
            root_path=address.root_path,
            trusted_proxies=(*LOOPBACK_PROXIES, *address.proxies),
            framed_by=SPACE_FRAMES if is_space() else (),
            assistants=options.mcp,
        ) as server,
    ):
        going_on.end = server.end
        _say_where(server.url, address, options)
        Thread(target=warm_up, daemon=True).start()
        if options.browser:
            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            server.wait()


def _build(options: argparse.Namespace) -> tuple[Models, Retriever]:
    """Models and retriever of the set that is wanted. One that was chosen on the page, and is of no use now, is let go of.

    Raises:
        CirError: they cannot be built.
    """
    from cir import application

    options.phi = options.phi or None
    given = {"llm": options.llm, "device": options.device, "engine": options.engine}
    asking = Asking.of(options)
    build = partial(application.build, deferred=True, on_server=on_server(options), asking=asking, **given)
    try:
        return build(options.models, gallery=options.gallery, phi=options.phi, networks=options.networks)
    except CirError as error:
        is_of_what_was_typed = options.phi or (options.gallery and isinstance(error, GalleryError))
        if options.models != chosen_set() or is_of_what_was_typed:
            raise
        sys.stderr.write(
            f"The set {options.models}, which was chosen on the page, cannot be used. {error}\n"
            "The page begins with the models that come with the program.\n"
        )
        with suppress(OSError):  # it is tried again, and said again, at the next start
            choose_set("")
    options.models, options.gallery, options.phi = SHIPPED_SET, None, None
    return build(options.models)


def on_server(options: argparse.Namespace) -> OnServer | None:
    """Where the gallery is that is to be searched; None for here."""
    from cir.application import OnServer

    if options.engine != SERVED:
        return None
    return OnServer(options.qdrant_url, options.qdrant_key_env, options.thumbnails)


def model_sets(
    used: str, options: argparse.Namespace, address: Address, going_on: GoingOn
) -> ModelSets | None:
    """What the page that uses a set offers of others; None where somebody else than who sits at this machine can reach it."""
    if not address.alone:
        return None
    from cir.models.fetching import Fetching
    from cir.ui.galleries.model_sets import ModelSets

    fetching = Fetching(
        PHOTOGRAPH_SET, environment=going_on.environment, llm=options.llm, device=options.device
    )
    return ModelSets(used, SHIPPED_SET, fetching, going_on.with_set)


def _say_where(url: str, address: Address, options: argparse.Namespace) -> None:
    lines = [f"The page is at {url}"]
    if named := [name for name in address.names if name not in (*THIS_MACHINE, "*")]:
        lines.append(f"It may also be called as {', '.join(named)}{address.root_path}, through your proxy.")
        if address.auth is None:
            lines.append(
                "Whoever gets through the proxy sees these pictures: let it ask for a password, or add --auth."
            )
    elif not is_loopback(address.host) and not is_space():
        lines.append("Other machines reach it under this one's name or address.")
    if options.mcp:
        lines.append(f"Assistants (MCP) find its tool at {url}gradio_api/mcp/")
    sys.stdout.write("\n".join([*lines, "Stop it with Ctrl-C.\n"]))
    sys.stdout.flush()


def page_content(
    options: argparse.Namespace,
    models: Models,
    retriever: Retriever,
    roots: Sequence[Path] = (),
    sets: ModelSets | None = None,
) -> PageContent:
    """What the page is about: everything concrete is joined to it here."""
    from cir import application
    from cir.commands.results import read_results
    from cir.ui.galleries.screen import GalleryIndexing
    from cir.ui.page import PageContent
    from cir.ui.search.examples import read_examples

    title = title_of_sample(retriever.gallery.folder or (None if options.gallery else SAMPLE_GALLERY))
    shelf = application.build_shelf(models, retriever, title=title)
    indexer = application.build_indexer(models, shelf)
    note = application.about_photographs(models, offered=sets is not None)
    indexing = GalleryIndexing(shelf, indexer, tuple(roots), note=note, models=models.name, sets=sets)

    return PageContent(
        shelf,
        presets=application.presets(models, options.phi),
        missing=models.missing,
        where_asked=models.where_asked,
        facts=models.facts,
        fingerprints=models.fingerprints,
        examples=read_examples(ASSETS / "examples.json"),
        indexing=None if is_space() else indexing,
        results=read_results,
        triplets=application.open_triplets(models, {retriever.gallery.name: title} if title else None),
        train=None if is_space() else application.build_trainer(models, shelf),
        read_as=models.read_as,
        text_encoder=models.clip,
        assistants=options.mcp,
        ready=lambda: models.ready,
    )


@any_console()
def main(arguments: Sequence[str] | None = None) -> int:
    """`app.py`: serve until interrupted. Returns the exit status."""
    try:
        options = read_options(arguments)
        refuse_empty(sys.argv[1:] if arguments is None else arguments)
        refuse_conflicts(options, given_options(_parser(), arguments))
        check_arguments(options)
        return serve(options)
    except CirError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        told = in_words(error)
        if told is None:
            raise
        sys.stderr.write(f"{told}\n")
        return 2


def _fetch_models(options: argparse.Namespace) -> None:
    """Fetch what is missing; what cannot be had is said by the page."""
    from cir.commands.models import models_pull

    wanted = {"name": options.models, "llm": options.llm, "device": options.device, "minutes": 15.0}
    plain = {"accept_noncommercial": False, "json": False, "first_gallery": False}
    models_pull(argparse.Namespace(**wanted, **plain, best_effort=True))


def _require_mcp() -> None:
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        message = "The package through which assistants ask (mcp) is not installed."
        raise MissingModel(message, "Install it: pip install -r requirements-mcp.txt")
