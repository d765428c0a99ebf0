"""The word-level tokenizer of our own captioner, and its plurals.

A noun and its plural share one word: "two stars" is read as "two star <pl>", and written back through a
table. So a small vocabulary learns each noun once. Does not know which words there are: `cir.training` counts
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

PAD, END, START, IMAGE = "<pad>", "</s>", "<s>", "<image>"
SPECIAL_WORDS = (PAD, END, START, IMAGE)  # in the order of their ids: 0, 1, 2, 3
PAD_ID, END_ID, START_ID, IMAGE_ID = range(len(SPECIAL_WORDS))
PLURAL_MARK = "<pl>"
IGNORED = -100  # a label that torch's cross-entropy leaves out


class PluralTable:
    """Turns plurals into "singular <pl>", and back.

    Args:
        plurals: singular -> plural, each of one or several words. A noun whose plural is its singular may be
            in it.
    """

    def __init__(self, plurals: Mapping[str, str] | None = None) -> None:
        self.plurals = dict(plurals or {})
        self._singulars = {plural: one for one, plural in self.plurals.items() if plural != one}
        self._plural_pattern = _any_of(self._singulars, "")
        self._marked_pattern = _any_of(self.plurals, f" {re.escape(PLURAL_MARK)}")

    def mark(self, text: str) -> str:
        """ "two stars" -> "two star <pl>"."""
        if not self._singulars:
            return text
        return self._plural_pattern.sub(lambda found: f"{self._singulars[found[1]]} {PLURAL_MARK}", text)

    def write(self, text: str) -> str:
        """ "two star <pl>" -> "two stars". A mark behind a word that has no plural is dropped."""
        if self.plurals:
            text = self._marked_pattern.sub(lambda found: self.plurals[found[1]], text)
        return " ".join(word for word in text.split() if word != PLURAL_MARK)


class PlaceTable:
    """Phrases that say where something is; in a text, one of another place gives way to one of the place that is seen.

    Args:
        phrases: place -> its phrases, in the order in which a reader counts places.
    """

    def __init__(self, phrases: Mapping[str, Sequence[str]] | None = None) -> None:
        self.phrases = [list(group) for group in (phrases or {}).values()]
        self._known = {p: (place, i) for place, group in enumerate(self.phrases) for i, p in enumerate(group)}
        self._pattern = _any_of(self._known, "")

    def correct(self, text: str, seen: int) -> str:
        """The text with its place exchanged, where it names another than `seen`."""

        def right(found: re.Match[str]) -> str:
            place, i = self._known[found[1]]
            own = self.phrases[seen]
            return found[1] if place == seen else own[i % len(own)]

        return self._pattern.sub(right, text) if self._known else text


def _any_of(phrases: Iterable[str], ending: str) -> re.Pattern[str]:
    """A pattern for whole phrases, the longest first, between white space, commas and the ends."""
    choices = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(rf"(?<![^\s,])({choices}){ending}(?![^\s,])")


def split_words(text: str) -> list[str]:
    """The words that the tokenizer sees: split at white space, each comma a word."""
    return text.replace(",", " , ").split()


def join_words(text: str) -> str:
    """Undo `split_words` on words joined by spaces."""
    return " ".join(text.split()).replace(" ,", ",")


def build_word_tokenizer(words: Iterable[str]) -> Any:
    """A transformers tokenizer over whole words; ids 0-3 are <pad>, </s>, <s>, <image>.

    It has no word for unknown ones: encoding one is an error, because a captioner's vocabulary is closed.

    Args:
        words: the vocabulary, in the order of its ids; repeats and the special words are left out. Put
            `PLURAL_MARK` in where plurals are marked.

    Returns:
        A `PreTrainedTokenizerFast`.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Sequence as Chain
    from tokenizers.pre_tokenizers import Split, WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = dict.fromkeys([*SPECIAL_WORDS, *words])
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}))
    backend.pre_tokenizer = Chain([WhitespaceSplit(), Split(",", "isolated")])  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END,
        bos_token=START,
        image_token=IMAGE,
        extra_special_tokens={"image_token": IMAGE},
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def encode_captions(tokenizer: Any, captions: Sequence[str], queries: int) -> dict[str, Tensor]:
    """What Blip2ForConditionalGeneration is taught with: image places, <s>, words, </s>, padded on the right.

    Args:
        tokenizer: from `build_word_tokenizer`.
        captions: N captions, plurals marked.
        queries: the model's `num_query_tokens`.

    Returns:
        "input_ids", "attention_mask" and "labels", each (N, L); labels are `IGNORED` except on words and
        </s>.

    Raises:
        KeyError: a word that is not in the vocabulary.
    """
    vocabulary = tokenizer.get_vocab()
    rows = [[vocabulary[word] for word in split_words(caption)] + [END_ID] for caption in captions]
    length = queries + 1 + max(len(row) for row in rows)
    ids = torch.full((len(rows), length), PAD_ID)
    ids[:, :queries] = IMAGE_ID
    ids[:, queries] = START_ID
    labels = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        labels[i, queries + 1 : queries + 1 + len(row)] = torch.tensor(row)
    ids = torch.where(labels == IGNORED, ids, labels)
    return {"input_ids": ids, "attention_mask": (ids != PAD_ID).long(), "labels": labels}
