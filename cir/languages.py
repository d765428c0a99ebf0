"""The language of a typed text, guessed without a network: so that a person can be told what these models make of it.

Edits are short, so the guess is made in favour of English: a text is taken for another language only where English is
improbable. The limits were chosen on 20 thousand English edits of CIRR, CIRCO, FashionIQ and the world benchmark and
on edits in eighteen languages of Latin script; docs/languages.md has what they are worth on others.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

# Those that are told apart, by what people call them. The more languages, the more often a short text is taken for one
# that it is not; so only those that many people write.
LANGUAGES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "tr": "Turkish", "sv": "Swedish", "da": "Danish", "no": "Norwegian",
    "cs": "Czech", "sk": "Slovak", "hu": "Hungarian", "fi": "Finnish", "ro": "Romanian", "ca": "Catalan",
    "hr": "Croatian", "id": "Indonesian", "vi": "Vietnamese", "ru": "Russian", "uk": "Ukrainian", "bg": "Bulgarian",
    "el": "Greek", "ar": "Arabic", "fa": "Persian", "he": "Hebrew", "ur": "Urdu", "hi": "Hindi",
    "bn": "Bengali", "ta": "Tamil", "te": "Telugu", "th": "Thai", "ko": "Korean", "ja": "Japanese", "zh": "Chinese",
    "ka": "Georgian", "hy": "Armenian",
}  # fmt: skip
UNKNOWN = "another language"
_OF_LETTERS = re.compile(r"[^\W\d_]{2}")  # single letters tell no language: "x x x", "2 x 3"
_FEW_WORDS = 2  # a name or a loanword has no more: "spaghetti carbonara", "Taj Mahal"
# Below this probability of English a text, or one of few words, is not English.
_ENGLISH, _ENGLISH_OF_FEW = 0.03, 0.002


def foreign_language(text: str) -> str:
    """The language of a text that is not English, by its name; "" for English, and where that cannot be ruled out."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return ""
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    if latin / len(letters) <= 0.7:
        return _likely(text)[0]
    if not _OF_LETTERS.search(text):
        return ""
    language, english = _likely(text)
    if sum(not c.isascii() for c in letters) == 1:  # a loanword in an English text: "a café in Paris"
        english = max(english, _likely(_without_accents(text))[1])
    limit = _ENGLISH if len(text.split()) > _FEW_WORDS else _ENGLISH_OF_FEW
    return language if english < limit else ""


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _likely(text: str) -> tuple[str, float]:
    """(the likeliest language but English, the probability of English)."""
    ranked = {str(code): float(value) for code, value in language_identifier().rank(text.lower())}
    best = max((code for code in ranked if code != "en"), key=lambda code: ranked[code])
    return LANGUAGES.get(best, UNKNOWN), ranked["en"]


@lru_cache(maxsize=1)
def language_identifier() -> Any:
    """What guesses. It is loaded once, which takes some seconds on a busy computer."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = {str(label) for label in identifier.labels}
    identifier.set_languages([code for code in LANGUAGES if code in known])
    return identifier
