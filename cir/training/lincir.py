"""LinCIR's self-masking on any open_clip model and any captions: a mapping network learned from texts alone.

A caption's keywords become "$"; from the caption's own noisy feature the network has to find a word that makes the
masked caption mean the whole one. Pictures are never seen.

Does not know where the captions come from. Source: LinCIR, sections 3.2 and 3.3. The paper finds keywords, runs of
adjectives and nouns, with a part-of-speech tagger; here a run ends at a word of English's closed classes, so that
verbs in -ing stay in it. That is less exact and needs no further model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cir.errors import CirError
from cir.models.clip import ClipModel
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice, token_ids
from cir.text import counted
from cir.training.hycir import HycirSettings, HycirTraining

# LinCIR adds u * N(0, 1), u ~ U(0, 1), to features of length about 10 in 768 dimensions: up to 2.7 times the signal.
RELATIVE_NOISE = 2.7
PLAIN_SHARE = 0.2  # of captions that are replaced by "a photo of $" whole
PLAIN = "a photo of $"
CLOSED_CLASSES = frozenset(
    # What is no keyword for LinCIR in captions of people: determiners, prepositions, conjunctions, pronouns, forms of be, have and do, and what names a picture
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "some",
        "any",
        "each",
        "every",
        "no",
        "its",
        "his",
        "her",
        "their",
        "our",
        "my",
        "your",
        "all",
        "both",
        "in",
        "on",
        "at",
        "by",
        "of",
        "to",
        "from",
        "with",
        "without",
        "into",
        "onto",
        "over",
        "under",
        "above",
        "below",
        "behind",
        "between",
        "among",
        "near",
        "next",
        "beside",
        "through",
        "across",
        "around",
        "along",
        "during",
        "against",
        "inside",
        "outside",
        "up",
        "down",
        "off",
        "out",
        "as",
        "for",
        "like",
        "and",
        "or",
        "but",
        "while",
        "than",
        "then",
        "also",
        "where",
        "when",
        "who",
        "which",
        "there",
        "it",
        "he",
        "she",
        "they",
        "them",
        "him",
        "we",
        "you",
        "i",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "has",
        "have",
        "had",
        "do",
        "does",
        "did",
        "can",
        "not",
        "photo",
        "picture",
        "image",
        "photograph",
        "view",
        "front",
        "left",
        "right",
        "middle",
        "top",
        "bottom",
        "side",
    ]
)


def masked(caption: str) -> str | None:
    """The caption with each keyword, a maximal run of words outside the closed classes, as "$"; None without any."""
    out: list[str] = []
    for word in re.findall(r"[\w'-]+|[^\w\s]", caption):
        closed = word.lower() in CLOSED_CLASSES or not re.match(r"\w", word)
        if closed:
            out.append(word)
        elif not out or out[-1] != "$":
            out.append("$")
    return " ".join(out) if "$" in out else None


def noisy(features: Tensor) -> Tensor:
    """(N, D) unit rows, disturbed as LinCIR does, and unit again. Source: LinCIR, section 3.3."""
    amount = (
        torch.rand(len(features), 1, device=features.device) * RELATIVE_NOISE / math.sqrt(features.shape[1])
    )
    return F.normalize(features + amount * torch.randn_like(features), dim=1)


def masked_row(clip: ClipModel, text: str) -> list[int]:
    """Token ids of a masked caption for `splice`, PSEUDO_WORD for each "$", cut to the context length."""
    start, *_, end = clip.spliced_tokens("", "")
    row: list[int] = []
    for i, between in enumerate(text.split("$")):
        row += [PSEUDO_WORD] * (i > 0) + list(token_ids(clip.tokenizer, between.strip()))
    return [start, *row[: clip.text_length_limit - 2], end]


class LincirTraining(HycirTraining):
    """One training from captions: `settings.images` of them in a batch, `settings.tokens` words for each "$".

    Raises:
        CirError: too few captions for one batch, or more words than fit the text tower.
    """

    def __init__(
        self, clip: ClipModel, captions: Sequence[str], settings: HycirSettings, folder: Path
    ) -> None:
        self.captions = list(dict.fromkeys(caption.strip() for caption in captions if caption.strip()))
        self._plain = masked_row(clip, PLAIN)
        self._masked: dict[int, list[int]] = {}
        super().__init__(clip, np.zeros((0, clip.dim), np.float32), None, settings, folder)

    @property
    def data(self) -> tuple[object, ...]:
        """What is learned from, for a key."""
        return (self.captions,)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The squared distance of masked captions to whole ones. Source: LinCIR, Eq. 1."""
        chosen = rng.choice(len(self.captions), self.settings.images, replace=False)
        whole = torch.from_numpy(self.clip.encode_texts([self.captions[int(i)] for i in chosen]))
        whole = whole.to(self.clip.device)
        plain = rng.random(len(chosen)) < PLAIN_SHARE
        rows = [self._plain if p else self._row(int(i)) for i, p in zip(chosen, plain, strict=True)]
        found = encode_with_embeddings(
            self.clip.model, *splice(self.clip.model, rows, self.network(noisy(whole)))
        )
        return {"self_masking": (F.normalize(found, dim=1) - whole).square().sum(1).mean()}

    def _row(self, index: int) -> list[int]:
        if index not in self._masked:
            text = masked(self.captions[index])
            row = self._plain if text is None else masked_row(self.clip, text)
            words = len(row) + (self.settings.tokens - 1) * row.count(PSEUDO_WORD)
            self._masked[index] = row if words <= self.clip.text_length_limit else self._plain
        return self._masked[index]

    def _refuse_too_few(self) -> None:
        if len(self.captions) < self.settings.images:
            raise CirError(
                f"{counted(len(self.captions), 'different caption')} cannot fill batches of {self.settings.images}.",
                "Index the gallery with captions, or give a smaller batch: --batch-images",
            )
