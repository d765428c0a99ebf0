"""python -m cir serve | search | index | galleries | models | evaluate | tables | train | world. Parsing and printing only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from cir import __version__
from cir.interrupts import ending_at_once, run_to_its_end

with ending_at_once():
    from cir.commands.checks import check_arguments
    from cir.commands.command_parser import CommandParser
    from cir.commands.console import any_console
    from cir.commands.exclusions import given_options, refuse_conflicts, refuse_empty
    from cir.commands.gallery_options import add_galleries, add_index, add_models, add_search, add_serve
    from cir.commands.options import add_evaluate, add_tables
    from cir.commands.serving import has_screen
    from cir.commands.training_options import add_ablate, add_synthesize, add_train, add_triplets, add_world
    from cir.environment import set_defaults
    from cir.errors import CirError
    from cir.surroundings import in_words

set_defaults()


def parser(program: str = "python -m cir") -> CommandParser:
    """The command line."""
    top = CommandParser(prog=program, description="Search your pictures with a picture and a sentence.")
    top.add_argument("--version", action="version", version=f"recompose {__version__}")
    commands_ = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serve(commands_)
    add_search(commands_)
    add_index(commands_)
    add_galleries(commands_)
    add_models(commands_)
    add_evaluate(commands_)
    add_train(commands_)
    add_tables(commands_)
    add_ablate(commands_)
    add_world(commands_)
    add_synthesize(commands_)
    add_triplets(commands_)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of `python -m cir`; returns the exit status."""
    with ending_at_once():
        top = parser()
    return run(top, arguments)


def recompose() -> NoReturn:
    """The command `recompose` of an installed package: without another command it serves the page."""
    run_to_its_end(_recompose)


def _recompose() -> int:
    arguments = sys.argv[1:]
    others = {"-h", "--help", "--version"}
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in others):
        arguments = ["serve", "--browser" if has_screen() else "--no-browser", *arguments]
    with ending_at_once():
        top = parser("recompose")
    return run(top, arguments)


@any_console()
def run(top: CommandParser, arguments: Sequence[str] | None) -> int:
    """Run a command, once its arguments are checked. A CirError is one sentence and exit status 2."""
    with ending_at_once():
        options = top.parse_args(arguments)
    try:
        refuse_empty(sys.argv[1:] if arguments is None else arguments)
        refuse_conflicts(options, given_options(top, arguments))
        check_arguments(options)
        return int(options.run(options))
    except CirError as error:
        return _told(error)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was done is kept.\n")
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        told = in_words(error, getattr(options, "out", None) or getattr(options, "results", None))
        if told is None:
            raise
        return _told(told)


def _told(error: CirError) -> int:
    sys.stderr.write("".join(f"{line}\n" for line in (error.message, error.remedy) if line))
    return 2


if __name__ == "__main__":
    run_to_its_end(main)
