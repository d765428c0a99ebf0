"""The one place where what a person typed is cleaned, and where a number meets its noun."""

from __future__ import annotations

import unicodedata

import regex

from cir.errors import BadQuery

MAX_CHARACTERS = 500
# Chat markup of the usual language models: broken up, so that no part of a typed text can change its role.
_MARKUP = (
    "<|",
    "|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "<s>",
    "</s>",
)


# What hides or steers a text and says nothing: the default ignorables of Unicode (zero-width space, bidirectional
# controls, tags), controls, surrogates, annotation marks. Unassigned code points are none of these: they may be newer
# than any table. Inside the scripts that are written with them, and inside emoji, joiners and tags do say something.
_SHAPED = (
    r"\p{Arabic}\p{Syriac}\p{Nko}\p{Mandaic}\p{Mongolian}\p{Devanagari}\p{Bengali}\p{Gurmukhi}"
    r"\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}"
    r"\p{Tibetan}\p{Thai}\p{Lao}\p{Balinese}\p{Javanese}\p{Sundanese}\p{Meetei_Mayek}\p{Grantha}"
    r"\p{Newa}\p{Chakma}\p{Tirhuta}"
)
_HIDDEN = regex.compile(
    r"(?:"
    rf"(?<=[{_SHAPED}])[\u200C\u200D]"
    r"|(?<=\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?)\u200D(?=\p{Extended_Pictographic})"
    r"|(?<=\U0001F3F4)[\U000E0030-\U000E0039\U000E0061-\U000E007A]{3,6}\U000E007F"  # a flag such as that of Wales
    r"|(?<=[\p{L}\p{N}\p{P}\p{S}])\p{Variation_Selector}"  # one belongs to what it follows, a row of them hides
    r")(*SKIP)(*FAIL)"
    r"|[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\uFFF9-\uFFFB\u2800]"
)

# Words that say little of a picture: alone they are no edit, and two texts that share only these share nothing.
LITTLE_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "be",
        "but",
        "by",
        "do",
        "for",
        "from",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "now",
        "of",
        "on",
        "or",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "this",
        "those",
        "to",
        "too",
        "was",
        "with",
        "same",
    ]
)


def counted(number: int, noun: str, plural: str = "") -> str:
    """ "1 picture", "1,234 pictures", "0 queries": a number with its noun as a sentence wants it.

    Args:
        number: how many.
        noun: for one of them.
        plural: for all other numbers, where that is not `noun` with an "s".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def notes_on(text: str) -> list[str]:
    """What a person should know of a cleaned edit before its results: that it says little."""
    notes = []
    words = ["".join(c for c in word if c.isalnum()) for word in text.lower().split()]
    if text and not any(word and word not in LITTLE_WORDS for word in words):
        notes.append(
            "The edit has no word that says what should be different, so expect little of these results."
        )
    return notes


def clean_text(text: object) -> tuple[str, list[str]]:
    """Normalise a typed text.

    NFKC; what hides or steers is taken out (right-to-left overrides, zero-width spaces, tags, NUL), but joiners stay
    where a script or an emoji is written with them; white space folded to single spaces; chat markup broken up; cut
    at 500 characters.

    Args:
        text: what arrived, of any type. None counts as empty.

    Returns:
        The text, and notes for the person: what was taken out, and what was cut.

    Raises:
        BadQuery: `text` is neither None nor a string.
    """
    if text is None:
        return "", []
    if not isinstance(text, str):
        raise BadQuery(
            f"The edit has to be text, not {type(text).__name__}.", 'Send a string, like "in the snow".'
        )
    # NFKC can lengthen a text up to eighteen-fold: cut first, generously, then again after.
    normal = unicodedata.normalize("NFKC", text[: 8 * MAX_CHARACTERS])
    shown, hidden = _HIDDEN.subn("", " ".join(normal.split()))
    shown = unicodedata.normalize("NFKC", shown)  # what something hidden kept apart comes together
    clean = shown
    for mark in _MARKUP:
        clean = clean.replace(mark, " ")
    notes = [_about_hidden(hidden)] if hidden else []
    if clean != shown:
        notes.append("Marks by which language models are steered were taken out of the edit.")
    clean = " ".join(clean.split())
    if len(clean) > MAX_CHARACTERS or len(text) > 8 * MAX_CHARACTERS:
        clean = clean[:MAX_CHARACTERS].rstrip()
        notes.append(f"The edit was cut at {MAX_CHARACTERS} characters.")
    clean = _HIDDEN.sub("", clean)  # a joiner that has lost its neighbour joins nothing
    if not clean and text.strip():
        notes.append("Nothing is left of the edit, so it does not count.")
    return clean, notes


def _about_hidden(count: int) -> str:
    what, was = ("characters", "were") if count > 1 else ("character", "was")
    return f"{count} {what} that cannot be seen {was} taken out of the edit."
