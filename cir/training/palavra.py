"""PALAVRA's set encoder for the embedded CLIP: it learns to say as one word what a set of pictures or of captions shows.

Source: Cohen et al., ECCV 2022, section 4. A batch of sets of pictures alternates with one of sets of captions, which a
matrix brings to where pictures lie; it learns by the squared distance between a caption and its picture. The cycle loss
holds the sentence with the word against the sentence with the concept's name (contrastive, temperature 0.25); a second
loss holds the word against the name's own embedding (squared distance).

There a concept is a class of objects, such as "mug", with many pictures. Here it is what one scene shows, so that the
word says colours, numbers and the place too: its set is its one picture, or one or two of its captions; its name is
one of them. In the place of the name's first token stands the mean of its nouns' tokens, at the length of a word.
Theirs is 4096 wide, ours 320.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cir.models.palavra import SetEncoder
from cir.prompts import searle_template
from cir.training.seen import CAPTIONS, SeenPictures
from cir.training.token_learners import Step
from cir.world.captions import with_article
from cir.world.vocabulary import load_nouns

HIDDEN, OTHERS = 320, 256
BATCH = 192
TEMPERATURE = 0.25
NAME_WEIGHT = 0.5
template = searle_template


def build(seen: SeenPictures, rng: np.random.Generator) -> SetEncoder:
    """A fresh encoder, with the sentences and pictures that words are held against later."""
    names = [f"a photo of {with_article(noun.names[0][0])}" for noun in load_nouns().values()]
    network = SetEncoder(
        seen.raw.shape[1],
        HIDDEN,
        seen.word_width,
        classes=len(names),
        others=OTHERS,
        word_length=seen.word_length,
        dropout=0.1,
    )
    network.class_features.copy_(seen.known(names))
    network.other_features.copy_(seen.unit[torch.from_numpy(rng.choice(len(seen), OTHERS, replace=False))])
    return network


def cycle_loss(names: Tensor, said: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """How badly N sentences tell their own names from all other names and sentences; rows of length 1."""
    rows = torch.cat([names, said])
    likeness = (rows @ rows.T / temperature).fill_diagonal_(-1e4)
    half = len(names)
    return F.cross_entropy(likeness, torch.arange(2 * half).roll(half))


def step(network: SetEncoder, seen: SeenPictures) -> Step:
    """Sets of pictures and sets of captions in turn."""
    turn, names = 0, _name_words(seen)

    def one(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        nonlocal turn
        turn += 1
        chosen = torch.from_numpy(rng.integers(len(seen), size=BATCH))
        captions, pictures = seen.captions_known[chosen], seen.unit[chosen]
        name = captions[:, int(rng.integers(CAPTIONS))]
        alignment = (network.as_pictures(name) - pictures).square().sum(dim=1).mean()
        with torch.no_grad():
            size = int(rng.integers(1, CAPTIONS + 1))
            sets = pictures[:, None] if turn % 2 else network.as_pictures(captions[:, :size])
        words = network(sets)
        said = seen.encode(["a photo of $"] * BATCH, words)
        cycle = cycle_loss(name, said)
        named = (words[:, 0] - names[chosen]).square().sum(dim=1).mean() / seen.word_length**2
        losses = {"cycle": cycle, "named": named, "alignment": alignment}
        measures = {name: float(value.detach()) for name, value in losses.items()}
        measures["cosine"] = float((said.detach() * pictures).sum(dim=1).mean())
        return cycle + NAME_WEIGHT * named + alignment, measures

    return one


def _name_words(seen: SeenPictures) -> Tensor:
    """(N, W) the mean embedding of the nouns that each picture shows, as long as a word is."""
    table = seen.model.token_embedding.weight
    ids = {noun: seen.words.row(known.names[0][0])[1:-1] for noun, known in load_nouns().items()}
    shown = [[i for noun in nouns for i in ids[noun]] for nouns in seen.nouns]
    return seen.word_length * F.normalize(torch.stack([table[row].mean(dim=0) for row in shown]), dim=1)


def says(network: SetEncoder, seen: SeenPictures) -> Callable[[np.ndarray, object], Tensor]:
    """Pictures -> their words, whatever the edit is."""
    return lambda rows, _: network(seen.unit[rows])
