"""A method's numbers on the command line: --set NAME=NUMBER for any method, --alpha, --beta and --gamma for CVSI's."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cir.errors import BadQuery

if TYPE_CHECKING:
    from cir.composers.composer import Composer
    from cir.composers.parameters import Parameter, Values

CVSI_OPTIONS = ("alpha", "beta", "gamma")


def add_values(sub: argparse._ActionsContainer, default: str) -> None:
    """The options; `default` says what holds without them."""
    for name in CVSI_OPTIONS:
        sub.add_argument(f"--{name}", type=float, help=f"CVSI's {name}, from 0 to 1 (default: {default})")
    sub.add_argument(
        "--set",
        action="append",
        dest="set_values",
        metavar="NAME=NUMBER",
        help="a number of the method, such as t=0.3 for Slerp; docs/methods.md lists them; may be given several times",
    )


def option_of(parameter: Parameter) -> str:
    """ "--alpha (α)", "--set t=0.8 (t)": how a number is given on the command line."""
    own = (
        f"--{parameter.name}"
        if parameter.name in CVSI_OPTIONS
        else f"--set {parameter.name}={parameter.default:g}"
    )
    return f"{own} ({parameter.symbol})"


def read_pair(text: str) -> tuple[str, float]:
    """ "t=0.3" -> ("t", 0.3).

    Raises:
        BadQuery: it is no name with a number.
    """
    name, equals, number = text.partition("=")
    try:
        return name.strip().lower(), float(number) if equals else float("nan")
    except ValueError:
        raise BadQuery(f"--set {text}: that is no number.", "Give a name and a number: --set t=0.3") from None


def given_values(options: argparse.Namespace) -> dict[str, float]:
    """The numbers that stand on the command line, by name."""
    given = {name: getattr(options, name) for name in CVSI_OPTIONS if getattr(options, name) is not None}
    return {**given, **dict(read_pair(text) for text in options.set_values or ())}


def method_values(options: argparse.Namespace, composer: Composer, start: Values) -> Values:
    """The numbers that a method is run with: those of the command line, and `start` where it has none.

    Raises:
        BadQuery: a number that the method does not have, or out of its range.
    """
    return known_values(composer.name, composer.parameters, given_values(options), start)


def known_values(
    method: str, parameters: Sequence[Parameter], given: Mapping[str, float], start: Values
) -> dict[str, float]:
    """The numbers of a method, of which it has those that are given.

    Raises:
        BadQuery: a number that the method does not have, or out of its range.
    """
    from cir.composers.parameters import read_values

    known = {name for p in parameters for name in (p.name, p.formerly) if name}
    for name in given:
        if name not in known:
            has = ", ".join(option_of(p) for p in parameters) or "none"
            raise BadQuery(f"{method} has no number called {name!r}.", f"Leave it out. Its numbers: {has}.")
    return read_values(parameters, given, start)
