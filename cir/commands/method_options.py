"""Which options a method reads: asked of the method itself, once, for all commands that run one.

A method states its numbers and the models that it needs in `cir.composers.registry`; everything follows from these.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cir.commands.values import option_of
from cir.errors import BadQuery

if TYPE_CHECKING:
    from cir.composers.method_card import MethodCard

# Options that belong to some methods alone.
OF_METHODS = (
    "alpha",
    "beta",
    "gamma",
    "captions",
    "gallery_captions",
    "released_code",
    "phi",
    "kept_only",
    "fresh",
)


def options_of(card: MethodCard) -> set[str]:
    """The names of those options of `OF_METHODS` that a method reads."""
    from cir.composers.method_card import CAPTIONER, LANGUAGE_MODEL

    found = {name for p in card.parameters for name in (p.name, p.formerly) if name}
    if "gamma" in found:
        found.add("gallery_captions")
    if CAPTIONER in card.needs:
        found.add("captions")
    if LANGUAGE_MODEL in card.needs:
        found |= {"kept_only", "fresh"}
    if any(need.startswith("phi ") for need in card.needs):
        found.add("phi")
    if card.file.startswith("cir/composers/cvsi"):  # those that are CVSI, whatever is added
        found.add("released_code")
    return found


def refuse_for_methods(options: argparse.Namespace, given: set[str]) -> None:
    """Refuse an option that none of the chosen methods reads.

    Raises:
        BadQuery: the first such option; the remedy names the methods that read it.
    """
    asked = [name for name in OF_METHODS if name in given]
    names = _chosen(options)
    if not asked or not names:
        return
    from cir.composers.registry import METHODS

    cards = [card for card in METHODS if card.name.lower() in names]
    if len(cards) < len(names):
        return  # a name that there is not is refused by its own check
    if "captions" in given:
        _refuse_few_captions(options.captions, cards)
    if options.command == "tables":
        return  # its rows of other methods come from what is kept
    for name in asked:
        readers = [card.name for card in METHODS if name in _read(card, options)]
        if not {card.name for card in cards} & set(readers):
            numbers = [option_of(p) for card in cards for p in card.parameters]
            own = (
                f", which has {', '.join(numbers)}" if numbers and name in ("alpha", "beta", "gamma") else ""
            )
            raise BadQuery(
                f"--{name.replace('_', '-')} has no meaning for {', '.join(card.name for card in cards)}{own}.",
                f"Leave it out, or choose a method that reads it: {', '.join(readers)}.",
            )


def _refuse_few_captions(captions: int, cards: Sequence[MethodCard]) -> None:
    """Refuse a number of captions below what a method makes in any case."""
    for card in cards:
        if captions < card.least_captions:
            raise BadQuery(
                f"--captions has no meaning below {card.least_captions} for {card.name}, and it is {captions}.",
                f"Give --captions {card.least_captions} or more, or leave it out.",
            )


def _read(card: MethodCard, options: argparse.Namespace) -> set[str]:
    found = options_of(card)
    network = getattr(options, "phi", None)
    # A recipe's name says which network CVSI takes; one of one's own may be another method's, by its recipe.
    named = network and not Path(network).suffix and not Path(network).expanduser().exists()
    if named and card.name != "CVSI":
        found.discard("phi")
    return found


def _chosen(options: argparse.Namespace) -> Sequence[str]:
    """Names of the methods that a command runs, in small letters; none where it runs all."""
    dataset = getattr(options, "dataset", "")
    if options.command == "search" or (options.command == "evaluate" and dataset != "world"):
        return [options.method.lower()]
    if options.command not in ("evaluate", "tables"):
        return []
    names = [part.strip().lower() for part in (options.methods or "").split(",") if part.strip()]
    return [*names, "cvsi"] if names and getattr(options, "tune", False) else names
