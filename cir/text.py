"""The one place where what a person typed is cleaned."""

from __future__ import annotations

import unicodedata

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


_SAYS_LITTLE = frozenset(
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


def notes_on(text: str) -> list[str]:
    """What a person should know of a cleaned edit before its results: that it says little, or is not English."""
    notes = []
    words = ["".join(c for c in word if c.isalnum()) for word in text.lower().split()]
    if text and not any(word and word not in _SAYS_LITTLE for word in words):
        notes.append(
            "The edit has no word that says what should be different, so expect little of these results."
        )
    letters = [c for c in text if c.isalpha()]
    foreign = sum("LATIN" not in unicodedata.name(c, "") for c in letters)
    if letters and foreign / len(letters) > 0.3:
        notes.append(
            "The edit is searched for as it is. These models were taught English: other languages count for less."
        )
    return notes


def clean_text(text: object) -> tuple[str, list[str]]:
    """Normalise a typed text.

    NFKC; control and format characters (right-to-left overrides, zero widths, NUL) removed; white space
    folded to single spaces; chat markup broken up; cut at 500 characters.

    Args:
        text: what arrived, of any type. None counts as empty.

    Returns:
        The text, and notes for the person (what was cut).

    Raises:
        BadQuery: `text` is neither None nor a string.
    """
    if text is None:
        return "", []
    if not isinstance(text, str):
        raise BadQuery(
            f"The edit has to be text, not {type(text).__name__}.", 'Send a string, like "in the snow".'
        )
    notes = []
    # NFKC can lengthen a text up to eighteen-fold: cut first, generously, then again after.
    normal = unicodedata.normalize("NFKC", text[: 8 * MAX_CHARACTERS])
    kept = "".join(
        " " if c.isspace() else c for c in normal if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    for mark in _MARKUP:
        kept = kept.replace(mark, " ")
    clean = " ".join(kept.split())
    if len(clean) > MAX_CHARACTERS or len(text) > 8 * MAX_CHARACTERS:
        clean = clean[:MAX_CHARACTERS].rstrip()
        notes.append(f"The edit was cut at {MAX_CHARACTERS} characters.")
    return clean, notes
