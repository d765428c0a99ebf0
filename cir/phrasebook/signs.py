"""Signs that people type for words: "hat -> cap", "+ dog", "beach @ night", "2x dog"."""

from __future__ import annotations

import re

_SIGNS = tuple(
    (re.compile(sign), words)
    for sign, words in (
        (r"[’‘`´]", "'"),
        (r"\b(?:[x×] ?(\d)|(\d) ?[x×])(?!\w)", r" \1\2 "),  # "x2", "2 x"
        (r"[-=~]+>|[→⇒➔➜➝➡]", " to "),
        (r"(?<!\w)w/o(?!\w)", " without "),
        (r"(?<!\w)w/", " with "),
        (r"(?:^|(?<=[\s,;]))[-−](?=[a-z])", " minus "),  # a list has a space behind the dash
        (r"\+", " plus "),
        (r"@", " at "),
        (r"=", " is "),
        (r"(?:[!?/|\n–—…]|(?<=\s)-(?=\s)|\.\.)[,;.:!?\s]*", " , "),  # marks at which an order may end
    )
)


def spelled_out(text: str) -> str:
    """A text in small letters, signs as the words that they stand for."""
    text = text.lower()
    for sign, words in _SIGNS:
        text = sign.sub(words, text)
    return text
