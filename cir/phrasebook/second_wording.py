"""A plain order in a second way that the models were taught: what both are composed into is averaged.

Source: prompt ensembling in feature space, Radford et al. 2021 (CLIP), section 3.1.4. What it brings is in docs/languages.md, "Other
words"; `python -m cir tables paraphrases` measures it.
"""

from __future__ import annotations

import re

AND = " and "  # between the orders of an edit, as the phrasebook writes them
# (an order, in the phrasebook's words; the same in others), the first that fits
_SECOND = tuple(
    (re.compile(order), second)
    for order, second in (
        (r"replace (the .+?) with (.+)", r"\2 instead of \1"),
        (r"add (.+)", r"with \1 too"),
        (r"remove (.+)", r"without \1"),
        (r"make it (one) (.+)", r"there is \1 \2 now"),
        (r"make it (two|three) (.+)", r"there are \1 \2 now"),
        (r"make (the .+) bigger", r"make \1 big"),
        (r"make (the .+) smaller", r"make \1 small"),
        (r"make (the .+) (\w+)", r"paint \1 \2"),
        (r"the same but (.+)", r"move it \1"),
        (r"the same (.+)", r"make it \1"),
    )
)


def both_wordings(orders: str) -> tuple[str, ...]:
    """Plain orders, and the same in a second wording; only the first where there is none.

    Args:
        orders: from `Phrasebook.read`: "remove the dog and the same at night".
    """
    second = AND.join(_second(order) for order in orders.split(AND))
    return tuple(dict.fromkeys((orders, second)))


def _second(order: str) -> str:
    for pattern, other in _SECOND:
        if found := pattern.fullmatch(order):
            return found.expand(other)
    return order
