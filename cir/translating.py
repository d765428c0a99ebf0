"""Edits in other languages or other words: put into plain English by the language model, or searched for as they were typed.

The models were taught English, those of the illustrated world a little of it alone (`cir.rewording`). What stands in quotation marks is searched for as it was typed: so is an edit that a
person wants to keep. Knows no page; a translation is data, which is shown and can be changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from cir.composers.averaging import mean_of
from cir.errors import LanguageModelFailed
from cir.languages import foreign_language
from cir.models.protocols import LanguageModel
from cir.phrasebook.second_wording import both_wordings
from cir.prompts import translation
from cir.replies import parse_translation
from cir.rewording import Rewording
from cir.types import ComposedQuery, Query

TRANSLATION, TYPED = "translation", "typed_text"
REWORDED = "reworded"
TRANSLATION_TOKENS = 64
NOT_READ = (  # with examples of every kind of order
    "The edit was not understood, so it is searched for as typed and counts for less. What these models were taught can be asked for like this: "
    "“remove the hat”, “add two dogs”, “replace the cat with a fox”, “make it three cars”, “make the car red”, “make the tree bigger”, "
    "“in the snow”, “at night”."
)
_QUOTES = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"), ("「", "」"))
Compose = Callable[[Query], Iterator[ComposedQuery]]


class Translator:
    """Puts edits into English.

    Args:
        model: None where there is none; edits are then searched for as they are typed.
        missing: why there is none and how to get it, for the person.
        rewording: puts English edits into plainer words, for models that need it.
    """

    def __init__(
        self,
        model: LanguageModel | None = None,
        missing: str = "",
        rewording: Rewording | None = None,
    ) -> None:
        self._model, self._missing, self._rewording = model, missing, rewording

    def prepare(self) -> None:
        """Load what the first edit in other words would wait for."""
        if self._rewording is not None:
            self._rewording.prepare()

    def compose(self, query: Query, compose: Compose, *, twice: bool = False) -> Iterator[ComposedQuery]:
        """Compose a query whose edit may be in another language or in other words; the last stages are of what it was put into.

        Args:
            query: as it was typed.
            compose: a method.
            twice: whether an edit that was put into plain words is composed in two wordings of these.
        """
        typed = query.modification_text
        inside = without_quotes(typed)
        language = foreign_language(inside)
        if not language:
            yield from self._reworded(query, inside, compose, twice)
            return
        as_typed = replace(query, modification_text=inside)
        if inside != typed or self._model is None:
            note = f"{_seems(language)} and is searched for as typed: {_LESS[0].lower()}{_LESS[1:]}"
            missing = self._missing if inside == typed else ""
            for one in compose(as_typed):
                yield _noted(one, f"{note} {missing}" if missing and missing not in one.notes else note)
            return
        first = next(compose(as_typed))
        yield replace(first, pending=f"translating the edit from {language}")
        since = time.perf_counter()
        english, problem = self._translate(typed)
        timings = {TRANSLATION: 1000.0 * (time.perf_counter() - since)}
        if problem:
            stages, trace = compose(as_typed), {}
            note = f"{_seems(language)}. {_LESS} {problem}"  # which may end in a command
        else:
            stages = compose(replace(query, modification_text=english))
            trace = {TRANSLATION: (english,), TYPED: (typed,)}
            note = f"{_seems(language)}; it is searched for in English: “{english}”."
        for one in stages:
            whole = replace(one, trace={**trace, **one.trace}, timings_ms={**timings, **one.timings_ms})
            yield _noted(whole, note)

    def _reworded(self, query: Query, inside: str, compose: Compose, twice: bool) -> Iterator[ComposedQuery]:
        typed = query.modification_text
        if self._rewording is not None and inside != typed:
            query = replace(query, modification_text=inside)
        if self._rewording is None or inside != typed or not self._rewording.helps(query):
            yield from compose(query)
            return
        since, note = time.perf_counter(), ""
        plain = self._rewording.at_once(typed, query.reference_image)
        if not plain and self._rewording.asks(typed):
            yield replace(next(compose(query)), pending="putting the edit into plainer words")
            since = time.perf_counter()  # who shows the first stage takes time of its own
            try:
                plain = self._rewording.asked(typed)
            except LanguageModelFailed as error:
                note = f"The edit could not be put into plainer words: {error}"
        if not plain and self._rewording.is_alone:
            note = NOT_READ
        plain = plain or typed
        timings = {REWORDED: 1000.0 * (time.perf_counter() - since)}
        wordings = both_wordings(plain) if twice and plain != typed else (plain,)
        trace = {REWORDED: wordings, TYPED: (typed,)} if plain != typed else {}
        by_turns = [compose(replace(query, modification_text=one)) for one in wordings]
        for one in map(mean_of, zip(*by_turns, strict=True)):
            whole = replace(one, trace={**trace, **one.trace}, timings_ms={**timings, **one.timings_ms})
            yield _noted(whole, note) if note and note not in one.notes else whole

    def plain(self, query: Query, *, twice: bool = False) -> tuple[str, ...]:
        """The edit as the last stages of `compose` read it where it is in English, in its wordings; as typed where nobody answers."""
        typed = query.modification_text
        if self._rewording is None or without_quotes(typed) != typed or not self._rewording.helps(query):
            return (typed,)
        try:
            plain = self._rewording(typed, query.reference_image)
        except LanguageModelFailed:
            return (typed,)
        return both_wordings(plain) if twice and plain != typed else (plain,)

    def _translate(self, text: str) -> tuple[str, str]:
        """(the edit in English, ""), or ("", why there is none)."""
        assert self._model is not None
        try:
            found = parse_translation(self._model.complete(translation(text), max_tokens=TRANSLATION_TOKENS))
        except LanguageModelFailed as error:
            return "", f"It could not be translated: {error}"
        if found is None or found.casefold() == text.casefold() or foreign_language(found):
            return "", "The language model's translation is unusable, so it is searched for as typed."
        return found, ""


_LESS = (
    "These models were taught English, so it counts for less. Write it in English to be understood better."
)


def without_quotes(text: str) -> str:
    """What stands inside a text that is in quotation marks as a whole; the text itself otherwise."""
    for begin, end in _QUOTES:
        if len(text) > 2 and text.startswith(begin) and text.endswith(end):
            return text[1:-1].strip()
    return text


def _seems(language: str) -> str:
    return f"The edit seems to be in {language}"


def _noted(composed: ComposedQuery, note: str) -> ComposedQuery:
    return replace(composed, notes=(note, *composed.notes))
