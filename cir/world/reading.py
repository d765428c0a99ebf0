"""What a text says of the world: which nouns it names, and which background. For measuring captioners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from cir.world.vocabulary import BACKGROUNDS, load_nouns


@lru_cache(maxsize=1)
def _noun_pattern() -> tuple[re.Pattern[str], Mapping[str, str]]:
    words = {
        word.lower(): noun.name for noun in load_nouns().values() for names in noun.names for word in names
    }
    longest_first = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"\b(?:{longest_first})\b"), words


@lru_cache(maxsize=1)
def _place_pattern() -> re.Pattern[str]:
    phrases = sorted((p for group in BACKGROUNDS.values() for p in group), key=len, reverse=True)
    return re.compile("|".join(re.escape(phrase) for phrase in phrases))


def nouns_in(text: str) -> set[str]:
    """Canonical nouns that a text names, by any of their names. "Among the trees" is a place, not trees."""
    pattern, words = _noun_pattern()
    said = _place_pattern().sub(" ", text.lower())
    return {words[found] for found in pattern.findall(said)}


def background_in(text: str) -> str | None:
    """The background that a text names by one of its phrases; None where it names none."""
    said = text.lower()
    for background, phrases in BACKGROUNDS.items():
        if any(phrase in said for phrase in sorted(phrases, key=len, reverse=True)):
            return background
    return None
