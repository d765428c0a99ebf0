"""Cached pictures as the shipped CLIP knows them: what every learner of pseudo-words is given.

CLIP is frozen, so its features of the pictures are made once. Does not know what is learnt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cir.cache_keys import code_digest, digest_of
from cir.models.clip import load_clip
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice
from cir.training.pictures import CachedPictures
from cir.training.world_clip import WordTokenizer, retrieval_recalls
from cir.whole_files import write_array, write_whole
from cir.world.captions import caption_scene

CAPTIONS = 2  # of each picture
TOGETHER = 64  # texts at a time
LONGEST = 70  # tokens of a text, its marks not counted
Says = Callable[[NDArray[np.int64], Sequence[str]], Tensor]


class SeenPictures:
    """Pictures with their captions, and the frozen CLIP that sees them.

    Args:
        folder: of cached pictures.
        clip: the folder of the CLIP on whose trunk they were cached.

    Attributes:
        clip: the CLIP; its weights get no gradients.
        raw: (N, D) raw features of all pictures.
        unit: (N, D) their unit rows.
        word_length: the usual length of a word in the token table.
    """

    def __init__(self, folder: Path, clip: Path) -> None:
        self.clip = load_clip(clip, device="cpu")
        self.model: Any = self.clip.model.requires_grad_(False)
        self.pictures = CachedPictures(folder)
        self.words = WordTokenizer()
        everything = np.arange(2 * len(self.pictures))
        self.raw = torch.from_numpy(self.pictures.features(self.model.visual.head, everything))
        self.unit = F.normalize(self.raw, dim=1)
        self.scale = float(self.model.logit_scale.exp())
        self._folder = folder
        self._key = digest_of(self.clip.fingerprint, CAPTIONS, len(self), code_digest("world"))[:12]
        table = self.model.token_embedding.weight
        known = sorted(self.words.row("a red dog and two large boats on the beach at night"))
        self.word_length = float(table[known].norm(dim=1).mean())

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def word_width(self) -> int:
        """W, the width of the token table."""
        return self.clip.word_width

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Patches of a picture, their width, and D."""
        _, patches, width = self.patches(np.arange(1)).shape
        return patches, width, self.raw.shape[1]

    def patches(self, chosen: NDArray[np.int64]) -> Tensor:
        """(N, P, C) what the trunk has of the patches of pictures."""
        return torch.from_numpy(self.pictures.patches(chosen))

    @cached_property
    def _told(self) -> list[dict[str, list[str]]]:
        """Of each picture its captions and nouns, always the same; drawn once, and kept beside the pictures."""
        path = self._folder / f"captions-{self._key}.json"
        if not path.exists():
            rng = np.random.default_rng(self.pictures.seed)
            pairs = map(self.pictures.describe, range(len(self.pictures)))
            scenes = [scene for pair in pairs for scene in pair[:2]]
            told = [
                {
                    "captions": [caption_scene(s, rng) for _ in range(CAPTIONS)],
                    "nouns": [g.noun for g in s.groups],
                }
                for s in scenes
            ]
            write_whole(path, json.dumps(told))
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def captions(self) -> list[list[str]]:
        """`CAPTIONS` of each picture."""
        return [told["captions"] for told in self._told]

    @property
    def nouns(self) -> list[list[str]]:
        """The nouns that each picture shows."""
        return [told["nouns"] for told in self._told]

    @cached_property
    def captions_known(self) -> Tensor:
        """(N, `CAPTIONS`, D) unit features of `captions`: made once, and kept beside the pictures."""
        path = self._folder / f"captions-{self._key}.npy"
        if not path.exists():
            features = self.known([text for texts in self.captions for text in texts])
            write_array(path, features.numpy().astype(np.float16))
        return torch.from_numpy(np.load(path)).float().unflatten(0, (len(self), CAPTIONS))

    def row(self, text: str) -> list[int]:
        """Token ids of a text, each "$" in it a pseudo-word."""
        start, *_, end = self.words.row("")
        ids = [[PSEUDO_WORD] if word == "$" else self.words.encode_word(word) for word in text.split()]
        return [start, *[i for word in ids for i in word][:LONGEST], end]

    def encode(self, texts: Sequence[str], words: Tensor | None = None) -> Tensor:
        """(N, D) unit features of texts; with (N, T, W) pseudo-words in the place of "$". Keeps gradients."""
        rows = [self.row(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # like lengths together: less padding
        found = []
        for start in range(0, len(order), TOGETHER):
            some = order[start : start + TOGETHER]
            given = splice(self.model, [rows[i] for i in some], None if words is None else words[some])
            found.append(encode_with_embeddings(self.model, *given))
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return F.normalize(torch.cat(found), dim=1)[back]

    @torch.no_grad()
    def known(self, texts: Sequence[str]) -> Tensor:
        """(N, D) unit features of texts, without gradients."""
        return self.encode(texts)

    def held_out_recalls(self, template: Callable[[str], tuple[str, str]], says: Says) -> dict[str, float]:
        """R@1, R@5 and R@10, in percent: the targets of all edits among all pictures, by a sentence with the reference's word.

        Args:
            template: of the method, an edit -> what stands before and after the word.
            says: pictures and edits -> pseudo-words.
        """
        edits = [(i, e.text) for i in range(len(self.pictures)) if (e := self.pictures.describe(i)[2])]
        queries, texts = np.array([2 * i for i, _ in edits]), [text for _, text in edits]
        found = []
        for start in range(0, len(texts), 128):
            rows, some = queries[start : start + 128], texts[start : start + 128]
            sentences = [" $ ".join(template(text)) for text in some]
            with torch.no_grad():
                found.append(self.encode(sentences, says(rows, some)))
        return retrieval_recalls(torch.cat(found), self.unit, torch.from_numpy(queries + 1))


def contrastive(texts: Tensor, chosen: Tensor, pictures: Tensor, scale: float) -> Tensor:
    """The symmetric loss of N texts and of their pictures, whose places among M pictures are `chosen`; rows of length 1.

    A text is held against all M, a picture against the N texts. Features that are known cost next to nothing, so M may be
    all pictures that there are. Source: Pic2Word, section 3.2, Eq. 1-3, where both are those of a large batch.
    """
    logits = scale * texts @ pictures.T
    there = torch.arange(len(texts))
    return 0.5 * (F.cross_entropy(logits, chosen) + F.cross_entropy(logits[:, chosen].T, there))
