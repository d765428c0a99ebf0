"""The words of one order -> what they name, and the same words with stand-ins for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from cir.phrasebook.book import BEFORE, DEFINITE, IT, MANY, STAND_INS, book_words, nouns, read_book, telling
from cir.phrasebook.orders import Said, Thing

ALIKE_THING = 0.6  # the least cosine of another word for a thing with the word that is taken for it


FORMER = "~"  # marks a number that was before: "two instead of one~"
_OF_FORMER = frozenset(["not", "than", "from", "was", "were", "had", "of", "other"])  # stand before it
_NEEDS = frozenset(["need", "want", "needs", "wants"])
_MORE = frozenset(["more", "fewer", "less", "extra", "additional"])
_TO = frozenset(["to", "into", "but"])  # stand before what is wanted
_JOINS = frozenset([",", ";", ".", "and", "with", "plus"])
_NEW = frozenset(["a", "an", "another"])  # articles of a thing that is not known yet
_ORDINALS = frozenset(["second", "third"])  # of some that are there
_IT_IS = {"it's": ("it", "is"), "they're": ("they", "are")}
_ONLY = frozenset(["just", "only", "merely", "single"])


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
        typed = " ".join(tokens).replace(FORMER, "")
        tokens = _without_s(tokens)
        tokens, last = self._with_it(tokens, last)
        things: list[Thing] = []
        words: list[str | tuple[str, Thing]] = []  # those that name nothing, and (article, thing)
        at = 0
        while at < len(tokens):
            found = self._thing_at(tokens, at, last if not things else None)
            if found is None and tokens[at] in IT and last is not None and not things:
                found = last, at + 1, "the"
            if found is None:
                described = tokens[at] == "one" and tokens[max(at - 1, 0)] in {
                    *self._book.colours,
                    *self._book.sizes,
                }
                words.append("ones" if described else tokens[at])  # "a red one" is no number
                at += 1
                continue
            thing, end, article = found
            words += [token for token in tokens[at:end] if token.endswith(FORMER)]
            things.append(thing)
            at = end
            words.append((article, thing))
        return self._with_stand_ins(typed, words, things)

    def _with_it(self, tokens: Sequence[str], last: Thing | None) -> tuple[Sequence[str], Thing | None]:
        """The words, "it's" as two, and what "it" is: no thing where they name one, or begin to tell a time or place: "it is getting dark"."""
        if last is None or any(self._thing_at(tokens, i, None) for i in range(len(tokens))):
            return tokens, None
        begins = "".join(tokens[:1])
        if (begins in _IT_IS or begins in IT) and any(token in telling() for token in tokens):
            return tokens, None
        return [*_IT_IS.get(begins, tokens[:1]), *tokens[1:]], last

    def _with_stand_ins(
        self, typed: str, words: Sequence[str | tuple[str, Thing]], things: Sequence[Thing]
    ) -> Said:
        """`typed`: its words as they are; `words`: those that name nothing, and (article, thing) for those that name one."""
        book = self._book
        apart = tuple(word for word in words if isinstance(word, str))
        numbers = [book.numbers[word] for word in apart if word in book.numbers]
        colours = [book.colours[word] for word in apart if word in book.colours]
        counts = [thing.number for thing in things if thing.number]
        of_things = [thing.colour for thing in reversed(things)]
        loose = {"number": numbers and not counts, "colour": colours, "size": set(apart) & set(book.sizes)}
        sizes = [
            book.sizes[word]
            for before, word in pairwise(["", *apart])
            if word in book.sizes and before != "too"
        ]
        texts = {"typed": typed, **self._texts(words, counted=bool(counts))}
        return Said(
            texts,
            tuple(things),
            next(iter([*counts, *numbers]), None),
            next((colour for colour in (*reversed(colours), *of_things) if colour), ""),
            frozenset(what for what, found in loose.items() if found),
            apart,
            frozenset(size for size in (*(thing.size for thing in things), *sizes) if size),
        )

    def _texts(self, words: Sequence[str | tuple[str, Thing]], *, counted: bool) -> dict[str, str]:
        """The forms of `Said.texts` with stand-ins. `counted`: whether a thing has a number; then others are those that it had before."""
        forms: dict[str, list[str]] = {"bare": [], "counted": [], "coloured": [], "sized": []}
        numbers = chain([] if counted else ["two"], repeat("one"))
        stand_ins = chain(STAND_INS, repeat(STAND_INS[-1]))
        for word in words:
            if isinstance(word, str):
                said = self._stand_in(word, numbers)
                for form in forms.values():
                    form.append(said)
                continue
            article, thing = word
            single, plural = next(stand_ins)
            many = ["two", plural] if thing.number else _phrase(article, plural if thing.plural else single)
            forms["bare"] += _phrase(article or ("a" if thing.number else ""), single)
            forms["counted"] += many
            forms["coloured"] += _phrase(article, "red" if thing.colour else "", single)
            forms["sized"] += _phrase(article, thing.size, single)
        return {name: " ".join(form).replace(" 's", "'s") for name, form in forms.items()}

    def _stand_in(self, word: str, numbers: Iterator[str]) -> str:
        """For a number or a colour that is said apart from a thing; a word for a size in plain."""
        if word in self._book.colours:
            return "red"
        if word.endswith(FORMER):
            return "one"
        return next(numbers) if word in self._book.numbers else self._book.sizes.get(word, word)

    def _thing_at(self, tokens: Sequence[str], at: int, last: Thing | None) -> tuple[Thing, int, str] | None:
        """(thing, where its words end, its article) of the words that begin there; None where none is named.

        `last`: what "a huge one" is one of.
        """
        start, article = at, ""
        while at < len(tokens) and tokens[at] in BEFORE:
            article, at = tokens[at], at + 1
        number, size, colour, several, of_known = None, "", "", False, False
        while at < len(tokens):
            word = tokens[at]
            if word.endswith(FORMER):
                several, at = several or self._book.numbers[word.removesuffix(FORMER)] > 1, at + 1
            elif word in self._book.numbers:
                number, of_known = number or self._book.numbers[word], of_known or word in _ORDINALS
                at += 2 if tokens[at + 1 : at + 2] == ["of"] else 1
            elif word in self._book.sizes:
                size, at = self._book.sizes[word], at + 1
            elif word in self._book.colours:
                colour, at = self._book.colours[word], at + 1
            elif word in BEFORE and at > start:
                of_known, at = of_known or word in DEFINITE, at + 1
            else:
                break
        if last is not None and (size or colour) and (number == 1 or tokens[at : at + 1] == ["ones"]):
            return (
                replace(last, number=None, size=size, colour=colour, definite=True),
                at + (number is None),
                article,
            )
        named = self._noun_at(tokens, at, sure=at > start)
        if named is None:
            return None
        noun, plural, end = named
        after = tokens[end : end + 2]
        if (
            not colour
            and (number or article in _NEW)
            and after[:1] == ["in"]
            and after[-1] in self._book.colours
        ):
            colour, end = self._book.colours[after[-1]], end + 2  # "a dog in red" is a red dog
        many = (plural or several) and number is None
        return Thing(noun, many, number, size, colour, article in DEFINITE, of_known), end, article

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
    article = "the" if article in MANY else article
    if article in ("a", "an"):
        article = "an" if found[0][0] in "aeiou" else "a"
    return [article, *found] if article else found


def numbered(tokens: Sequence[str], numbers: Mapping[str, int]) -> list[str]:
    """The words of an edit, a number marked that was before, or only tells how many more or fewer.

    "two instead of one", "not one but two", "from one to two", "one of the three": those that certain words stand before or
    after are not wanted. Where all are such, the first is: "no fewer than two".
    """
    places = [i for i, token in enumerate(tokens) if token in numbers]
    changes = {i for i in places if tokens[i + 1 : i + 2] and tokens[i + 1] in _MORE}
    former = {i for i in places if i not in changes and _is_former(tokens, i)}
    for before, i in pairwise(places):
        clause = tokens[before + 1 : i]
        if clause and clause[-1] in _TO and not _JOINS & {*clause}:
            former.add(before)
    if len(former) == len(places) > 0 and tokens[max(places[0] - 1, 0)] != "not":
        former.remove(places[0])
    return [f"{token}{FORMER}" if i in former | changes else token for i, token in enumerate(tokens)]


def _is_former(tokens: Sequence[str], at: int) -> bool:
    """Whether a number is one that was before: by the words before it and its articles, or one soon after it."""
    before = at - 1
    while before >= 0 and (tokens[before] in BEFORE or tokens[before] in _ONLY):
        before -= 1
    if "enough" in tokens[at + 1 : at + 5] or tokens[max(before - 2, 0) : before] == ["used", "to"]:
        return True
    if (
        before
        and tokens[before] in _NEEDS
        and (tokens[before - 1] == "not" or tokens[before - 1].endswith("n't"))
    ):
        return True
    return before >= 0 and tokens[before] in _OF_FORMER and tokens[before - 1 : before] != ["why"]


def _without_s(tokens: Sequence[str]) -> list[str]:
    """The words, a possessive's "'s" as a word of its own where a thing's name stands before it."""
    found: list[str] = []
    for token in tokens:
        stem = token.removesuffix("'s")
        found += [stem, "'s"] if stem != token and stem in nouns() else [token]
    return found
