"""A plain order in a second way that the models were taught: what both are composed into is averaged.

Source: prompt ensembling in feature space, Radford et al. 2021 (CLIP), section 3.1.4. What it brings is in docs/languages.md, "Other
words"; `python -m cir tables paraphrases` measures it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from cir.world.vocabulary import BACKGROUNDS, COLOURS, COUNT_WORDS, TIMES, load_nouns

AND = " and "  # between the orders of an edit, as the phrasebook writes them


def both_wordings(orders: str) -> tuple[str, ...]:
    """Plain orders, and the same in a second wording; only the first where one of them is no order of the phrasebook, or has no second.

    Args:
        orders: from `Phrasebook.read`: "remove the dog and the same at night". A language model's may be of other things.
    """
    seconds = [_second(order) for order in orders.split(AND)]
    return (orders, AND.join(seconds)) if all(seconds) else (orders,)


def _second(order: str) -> str:
    found = (pattern.fullmatch(order) for pattern in _seconds())
    return next(
        (one.expand(second) for one, second in zip(found, _seconds().values(), strict=True) if one), ""
    )


@cache
def _seconds() -> dict[re.Pattern[str], str]:
    """The orders of `cir.phrasebook.orders.KINDS` -> the same in others' words."""
    one, many = zip(*(noun.names[0] for noun in load_nouns().values()), strict=True)
    thing, colour = _any_of((*one, *many)), _any_of(COLOURS)
    several = _any_of(COUNT_WORDS[n] for n in COUNT_WORDS if n > 1)
    new = f"(?:(?:an?|{_any_of(COUNT_WORDS.values())}) )?(?:(?:big|small) )?(?:{colour} )?{thing}"
    place, time = (_any_of(phrases[0] for phrases in of.values()) for of in (BACKGROUNDS, TIMES))
    return {
        re.compile(order): second
        for order, second in (
            (f"replace (the {thing}) with ({new})", r"\2 instead of \1"),
            (f"add ({new})", r"with \1 too"),
            (f"remove (the {thing})", r"without \1"),
            (f"make it (one {_any_of(one)})", r"there is \1 now"),
            (f"make it ({several} {_any_of(many)})", r"there are \1 now"),
            (f"make (the {thing}) bigger", r"make \1 big"),
            (f"make (the {thing}) smaller", r"make \1 small"),
            (f"make (the {thing}) ({colour})", r"paint \1 \2"),
            (f"the same but ({place})", r"move it \1"),
            (f"the same ({time})", r"make it \1"),
        )
    }


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})"
