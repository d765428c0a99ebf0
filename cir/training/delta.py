"""The delta generator, tuned on the illustrated world's true edits from the embedded captioner's weights.

First the words, the projection and the marks, with the language model as it captions; then all of it. What the captioner's
queries see of the stored maps never changes, so it is computed once.

Source: VDG (see `cir.models.delta_generator`): an alignment, then instruction tuning, on known triplets.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from cir.files import file_name
from cir.models.blip2 import Blip2Captioner, load_captioner
from cir.models.delta_generator import (
    DeltaGenerator,
    DeltaSpoter,
    encode_texts,
    extended_tokenizer,
    seen_by,
)
from cir.models.words import IGNORED, PluralTable, split_words
from cir.training.data import training_edit
from cir.training.loop import Run, RunSettings
from cir.training.pictures import CachedPictures
from cir.whole_files import replacing
from cir.world.reading import nouns_in

ALIGNED = 0.08  # share of the time in which the language model stays as it was
RATE, BATCH = 1e-3, 16
TESTED_PAIRS = 100


def edit_words(captioner_tokenizer: Any, plurals: PluralTable) -> list[str]:
    """Words of the world's edits that the captioner does not have, in the order in which drawn edits bring them."""
    rng, known = np.random.default_rng(0), captioner_tokenizer.get_vocab()
    texts = (training_edit(rng)[1].text for _ in range(3_000))
    found = dict.fromkeys(word for text in texts for word in split_words(plurals.mark(text)))
    return [word for word in found if word not in known]


def edited_pairs(pictures: CachedPictures, most: int | None = None) -> list[tuple[int, str]]:
    """The pairs that an edit leads through, or the first `most` of them, each with its text."""
    described = ((pair, pictures.describe(pair)[2]) for pair in range(len(pictures)))
    return list(islice(((pair, edit.text) for pair, edit in described if edit is not None), most))


def read_lessons(captioner: Blip2Captioner, folder: Path) -> tuple[torch.Tensor, list[tuple[int, str]]]:
    """What there is to learn from; made once and kept beside the pictures, for it takes minutes.

    Args:
        captioner: whose eyes are used.
        folder: of cached pictures.

    Returns:
        (2 x pairs, Q, W) what the captioner sees of every picture, in half precision; and `edited_pairs`.
    """
    pictures = CachedPictures(folder)
    kept = folder / f"seen-{file_name(captioner.fingerprint, '_')}-{len(pictures)}.pt"
    if not kept.exists():
        with torch.inference_mode():
            parts = np.array_split(np.arange(2 * len(pictures)), max(1, len(pictures) // 100))
            rows = [seen_by(captioner.model, pictures.maps(part)).half() for part in parts]
        learnt = {"seen": torch.cat(rows), "pairs": edited_pairs(pictures)}
        with replacing(kept) as draft:
            torch.save(learnt, draft)
    learnt = torch.load(kept, weights_only=True)
    return learnt["seen"], learnt["pairs"]


def train_delta(settings: RunSettings, rank: int) -> None:
    """One rank. `settings.extra`: pictures, held_out (folders of cached pictures), captioner (a folder)."""
    torch.manual_seed(settings.seed)
    captioner = load_captioner(settings.extra["captioner"], "cpu")
    words = edit_words(captioner.processor.tokenizer, captioner.plurals)
    generator = DeltaGenerator(captioner.model, words)
    tokenizer = extended_tokenizer(captioner.processor.tokenizer, words)
    optimiser = torch.optim.AdamW(generator.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.02)
    seen, pairs = read_lessons(captioner, settings.extra["pictures"])
    run = Run(settings, generator, optimiser, rank)  # its clock begins
    texts = {pair: captioner.plurals.mark(text) for pair, text in pairs}
    batches = _batches(len(pairs), np.random.default_rng((settings.seed, rank, run.steps)))
    generator.train()
    while run.running():
        _align(generator, run.progress < ALIGNED)
        chosen = [pairs[i][0] for i in next(batches)]
        at = 2 * torch.tensor(chosen)
        ids, following = encode_texts(tokenizer, [texts[pair] for pair in chosen])
        logits = generator(seen[at].float(), seen[at + 1].float(), ids)
        loss = F.cross_entropy(logits.flatten(0, 1), following.flatten(), ignore_index=IGNORED)
        run.step(loss, {}, samples=len(chosen), clip=1.0)
    if rank == 0:
        held_out = CachedPictures(settings.extra["held_out"])
        run.log({"final": True, **score(DeltaSpoter(generator, captioner), held_out, TESTED_PAIRS)})


def trained_generator(checkpoint: Path, captioner: Blip2Captioner) -> DeltaGenerator:
    """The generator of a run."""
    generator = DeltaGenerator(captioner.model, edit_words(captioner.processor.tokenizer, captioner.plurals))
    generator.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    return generator


def _batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Every pair once in a round, in another order each time."""
    size = min(BATCH, count)
    while True:
        order = rng.permutation(count)
        yield from (order[i : i + size] for i in range(0, count - size + 1, size))


def _align(generator: DeltaGenerator, aligning: bool) -> None:
    """Let the language model's layers learn, or leave them as they are; its words learn always."""
    generator.decoder.requires_grad_(not aligning)
    generator.decoder.get_input_embeddings().requires_grad_(True)


def score(spoter: DeltaSpoter, pictures: CachedPictures, most: int) -> dict[str, Any]:
    """Of the first `most` edited pairs: in percent, how many texts name just the things of the true one, or are the same."""
    pairs = edited_pairs(pictures, most)
    at = np.array([2 * pair for pair, _ in pairs])
    written: list[str] = []
    for part in np.array_split(at, max(1, len(at) // 50)):
        written += spoter.write(pictures.maps(part), pictures.maps(part + 1))
    rows = list(zip(written, [text for _, text in pairs], strict=True))
    return {
        "pairs": len(rows),
        "things": 100.0 * float(np.mean([nouns_in(one) == nouns_in(true) for one, true in rows])),
        "same": 100.0 * float(np.mean([one == true for one, true in rows])),
        "example": f"{rows[0][0]} (true: {rows[0][1]})",
    }
