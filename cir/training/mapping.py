"""Mapping networks for the embedded CLIP: image features -> pseudo-words, by two recipes.

*pic2word* needs pictures without texts, *lincir* texts without pictures. Gradients flow through the same splice as in
search; CLIP itself is frozen.

Sources: Pic2Word, section 3.2, Eq. 1-3 (symmetric contrastive loss between an image and "a photo of $"); LinCIR,
section 3.2 (self-masking projection: every keyword of a caption becomes $, whose network has to give back the
caption's own feature from a noisy copy of it).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from cir.models.mapping import MappingNetwork, save_mapping
from cir.models.text_tower import PSEUDO_WORD, encode_with_embeddings, splice
from cir.training.data import training_scene
from cir.training.lincir import noisy
from cir.training.loop import Run, RunSettings
from cir.training.pictures import CachedPictures
from cir.training.world_clip import ClipTeacher, WordTokenizer, load_teacher
from cir.world.captions import caption_scene
from cir.world.reading import nouns_in

HIDDEN = (512, 512)


def build_mapping(teacher: ClipTeacher, words: int) -> MappingNetwork:
    """A fresh network for the teacher's CLIP, its pseudo-words as long as the world's words are."""
    table = teacher.clip.token_embedding.weight.detach()
    known = sorted(WordTokenizer().row("a red dog and two large boats on the beach at night"))
    length = float(table[known].norm(dim=1).mean())
    dim = teacher.clip.text_projection.shape[1]
    return MappingNetwork(dim, HIDDEN, words, table.shape[1], dropout=0.1, word_length=length)


def keywords(text: str) -> list[tuple[str, bool]]:
    """A caption in parts, and of each whether it is a keyword: determiners, numbers, adjectives and nouns in a run.

    LinCIR finds them by part of speech; in the world's closed grammar its words tell.
    """
    parts: list[tuple[str, bool]] = []
    run: list[str] = []

    def close() -> None:
        if run:
            parts.append((" ".join(run), any(nouns_in(" ".join(run[i:])) for i in range(len(run)))))
            run.clear()

    for word in text.replace(",", " ,").split():
        if word in _FUNCTION_WORDS:
            close()
            parts.append((word, False))
        else:
            run.append(word)
    close()
    return parts


def masked_caption(text: str) -> str | None:
    """The caption with every keyword as "$"; None where it has none."""
    parts = keywords(text)
    if not any(is_keyword for _, is_keyword in parts):
        return None
    return " ".join("$" if is_keyword else part for part, is_keyword in parts)


# What the grammar of the world says between its keywords: the shipped mapping network was made with these.
_FUNCTION_WORDS = frozenset(
    [
        "in",
        "on",
        "at",
        "by",
        "of",
        "and",
        ",",
        "to",
        "the",
        "left",
        "right",
        "middle",
        "with",
        "under",
        "among",
        "below",
        "front",
        "as",
        "goes",
        "down",
        "photo",
        "picture",
        "image",
        "during",
    ]
)


def masked_row(words: WordTokenizer, text: str) -> list[int]:
    """Token ids of a masked caption, PSEUDO_WORD for each "$"."""
    row: list[int] = []
    for word in text.split():
        row += [PSEUDO_WORD] if word == "$" else list(words.encode_word(word))
    start, *_, end = words.row("")
    return [start, *row[:60], end]


def pic2word_step(
    teacher: ClipTeacher, phi: MappingNetwork, pictures: CachedPictures, words: WordTokenizer
) -> Callable[[np.random.Generator], tuple[torch.Tensor, dict[str, float]]]:
    """One step of Pic2Word: 256 pictures against their own "a photo of $"."""
    start, *middle, end = words.row("a photo of")

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        chosen = rng.integers(2 * len(pictures), size=256)
        with torch.no_grad():
            raw = teacher.clip.visual.head(pictures.pooled(chosen))
        rows = [[start, *middle, PSEUDO_WORD, end]] * len(chosen)
        texts = F.normalize(
            encode_with_embeddings(teacher.clip, *splice(teacher.clip, rows, phi(raw))), dim=1
        )
        logits = teacher.clip.logit_scale.exp().detach() * texts @ F.normalize(raw, dim=1).T
        labels = torch.arange(len(chosen))
        loss = 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))
        return loss, {"accuracy": float((logits.argmax(1) == labels).float().mean())}

    return step


def lincir_step(
    teacher: ClipTeacher, phi: MappingNetwork, words: WordTokenizer
) -> Callable[[np.random.Generator], tuple[torch.Tensor, dict[str, float]]]:
    """One step of LinCIR: 256 captions, masked, against themselves. Features of length 1 in and out."""

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        whole, masked = [], []
        while len(whole) < 256:
            text = caption_scene(training_scene(rng), rng)
            hidden = masked_caption(text)
            whole.append(words.row(text))
            masked.append(masked_row(words, hidden if hidden and rng.random() < 0.8 else "a photo of $"))
        with torch.no_grad():
            target = F.normalize(encode_with_embeddings(teacher.clip, *splice(teacher.clip, whole)), dim=1)
        found = F.normalize(
            encode_with_embeddings(teacher.clip, *splice(teacher.clip, masked, phi(noisy(target)))),
            dim=1,
        )
        loss = (found - target).square().sum(1).mean()
        return loss, {"cosine": float((found * target).sum(1).mean())}

    return step


def train_mapping(settings: RunSettings, rank: int) -> None:
    """`settings.extra`: recipe ("pic2word" | "lincir"), clip (a teacher's checkpoint), pictures, words, out."""
    extra: dict[str, Any] = settings.extra
    torch.manual_seed(settings.seed)
    teacher = load_teacher(Path(extra["clip"])).requires_grad_(False)
    phi = build_mapping(teacher, int(extra.get("words", 1)))
    words = WordTokenizer()
    recipe = extra["recipe"]
    if recipe == "pic2word":
        step = pic2word_step(teacher, phi, CachedPictures(Path(extra["pictures"])), words)
    else:
        step = lincir_step(teacher, phi, words)
    optimiser = torch.optim.AdamW(phi.parameters(), lr=float(extra.get("rate", 1e-3)), weight_decay=0.01)
    run = Run(settings, phi, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    while run.running():
        phi.train()
        loss, measures = step(rng)
        run.step(loss, measures, samples=256, clip=1.0)
    if rank == 0:
        manifest = {
            "recipe": recipe,
            "normalise_input": recipe == "lincir",
            "seconds": run.elapsed,
            "steps": run.steps,
            "samples": run.samples,
            **{k: v for k, v in settings.manifest().items() if k in ("seed", "torch")},
        }
        Path(extra["out"]).parent.mkdir(parents=True, exist_ok=True)
        save_mapping(phi.half(), Path(extra["out"]), manifest)
