"""What of a method may be moved without a model being asked again: its numbers, by name.

A method states them, and everything that shows, reads or varies numbers takes them from there: sliders, the bar of
shares, the command line, the API, links, Compare, sweeps. Knows no method.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from cir.errors import BadQuery
from cir.types import PHOTOGRAPH, READ_AS, REFERENCE_IMAGE, ComposedQuery, Scorer

Values = Mapping[str, float]  # parameter -> its number


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a method.

    Attributes:
        name: in the API, on the command line and in links.
        symbol: as in the method's paper.
        label: what it does, in a few words.
        default: where it starts.
        low, high: its range.
        meaning: what it does, in a sentence.
        part: the row of the query whose share it is; the shares of a method sum to at most 1, and what is left is the
            reference image's. "" for a number that is no share.
        called: what the method calls that row, where that is not what CVSI puts there.
        formerly: an older name under which links and programs may still send it.
        for_photographs: where it starts instead where the reference was read as a photograph; None for no other place.
    """

    name: str
    symbol: str
    label: str
    default: float
    low: float = 0.0
    high: float = 1.0
    meaning: str = ""
    part: str = ""
    called: str = ""
    formerly: str = ""
    for_photographs: float | None = None


class WithoutParameters:
    """A method that is ranked as it is: all rows of its queries count alike, by pixels."""

    parameters: tuple[Parameter, ...] = ()
    scoring: Scorer | None = None


def defaults(parameters: Sequence[Parameter]) -> dict[str, float]:
    """Parameter -> where it starts."""
    return own_values(parameters, {})


def starting(parameters: Sequence[Parameter], composed: ComposedQuery) -> dict[str, float]:
    """Parameter -> where it starts for this query."""
    read_as = composed.trace.get(READ_AS, ())
    return defaults(parameters) | (of_photographs(parameters) if PHOTOGRAPH in read_as else {})


def of_photographs(parameters: Sequence[Parameter]) -> dict[str, float]:
    """Parameter -> where it starts for photographs, of those that start elsewhere for them."""
    return {p.name: p.for_photographs for p in parameters if p.for_photographs is not None}


def starting_note(parameters: Sequence[Parameter], composed: ComposedQuery) -> str:
    """A sentence where the numbers start elsewhere for this query than usually; "" otherwise."""
    values = starting(parameters, composed)
    if values == defaults(parameters):
        return ""
    return f"The reference was read as a photograph, so the weights for photographs count: {in_symbols(parameters, values)}."


def own_values(parameters: Sequence[Parameter], values: Values) -> dict[str, float]:
    """The method's numbers among these; where it starts for those that are missing."""
    return {p.name: values.get(p.name, p.default) for p in parameters}


def read_values(
    parameters: Sequence[Parameter], given: Mapping[str, object], start: Values | None = None
) -> dict[str, float]:
    """The numbers of a method, checked.

    Args:
        parameters: the method's.
        given: name -> what arrived; None is as good as absent. Other names are left alone.
        start: what holds where nothing arrived; what is missing in it, too, is where the method starts.

    Raises:
        BadQuery: what is no number, or out of its range, or shares that sum to more than 1.
    """
    found = own_values(parameters, start or {})
    for parameter in parameters:
        for name in filter(None, (parameter.formerly, parameter.name)):
            if given.get(name) is not None:
                found[parameter.name] = read_number(parameter, name, given[name])
    for parameter in parameters:
        read_number(parameter, parameter.name, found[parameter.name])
    _check_shares(parameters, found)
    return found


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is a finite number, and no truth value. Compared, not converted: a whole number of 400 digits is no float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def read_number(parameter: Parameter, name: str, value: object) -> float:
    """One number of a method, called `name` in what is said of it.

    Raises:
        BadQuery: it is no finite number, or out of its range.
    """
    low, high = parameter.low, parameter.high
    remedy = f"Give a number from {low:g} to {high:g}."
    if not is_number(value):
        raise BadQuery(f"{name} has to be a number, not {str(value)[:40]!r}.", remedy)
    if not low <= value <= high:
        raise BadQuery(f"{name} is {str(value)[:40]}.", remedy)
    return float(value)


def _check_shares(parameters: Sequence[Parameter], values: Values) -> None:
    names = [p.name for p in parameters if p.part]
    total = sum(values[name] for name in names)
    if total > 1.0 + 1e-6:
        raise BadQuery(
            f"{' + '.join(names)} is {total:g}, so the reference image would count negatively.",
            "Lower one of them until their sum is at most 1.",
        )


def shares(parameters: Sequence[Parameter], values: Values) -> dict[str, float]:
    """Row of the query -> its share, the reference image's last; nothing for a method without shares."""
    found = {p.part: values[p.name] for p in parameters if p.part}
    return {**found, REFERENCE_IMAGE: max(0.0, 1.0 - sum(found.values()))} if found else {}


def moved(parameters: Sequence[Parameter], values: Values, name: str, value: float) -> dict[str, float]:
    """The numbers with one of them moved; where shares would pass 1, the others give way."""
    found = {**values, name: value}
    others = [p.name for p in parameters if p.part and p.name != name]
    if any(p.name == name and p.part for p in parameters):
        room = 1.0 - value
        for other in others:
            found[other] = min(found[other], room)
            room -= found[other]
    return found


def read_moved(
    parameters: Sequence[Parameter], given: Mapping[str, object], before: Values
) -> dict[str, float]:
    """The numbers of a method while a person moves one of them: where shares pass 1, those that were not moved give way.

    Args:
        parameters: the method's.
        given: name -> what arrived.
        before: the numbers until now.

    Raises:
        BadQuery: what is no number, or out of its range.
    """
    numbers = {
        p.name: read_number(p, p.name, given[p.name]) for p in parameters if given.get(p.name) is not None
    }
    found = {**defaults(parameters), **before, **numbers}
    changed = next((p.name for p in parameters if p.part and numbers.get(p.name) != before.get(p.name)), None)
    if changed is not None and sum(found[p.name] for p in parameters if p.part) > 1.0:
        found = moved(parameters, found, changed, found[changed])
    return read_values(parameters, found)


def numbers_of(methods: Iterable[Sequence[Parameter]]) -> dict[str, Parameter]:
    """Every parameter of several methods by its name, each once: a page has one slider for each."""
    found: dict[str, Parameter] = {}
    for parameters in methods:
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
    return found


def steps(parameter: Parameter, count: int) -> Iterator[float]:
    """`count` + 1 numbers from the one end of a parameter's range to the other."""
    for step in range(count + 1):
        yield parameter.low + (parameter.high - parameter.low) * step / count


def in_symbols(parameters: Sequence[Parameter], values: Values) -> str:
    """ "α 0.4, β 0.6, γ 0.2"; "" for a method without parameters."""
    return ", ".join(f"{p.symbol} {values[p.name]:g}" for p in parameters)
