"""Slips of the keyboard: a word that is none, and one slip away from a word of the book, becomes that."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from cir.phrasebook.book import TOKEN, all_words

EXCHANGED, LEFT_OUT, LEFT_OUT_OF_TWO = 0.8, 0.9, 0.7  # what a slip counts; any other counts 1
_COMMON = ("the", "and", "with", "that", "this", "from", "there", "have", "for", "two", "one")


def corrected(text: str, is_word: Callable[[str], bool]) -> list[str]:
    """The words of a text in small letters, slips put right where a word of the book is near.

    Args:
        text: as it was typed.
        is_word: whether something is an English word, and so no slip.
    """
    return [_correct(token, is_word) for token in TOKEN.findall(text.lower().replace("’", "'"))]


def _correct(token: str, is_word: Callable[[str], bool]) -> str:
    known = all_words()
    if token.endswith("'s"):
        return token if token in known else f"{_correct(token[:-2], is_word)}'s"
    if token in known or not token[0].isalpha() or len(token) < 3:
        return token
    for common in _COMMON:  # whose exchanged letters are often words, too
        if sorted(token) == sorted(common) and _slips(token, common) <= 1:
            return common
    return token if is_word(token) else _nearest(token)


@lru_cache(4096)
def _nearest(token: str) -> str:
    """The word that is fewest slips away, of those that begin alike if there are any; the token where all are far."""
    allowed = 1 if len(token) < 8 else 2
    counted = ((_slips(token, word, allowed), word[0] != token[0], word) for word in all_words())
    near = [found for found in counted if found[0] <= allowed]
    return min(near)[2] if near else token


def _slips(a: str, b: str, most: float = 2) -> float:
    """Letters left out, put in, changed, or two exchanged, from what was typed to a word (optimal string alignment).

    Two exchanged, or one of a double letter left out, is the likeliest slip, one left out likelier than one put in.

    Returns:
        More than `most` for many.
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[float] = []
    row = [LEFT_OUT * j for j in range(len(b) + 1)]
    for i, x in enumerate(a, start=1):
        now = [float(i)]
        for j, y in enumerate(b, start=1):
            left_out = LEFT_OUT_OF_TWO if j > 1 and b[j - 2] == y else LEFT_OUT
            cost = min(row[j] + 1, now[j - 1] + left_out, row[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + EXCHANGED)
            now.append(cost)
        before, row = row, now
    return row[-1]
