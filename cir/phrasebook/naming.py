"""The words of one order -> what they name, and the same words with stand-ins for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cir.phrasebook.book import BEFORE, IT, STAND_INS, book_words, nouns, read_book
from cir.phrasebook.orders import Said, Thing

ALIKE_THING = 0.6  # the least cosine of another word for a thing with the word that is taken for it


class Naming:
    """Finds things in words.

    Args:
        likeness: a word -> its cosines (N,) with all names of things, `nouns`.
    """

    def __init__(self, likeness: Callable[[str], NDArray[np.float32]]) -> None:
        self._likeness, self._book = likeness, read_book()

    def said(self, tokens: Sequence[str], last: Thing | None) -> Said:
        """What an order says.

        Args:
            tokens: its words.
            last: what "it" is, where that can be a thing.
        """
        things: list[Thing] = []
        forms: dict[str, list[str]] = {"bare": [], "counted": [], "coloured": [], "sized": []}
        number, colour, of_things, at = None, "", "", 0
        if last is not None and any(self._thing_at(tokens, i) for i in range(len(tokens))):
            last = None
        while at < len(tokens):
            found = self._thing_at(tokens, at)
            if found is None and tokens[at] in IT and last is not None and not things:
                found = last, at + 1, "the"
            if found is None:
                word = tokens[at]
                number = number or self._book.numbers.get(word)
                colour = self._book.colours.get(word, colour)
                for form in forms.values():
                    form.append(self._stand_in(word))
                at += 1
                continue
            thing, at, article = found
            single, plural = STAND_INS[min(len(things), len(STAND_INS) - 1)]
            forms["bare"] += _phrase(article, single)
            forms["counted"] += ["two", plural] if thing.number else _phrase(article, single)
            forms["coloured"] += _phrase(article, "red" if thing.colour else "", single)
            forms["sized"] += _phrase(article, thing.size, single)
            things.append(thing)
            number, of_things = thing.number or number, thing.colour or of_things
        texts = {name: " ".join(form) for name, form in {"typed": tokens, **forms}.items()}
        return Said(texts, tuple(things), number, colour or of_things)

    def _stand_in(self, word: str) -> str:
        """For a number or a colour that is said apart from a thing; a word for a size in plain."""
        if word in self._book.colours:
            return "red"
        return "two" if word in self._book.numbers else self._book.sizes.get(word, word)

    def _thing_at(self, tokens: Sequence[str], at: int) -> tuple[Thing, int, str] | None:
        """(thing, where its words end, its article) of the words that begin there; None where none is named."""
        start, article = at, ""
        while at < len(tokens) and tokens[at] in BEFORE:
            article, at = tokens[at], at + 1
        number, size, colour = None, "", ""
        while at < len(tokens):
            word = tokens[at]
            if word in self._book.numbers:
                number = self._book.numbers[word]
                at += 2 if tokens[at + 1 : at + 2] == ["of"] else 1
            elif word in self._book.sizes:
                size, at = self._book.sizes[word], at + 1
            elif word in self._book.colours:
                colour, at = self._book.colours[word], at + 1
            elif word in BEFORE and at > start:
                at += 1
            else:
                break
        named = self._noun_at(tokens, at, sure=at > start)
        if named is None:
            return None
        noun, plural, end = named
        many = plural and number is None
        return Thing(noun, many, number, size, colour), end, article

    def _noun_at(self, tokens: Sequence[str], at: int, *, sure: bool) -> tuple[str, bool, int] | None:
        """(noun, whether plural, end); another word for one counts where an article or an adjective stands before it."""
        for length in range(min(4, len(tokens) - at), 0, -1):
            if named := nouns().get(" ".join(tokens[at : at + length])):
                return *named, at + length
        other = sure and at < len(tokens) and tokens[at] not in book_words() and len(tokens[at]) > 2
        if other and (named := self._alike(tokens[at])):
            return *named, at + 1
        return None

    def _alike(self, word: str) -> tuple[str, bool] | None:
        cosines = self._likeness(word)
        best = int(cosines.argmax())
        return list(nouns().values())[best] if cosines[best] >= ALIKE_THING else None


def _phrase(article: str, *said: str) -> list[str]:
    """An article, with its n where one is wanted, and words, without those that are empty."""
    found = [word for word in said if word]
    if article in ("a", "an"):
        article = "an" if found[0][0] in "aeiou" else "a"
    return [article, *found] if article else found
