"""Every prompt and template, one function each, named by paper and section; and what is read out of the answers.

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
MAX_OBJECT_CHARACTERS = 40

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

    def __new__(cls, instruction: str, examples: Sequence[Example], question: str, stop: str = "\n") -> Prompt:
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
    """A made-up caption and edit, with what both prompts should answer."""

    caption: str
    edit: str
    modified: str
    added: str


def _caption_and_edit(caption: str, text: str) -> str:
    return f"Caption: {caption}\nEdit: {text}"


_MODIFY = (
    "You are given the caption of a picture and an edit. Write the caption after the edit. "
    "Removed things are not named. A new place or time replaces the old one."
)
_SAMPLES = (
    _Sample(
        "a photo of two cats and a bowl on a wooden table",
        "change the cats to a dog",
        "a dog and a bowl on a wooden table",
        "a dog",
    ),
    _Sample(
        "a woman, a pan and three big eggs near a wall in the morning light",
        "remove the woman",
        "a pan and three big eggs near a wall in the morning light",
        "none",
    ),
)


def cvsi_modified_caption(caption: str, text: str) -> Prompt:
    """p_m: one caption of the reference image and the edit -> the caption of the target image."""
    samples = [(_caption_and_edit(s.caption, s.edit), s.modified) for s in _SAMPLES]
    return Prompt(_MODIFY, samples, _caption_and_edit(caption, text))


def pic2word_template(text: str) -> tuple[str, str]:
    """Before and after the pseudo-word. Source: Pic2Word, section 4.1: "a photo of *, T"."""
    return "a photo of", f", {text}" if text else ""


def lincir_template(text: str) -> tuple[str, str]:
    """Before and after the pseudo-word. Source: LinCIR, section 4.1: "a photo of $ that T"."""
    return "a photo of", f"that {text}" if text else ""
