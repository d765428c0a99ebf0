"""KEDs' two streams for the embedded CLIP, and the base that both look things up in.

Source: Suo et al., CVPR 2024. The image stream learns by a picture's own sentence (contrastive, in both directions); the
text stream puts its words in the place of a hidden keyword, so that the sentence means what the caption means (cosine),
which keeps its words where words are. Their text stream is also held against captions of the base that are near; with
two thousand pairs the nearest differ in too much, so that is left out. The base is drawn apart from what is trained on:
no picture is its own neighbour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cir.models.keds import Keds
from cir.prompts import pic2word_template
from cir.training.context_i2w import hide_keyword
from cir.training.seen import CAPTIONS, SeenPictures, contrastive
from cir.training.token_learners import Step

BATCH, HIDDEN, PAIRS = 48, 192, 2000
template = pic2word_template


def _base(seen: SeenPictures) -> int:
    """How many of the pictures, the first of them, are the base: at most a third."""
    return min(PAIRS, len(seen) // 3)


def build(seen: SeenPictures, rng: np.random.Generator) -> Keds:
    """Fresh streams and the base."""
    pairs = _base(seen)
    network = Keds(seen.raw.shape[1], HIDDEN, seen.word_width, pairs, word_length=seen.word_length)
    network.known_pictures.copy_(seen.unit[:pairs])
    network.known_captions.copy_(seen.captions_known[:pairs, 0])
    return network


def step(network: Keds, seen: SeenPictures) -> Step:
    """Both streams on the same pictures."""
    base, captions = _base(seen), seen.captions

    def one(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = rng.integers(base, len(seen), size=BATCH)
        told = int(rng.integers(CAPTIONS))
        images, meant = seen.unit[chosen], seen.captions_known[chosen, told]
        hidden = [hide_keyword(captions[i][told], rng) for i in chosen]
        seen_words, told_words = network(images).chunk(2, dim=1)
        sentences = seen.encode(["a photo of $"] * BATCH, seen_words)
        pictured = contrastive(sentences, torch.from_numpy(chosen), seen.unit, seen.scale)
        said = 1.0 - (seen.encode(hidden, told_words) * meant).sum(dim=1).mean()
        return pictured + said, {
            "image stream": float(pictured.detach()),
            "text stream": float(said.detach()),
        }

    return one


def says(network: Keds, seen: SeenPictures) -> Callable[[np.ndarray, object], Tensor]:
    """Pictures -> the words of the image stream, whatever the edit is."""
    return lambda rows, _: network(seen.unit[torch.from_numpy(rows)]).chunk(2, dim=1)[0]
