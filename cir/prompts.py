"""Every prompt and template, one function each, named by paper and section; and what is read out of answers.

Knows no model: a `Prompt` says which text is instruction, example and question, and a model's own chat
markup is put round them elsewhere. An answer is data: it is checked here and never obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cir.text import clean_text

MAX_CAPTION_CHARACTERS = 200
MAX_OBJECTS = 5
MAX_OBJECT_CHARACTERS, MAX_OBJECT_WORDS = 40, 6
MAX_QUESTION_CHARACTERS = 1500  # fifteen captions in one question; an edit is cut long before

Example = tuple[str, str]  # a question and its answer


class Prompt(str):
    """A prompt that still knows its parts: instruction and examples (shared by a kind of prompt), question.

    As a string it reads as a whole, for a model that takes plain text. A model with a KV cache evaluates
    `prefix` once for all prompts of a kind; only `question` differs.

    Args:
        instruction: what is to be done.
        examples: questions with their answers.
        question: this call's.
        stop: text that ends the answer; "" for none.
    """

    instruction: str
    examples: tuple[Example, ...]
    question: str
    stop: str

    def __new__(
        cls, instruction: str, examples: Sequence[Example], question: str, stop: str = "\n"
    ) -> Prompt:
        prefix = "".join([f"{instruction}\n\n", *(f"{q}\n{a}\n\n" for q, a in examples)])
        prompt = super().__new__(cls, f"{prefix}{question}\n")
        prompt.instruction, prompt.examples = instruction, tuple(examples)
        prompt.question, prompt.stop = question, stop
        return prompt

    @property
    def prefix(self) -> str:
        """What all prompts of this kind begin with: equal prefixes share their evaluation."""
        return self[: len(self) - len(self.question) - 1]


@dataclass(frozen=True, slots=True)
class _Sample:
    """A made-up caption and edit, with what both prompts should answer to them."""

    caption: str
    edit: str
    modified: str


# Everyday things, in the manner of captions. Each kind of edit is there; each changes one thing of several.
_SAMPLES = (
    _Sample(
        "a photo of two cats and a bowl on a wooden table",
        "change the cats to a dog",
        "a dog and a bowl on a wooden table",
    ),
    _Sample(
        "a woman, a pan and three big eggs near a wall in the morning light",
        "remove the woman",
        "a pan and three big eggs near a wall in the morning light",
    ),
    _Sample(
        "a boy and two bicycles in a park at dawn",
        "show this in a station",
        "a boy and two bicycles in a station at dawn",
    ),
    _Sample(
        "a huge green coat on the left and a scarf on the right on a bench",
        "make the coat brown and add three hats",
        "a huge brown coat on the left, a scarf on the right and three hats on a bench",
    ),
    _Sample(
        "a tram to the left of two tiny men on a hill while it rains",
        "the same at noon",
        "a tram to the left of two tiny men on a hill at noon",
    ),
    _Sample("in a small tent, two flutes and a drum", "no drum", "two flutes in a small tent"),
    _Sample(
        "an image of a spoon and a cup on the floor of a hall by candle light",
        "now in a boat and only the spoon",
        "a spoon in a boat by candle light",
    ),
    _Sample(
        "three plates in the yard when the day begins",
        "late in the day instead, two plates",
        "two plates in the yard late in the day",
    ),
)
_MODIFY = (
    "You are given the caption of a picture and an edit. Write the caption after the edit. "
    "Removed things are not named. A new place or time replaces the old one."
)
_ADD = (
    "You are given the caption of a picture and an edit. Name the objects that are in the picture only after "
    "the edit, with their number and colour."
)
# One example without objects, and the paper's cue at the end: with more of the former, or without the latter,
# a model of 1.5 billion parameters answers "none" to whatever is asked.
_ADDITIONS = (
    ("two cats and a bowl on a wooden table", "change the cats to a dog", "a dog"),
    ("a boy and two bicycles in a park at dawn", "has an onion as well, at noon instead", "an onion"),
    ("a tram to the left of two tiny men on a hill", "show this in a station", "nothing"),
    ("a woman, a pan and three big eggs near a wall", "a red jug instead of the pan", "a red jug"),
    ("a huge green coat on a bench", "make the coat brown and add three hats", "three hats"),
    ("in a small tent, a drum", "put a big flute next to it", "a big flute"),
)


def _added_question(caption: str, text: str) -> str:
    return f"{_question(caption, text)}\nObjects most likely added:"


def cvsi_modified_caption(caption: str, text: str) -> Prompt:
    """p_m: a caption of the reference image and the modification text -> the caption of the target image.

    Source: CVSI, section III-C, Eq. 7, which takes the template of CIReVL: an instruction, blocks of "Image
    Content / Instruction / Edited Description", and the query's own block. The structure is kept, the words
    and examples are ours, and short. The caption comes before the edit: the other way round, small models
    copy the caption more often than they change it.
    """
    return Prompt(
        _MODIFY, [(_question(s.caption, s.edit), s.modified) for s in _SAMPLES], _question(caption, text)
    )


def cvsi_joint_modified_caption(captions: Sequence[str], text: str) -> Prompt:
    """The released code's way: all captions, joined by commas, in one p_m, for one modified caption.

    Source: not in CVSI's paper, whose Eq. 7 asks once for each caption.
    """
    return cvsi_modified_caption(", ".join(dict.fromkeys(captions)), text)


def cvsi_added_objects(caption: str, text: str) -> Prompt:
    """p_a: the first caption and the modification text -> the objects most likely added.

    Source: CVSI, section III-C, Eq. 6 and Figure 3 (whose wording is not given in the text: ours).
    """
    samples = [(_added_question(seen, edit), added) for seen, edit, added in _ADDITIONS]
    return Prompt(_ADD, samples, _added_question(caption, text))


def cvsi_fine_grained(text: str, objects: Sequence[str]) -> tuple[str, str, str]:
    """F_G, "a photo of $ that T. And the photo should have O": (prefix, suffix, tail) round the pseudo-word.

    The last clause is dropped when O is empty (the released code lets "should have ." stand); it is the tail,
    which survives when T is too long for the text tower.
    Source: CVSI, section III-B, Eq. 2.
    """
    edit = text.strip().rstrip(".!? ")
    tail = f". And the photo should have {_listed(objects)}" if objects else ""
    return "a photo of", f"that {edit}" if edit else "", tail


def lincir_template(text: str) -> tuple[str, str]:
    """ "a photo of $ that T", as (prefix, suffix). Source: LinCIR, section 3; SEARLE's is the same."""
    edit = text.strip()
    return "a photo of", f"that {edit}" if edit else ""


def pic2word_template(text: str) -> tuple[str, str]:
    """ "a photo of *, T", as (prefix, suffix). Source: Pic2Word, section 3.3."""
    edit = text.strip()
    return "a photo of", f", {edit}" if edit else ""


_LABEL = re.compile(
    r"^[\s*#>_-]*(?:(?:the\s+)?(?:edited|modified|new|updated)?\s*(?:image\s+)?(?:description|caption)"
    r"|(?:the\s+)?objects?(?:\s+most\s+likely)?(?:\s+added)?|answer)\s*:[\s*_]*",
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


def parse_added_objects(answer: str) -> list[str]:
    """The objects in an answer to p_a: at most five noun phrases; "none" and whatever is unusable give []."""
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


def _question(caption: str, text: str) -> str:
    return f"Caption: {_one_line(caption)}\nEdit: {_one_line(text)}"


def _one_line(text: str) -> str:
    """A text that cannot look like another line of the prompt, nor overfill it."""
    return " ".join(text.split())[:MAX_QUESTION_CHARACTERS]


def _listed(objects: Sequence[str]) -> str:
    if len(objects) < 2:
        return "".join(objects)
    return f"{', '.join(objects[:-1])} and {objects[-1]}"


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


def _repeats(line: str) -> bool:
    """Whether a run of three words comes back more than twice: a model that is stuck."""
    words = line.lower().split()
    runs = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    return any(runs.count(run) > 2 for run in set(runs))
