"""An edit of several orders, carried out on a caption one order after the other.

A small language model that gets two orders at once ("remove the bus and then make it two dogs") carries out one of them, or writes
both behind the caption. Asked for one at a time, it does each. What is one order is told by common English words alone.
Source: in no paper; a method of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cir.composers.edited_captions import edited_caption
from cir.models.protocols import LanguageModel

MOST_ORDERS = 4  # each costs a question; a longer edit is a description, and stays whole
_JOINS = re.compile(
    r"(\s*(?:[,;]|\.(?=\s))(?:\s*(?:and|then|also)\b)*\s*|(?:\s+(?:and|then))+(?:\s+also)?\s+)", re.I
)
_BEGINS = re.compile(
    r"(?:add|bring|change|color|colour|convert|delete|drop|erase|exchange|get|give|have|has|include|insert|keep|let|lose|make|move|"
    r"paint|place|put|remove|replace|set|show|substitute|swap|switch|take|transform|turn|use)s?\b|"
    r"(?:after|at|before|by|during|in|inside|on|outside|under|with|without)\b|(?:no|now|only|the same|there)\b",
    re.I,
)
_SAYS_SO = re.compile(
    r"\S\s+(?:is|are|was|were|be|becomes?|should|could|must|turns?|has|have|instead|rather|too|as well|gone|in place of)\b",
    re.I,
)
_SPEAKS_OF_ANOTHER = re.compile(r"\b(?:they|them|their|theirs|its|both|each)\b", re.I)


def orders_in(text: str) -> list[str]:
    """The orders of an edit in their sequence; the text as it is where it is one, or more than `MOST_ORDERS`.

    What stands between two joins and is no order by itself belongs to the one before it: "add a dog, a cat and a bird" is one.
    """
    pieces = _JOINS.split(text.strip())
    found = [pieces[0]]
    for join, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if _is_order(found[-1]) and _is_order(piece) and not _SPEAKS_OF_ANOTHER.search(piece):
            found.append(piece)
        else:
            found[-1] += join + piece
    return found if len(found) <= MOST_ORDERS else [text]


def _is_order(piece: str) -> bool:
    return bool(_BEGINS.match(piece) or _SAYS_SO.search(piece))


def described_in_steps(
    model: LanguageModel, caption: str, orders: Sequence[str], note: Callable[[str], None]
) -> str:
    """The caption after the edit, with the answer to each order as the caption of the next.

    An order that the model does not carry out stands behind the last answer, as `edited_caption` puts one there: behind the caption
    of the next question it would be read once more.

    Raises:
        LanguageModelFailed: no answer in time.
    """
    undone = []
    for order in orders:
        described = edited_caption(model, [caption], order, note)
        caption = described.removesuffix(f", {order}")
        if caption != described:
            undone.append(order)
    return ", ".join([caption, *undone])
