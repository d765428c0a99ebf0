"""Every prompt and template, one function each, named by paper and section; `replies.py` reads what is answered.

Knows no model: a `Prompt` says which text is instruction, example and question, and a model's own chat
markup is put round them elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
        """The whole text of a prompt, which begins with what all of its kind have in common."""
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


_REMOVE = (
    "You are given the caption of a picture and an edit. Name the objects that the edit takes away or replaces, "
    "also when the caption does not name them."
)
# Half of the removed objects are missing in the caption, as captioners miss them: with fewer such examples a model of 1.5 billion
# parameters answers "nothing" to those that matter.
_REMOVALS = (
    ("two cats and a bowl on a wooden table", "change the cats to a dog and then there are two dogs", "cats"),
    ("a woman and a pan near a wall", "take away the eggs", "eggs"),
    ("a boy and two bicycles in a park at dawn", "has an onion as well, at noon instead", "nothing"),
    ("a jug in the yard", "without the spoon", "spoon"),
    ("two tiny men in a park", "move it in a station", "nothing"),
    ("a woman and three big eggs near a wall", "the same at noon, swap the eggs for a red jug", "eggs"),
    ("a huge green coat on a bench", "make the coat brown and add three hats", "nothing"),
    ("a flute in a small tent", "make it two flutes", "nothing"),
    ("three cups on the floor", "a fork instead of the cups", "cups"),
    ("two plates in a small tent", "the drum is gone and now in a hall", "drum"),
)


def _removed_question(caption: str, text: str) -> str:
    return f"{_question(caption, text)}\nObjects taken away:"


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


def cvsi_removed_objects(caption: str, text: str) -> Prompt:
    """The mirror of p_a: the first caption and the modification text -> the objects that the edit most likely removes.

    Source: in no paper; the form is that of CVSI, section III-C, Eq. 6.
    """
    samples = [(_removed_question(seen, edit), removed) for seen, edit, removed in _REMOVALS]
    return Prompt(_REMOVE, samples, _removed_question(caption, text))


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


def searle_template(text: str) -> tuple[str, str]:
    """ "a photo of $ that T", as (prefix, suffix). Source: SEARLE, section 3.3."""
    return lincir_template(text)


def hycir_template(text: str) -> tuple[str, str]:
    """ "a photo of [$ $ $ $], T", as (prefix, suffix). Source: HyCIR, "Model architecture"; the brackets are notation."""
    return pic2word_template(text)


_TRANSLATIONS = (
    ("eine Katze im Schnee", "a cat in the snow"),
    ("sin el perro", "without the dog"),
    ("deux chiens au lieu d'un", "two dogs instead of one"),
    ("夜に", "at night"),
    ("maak de auto rood", "make the car red"),
)


def translation(text: str) -> Prompt:
    """A modification text of any language -> the same in English. Source: in no paper; theirs are all English."""
    samples = [(f"Edit: {typed}\nEnglish:", english) for typed, english in _TRANSLATIONS]
    ask = f"Edit: {_one_line(text)}\nEnglish:"
    return Prompt("Translate the edit of a picture into English. Say nothing else.", samples, ask)


_REWORDINGS = (
    ("could we lose the spoon pls", "remove the spoon"),
    ("i'd much rather it was three plates", "make it three plates"),
    ("same spot, once it gets light out", "the same at dawn"),
    ("chuck in a coupel of gren jugs as well", "add two green jugs"),
    ("A scarf is where the coat used to be.", "replace the coat with a scarf"),
    (
        "The whole thing takes place in a staton now, and the bench has grown.",
        "move it in a station and make the bench bigger",
    ),
    ("teh cup ought to be brown, the pan is nowhere to be seen", "make the cup brown and remove the pan"),
    ("a tinier bowl", "make the bowl smaller"),
    ("one flute was better than two", "one flute instead of two"),
    ("a pink coat please, not the yellow one", "make the coat pink"),
    ("nothing but the ladder, at the statoin", "only one ladder, move it at the station"),
)


def plain_orders(text: str) -> Prompt:
    """A modification text in anybody's words -> plain orders, correctly spelled. Source: in no paper."""
    samples = [(f"Ask: {typed}\nOrders:", plain) for typed, plain in _REWORDINGS]
    told = (
        "Rewrite what someone asks about a picture as plain orders with correct spelling: add, remove, replace, make, move. "
        "Keep every thing, number, colour, size, place and time that is said, and say nothing else."
    )
    return Prompt(told, samples, f"Ask: {_one_line(text)}\nOrders:")


def captioning_text(caption: str, text: str) -> str:
    """ "caption, T": the two in one line. Source: CVSI, section IV-A4, "Captioning" ("concatenated")."""
    return ", ".join(part.strip(" .,") for part in (caption, text) if part.strip(" .,"))


# What stands before and after the image's word, for the phrases of inversion. Source: SEARLE, section 3.1, has a GPT
# write such phrases for every concept; ours are these for all.
SEARLE_PHRASES = (
    ("a photo of", "at night"),
    ("a photo of", "in the snow"),
    ("", "and a small dog on the beach"),
    ("a picture of", "in a living room"),
    ("a red boat and", "by a lake"),
    ("", "in the city on a sunny day"),
)


def concept_in(caption: str) -> str:
    """What a caption is of, without "a photo of": it takes the place of the image's word in SEARLE_PHRASES."""
    return re.sub(r"^(?:an?|the)\s+(?:photo|picture|image)\s+of\s+", "", caption.strip(" ."), flags=re.I)


def _question(caption: str, text: str) -> str:
    return f"Caption: {_one_line(caption)}\nEdit: {_one_line(text)}"


def _one_line(text: str) -> str:
    """A text that cannot look like another line of the prompt, nor overfill it."""
    return " ".join(text.split())[:MAX_QUESTION_CHARACTERS]


def _listed(objects: Sequence[str]) -> str:
    if len(objects) < 2:
        return "".join(objects)
    return f"{', '.join(objects[:-1])} and {objects[-1]}"


# SynCir: the difference between two captions as an instruction.
_FIGURE_3 = (
    "If source sentence describes a source picture and target sentence describes a target picture, the source "
    "picture and an instruction are used to find the target picture. The instruction should indicate the "
    "difference between source and target. It should be as short as possible. Show the instruction."
)
_FIGURE_3_PICTURES = _FIGURE_3.replace(
    "If source sentence describes a source picture and target sentence describes a target picture, the",
    "The first picture is the source picture and the second picture is the target picture. The",
)
# Made-up pairs, in the manner of captions: one change, several, a new place or time, almost everything.
_DIFFERENCES = (
    (
        "a photo of two cats and a bowl on a wooden table",
        "a dog and a bowl on a wooden table",
        "replace the cats with a dog",
    ),
    (
        "a huge green coat and a scarf on a bench at dawn",
        "a picture of a huge brown coat, a scarf and three hats on a bench at dawn",
        "make the coat brown and add three hats",
    ),
    (
        "a boy and two bicycles in a park at dawn",
        "a woman and two bicycles in a station at noon",
        "a woman instead of the boy, in a station at noon",
    ),
    (
        "an image of a tram to the left of two tiny men on a hill while it rains",
        "a tram on a hill at noon",
        "remove the men, at noon",
    ),
    (
        "three plates in the yard when the day begins",
        "a photo of a spoon and two big cups in a tent by candle light",
        "a spoon and two big cups instead, in a tent by candle light",
    ),
    ("two flutes and a drum in a small tent", "a drum and one flute in a small tent", "only one flute"),
)


def hycir_query_text(reference_caption: str, target_caption: str, template: str = "figure3") -> Prompt:
    """The captions of two pictures -> the instruction that leads from the first to the second.

    Source: HyCIR, "Query text generation", Figure 3. The template "figure3" is its text, word for word; it
    begins with the captions, so that nothing is shared between two prompts, and its answer may begin with a
    line of chatter, so that it is not ended at the first line. "examples" gives the same words as the
    instruction, six made-up pairs with their answers, and the captions last: all prompts share what comes
    before them, and small models answer in the examples' manner.

    Raises:
        ValueError: no such template.
    """
    source, target = _one_line(reference_caption), _one_line(target_caption)
    if template == "figure3":
        return Prompt("", (), f"Source sentence: {source} Target sentence: {target} {_FIGURE_3}", stop="")
    if template != "examples":
        raise ValueError(f"no template {template!r}")
    samples = [(_difference_question(a, b), answer) for a, b, answer in _DIFFERENCES]
    return Prompt(_FIGURE_3, samples, _difference_question(source, target))


def syncir_pictures() -> str:
    """What a multimodal model is asked about two pictures: Figure 3 with pictures for sentences."""
    return _FIGURE_3_PICTURES


def _difference_question(source: str, target: str) -> str:
    return f"Source sentence: {source}\nTarget sentence: {target}\nInstruction:"
