"""What of this program the composed queries of a method depend on: its own file, and what that imports of the code that composes.

So whoever adds a method, or changes one, measures that one anew, and what is kept of the others stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from cir.cache_keys import code_digest, modules_reached
from cir.composers.method_card import MethodCard
from cir.composers.registry import cards_of

# Parts of the program whose change can change what is composed. The rest only reads files, keeps and carries.
COMPOSING = (
    "cir.composers",
    "cir.models.fusion",
    "cir.models.oti",
    "cir.models.patches",
    "cir.models.text_tower",
    "cir.prompts",
    "cir.replies",
    "cir.rewording",
    "cir.text",
)
# They name methods, hold what these are made of or said before, and grow with every one; or they are no part of any method.
CARRYING = (
    "cir.composers.averaging",  # of several texts: whoever asks several counts it
    "cir.composers.caption_memory",
    "cir.composers.ingredients",
    "cir.composers.method_card",
    "cir.composers.registry",
)
# What no method imports, though its queries go through it: edits in other words, words found by descent, the text tower.
FOR_ALL = ("cir.rewording", "cir.models.oti", "cir.models.text_tower")


def method_code(name: str) -> str:
    """A digest of the code that composes queries with the method of this name; of all that composes for one that is not in the list."""
    return code_digest(*(_files_of(name)))


@cache
def _files_of(name: str) -> tuple[str, ...]:
    cards = cards_of([name]) or cards_of()
    roots = {module for card in cards for module in (card.module, card.build.__module__, *_networks(card))}
    return tuple(modules_reached((*FOR_ALL, *sorted(roots)), _counts))


def _networks(card: MethodCard) -> Iterator[str]:
    """Where the network of a supervised method is that is not the method's own module: one file a recipe, as a rule."""
    for need in card.needs:
        kind, _, recipe = need.partition(" ")
        if kind == "network":
            yield f"cir.models.fusion.{recipe.replace('-', '_')}"


def _counts(module: str) -> bool:
    return _is_in(module, COMPOSING) and not _is_in(module, CARRYING)


def _is_in(module: str, parts: Iterable[str]) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in parts)
