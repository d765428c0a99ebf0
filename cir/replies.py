"""What is read out of a language model's answers. An answer is data: it is checked here and never obeyed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cir.text import clean_text

MAX_CAPTION_CHARACTERS = 200
MAX_OBJECTS = 5
MAX_OBJECT_CHARACTERS, MAX_OBJECT_WORDS = 40, 6
MAX_QUERY_TEXT_CHARACTERS = 160

_LABEL = re.compile(
    r"^[\s*#>_-]*(?:(?:the\s+)?(?:edited|modified|new|updated)?\s*(?:image\s+)?(?:description|caption)"
    r"|(?:the\s+)?objects?(?:\s+most\s+likely)?(?:\s+(?:added|removed|taken\s+away))?|answer)\s*:[\s*_]*",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<[^>]*>|</|```|\]\(|!\[|<\||\|>|\[/?INST\]|&#?\w+;", re.IGNORECASE)
_ADDRESS = re.compile(
    r"\w+://|\bwww\.|\bjavascript:|\bdata:|(?:^|\s)~?/\w|\b[a-z]:\\|\\\\|\.\./|[{}\\]", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"^(?:i['’]?m sorry|sorry|i can(?:no|['’])t|i am (?:sorry|unable)|as an ai|i do(?: no|n['’])t)\b", re.I
)
_NOTHING = re.compile(r"^(?:(?:none|nothing|n/?a|no|not|without)\b|empty$)", re.IGNORECASE)
_QUOTES = "\"'`*_“”‘’«» \t"
_CHATTER = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)\b[\s,.!:]*)?(?:here\s*(?:is|['’]s)\s+)?(?:the\s+|an?\s+)?"
    r"(?:(?:short(?:est)?|possible|edit(?:ing)?|query)\s+)*"
    r"(?:instructions?|text|difference)?(?:\s+(?:is|would be|could be|should be))?\s*:[\s*_]*",
    re.IGNORECASE,
)
_INSTRUCTION_IS = re.compile(
    r"^(?:sure|certainly|of course|okay|ok)\b[\s,.!:]+|^the instruction (?:is|should be|would be)(?: to)?\s+",
    re.IGNORECASE,
)
_GIVEN_SENTENCE = re.compile(r"^(?:the\s+)?(?:source|target)\s+(?:sentence|picture)\s*:", re.IGNORECASE)


def parse_modified_caption(answer: str) -> str | None:
    """The caption in an answer to p_m, or None when there is none that can be used.

    The first line; its label ("Edited Description:") and quotes are taken off, later colons are kept
    (CIReVL's parser cuts there). Markup, addresses, paths, refusals and endless repetition make it unusable.

    Args:
        answer: whatever the model said.

    Returns:
        At most 200 characters, on one line.
    """
    line = _first_line(answer)
    if line is None or _REFUSAL.match(line) or len(re.findall(r"[^\W\d_]", line)) < 3:
        return None
    if len(line) > MAX_CAPTION_CHARACTERS:
        line, end, _ = line.partition(". ")
        if not end or len(line) > MAX_CAPTION_CHARACTERS:
            return None
    return None if _repeats(line) else line.rstrip(". ")


def parse_objects(answer: str) -> list[str]:
    """The objects in an answer to p_a, or to its mirror: at most five noun phrases; "none" and whatever is unusable give []."""
    line = _first_line(answer)
    if line is None or _NOTHING.match(line) or _REFUSAL.match(line):
        return []
    found: dict[str, str] = {}
    for piece in re.split(r"\s*[,;/]\s*(?:and\s+)?|\s+and\s+|\s+&\s+", line):
        phrase = piece.strip(_QUOTES + ".:!?()[]")
        words = phrase.split()
        usable = 0 < len(words) <= MAX_OBJECT_WORDS and len(phrase) <= MAX_OBJECT_CHARACTERS
        if usable and not _NOTHING.match(phrase) and re.search(r"[^\W\d_]{2}", phrase):
            found.setdefault(phrase.lower(), phrase)
    return list(found.values())[:MAX_OBJECTS]


def parse_translation(answer: str) -> str | None:
    """The English text in an answer to `translation`, on one line; None when there is none that can be used."""
    line = _first_line(answer)
    if line is None or _REFUSAL.match(line) or _repeats(line) or len(line) > MAX_CAPTION_CHARACTERS:
        return None
    text = re.sub(r"^English\s*:\s*", "", line, flags=re.I).strip(_QUOTES)
    return text if re.search(r"[A-Za-z]{2}", text) else None


def parse_plain_orders(answer: str) -> str | None:
    """The orders in an answer to `plain_orders`, on one line; None when there are none that can be used."""
    line = _first_line(answer)
    if line is None or _REFUSAL.match(line) or _repeats(line, 4) or len(line) > MAX_QUERY_TEXT_CHARACTERS:
        return None
    text = re.sub(r"^Orders?\s*:\s*", "", line, flags=re.I).strip(_QUOTES).rstrip(". ")
    return text if re.search(r"[A-Za-z]{2}", text) else None


def parse_query_text(answer: str, captions: Sequence[str] = ()) -> str | None:
    """The instruction in an answer to `hycir_query_text`, or None when there is none that can be used.

    The first line that says something: a label ("Instruction:"), an opening ("Sure, here is ..."), and quotes
    are taken off; a line that repeats what was given ("Source sentence: ...") is passed over. Markup,
    addresses, refusals, endless repetition, an answer that is one of the captions, or one that is too long to
    be an instruction make it unusable.

    Args:
        answer: whatever the model said.
        captions: what it was asked about.

    Returns:
        At most 160 characters, on one line.
    """
    echoes = {_plain(caption) for caption in captions}
    for raw in answer[: 8 * MAX_CAPTION_CHARACTERS].splitlines():
        line = _first_line(raw)
        if line is None:
            if raw.strip(_QUOTES):
                return None
            continue
        line = _INSTRUCTION_IS.sub("", _CHATTER.sub("", line, count=1), count=1).strip(_QUOTES)
        if not line or line.endswith(":") or _GIVEN_SENTENCE.match(line):
            continue
        if _REFUSAL.match(line) or len(re.findall(r"[^\W\d_]", line)) < 3 or _plain(line) in echoes:
            return None
        # "a cup instead of the bowl, a hat instead of the coat, ..." is no repetition: longer runs are.
        if _repeats(line, 4) or len(line) > MAX_QUERY_TEXT_CHARACTERS:
            return None
        return line.rstrip(". ")
    return None


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(_QUOTES + ".")


def _first_line(answer: str) -> str | None:
    """The first line with words, without label, bullet and quotes; None if it has markup or an address."""
    for raw in answer[: 8 * MAX_CAPTION_CHARACTERS].splitlines():
        line = _LABEL.sub("", re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", raw), count=1)
        if _MARKUP.search(line) or _ADDRESS.search(line):
            return None
        line = clean_text(line)[0].strip(_QUOTES)
        if line:
            return line
    return None


def _repeats(line: str, length: int = 3) -> bool:
    """Whether a run of `length` words comes back more than twice: a model that is stuck."""
    words = line.lower().split()
    runs = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    return any(runs.count(run) > 2 for run in set(runs))
