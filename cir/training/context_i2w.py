"""Context-I2W's network for the embedded CLIP: a keyword of a caption is hidden, and the picture has to say it.

Source: Tang et al., AAAI 2024: pictures with captions; the word stands in the place of what is hidden, the context is
what is left of the caption, and the sentence is held against the picture (contrastive, in both directions). Now and then
all of the caption is hidden. Theirs are 3 million pictures of the web, ours ten thousand drawn ones; so that minutes do,
ours begins with the words that the shipped Pic2Word has for these pictures, which costs no pass through the text tower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cir.models.mapping import load_mapping
from cir.models.patch_networks import ContextWords
from cir.places import ASSETS
from cir.prompts import pic2word_template
from cir.training.mapping import keywords
from cir.training.seen import SeenPictures, contrastive
from cir.training.token_learners import Step

BATCH, WIDTH = 48, 160
WARM_UP = 120  # steps towards Pic2Word's words
PIC2WORD = ASSETS / "models" / "mapping" / "pic2word.safetensors"
WHOLE_SHARE = 0.5  # of the captions are hidden as a whole
template = pic2word_template


def build(seen: SeenPictures, rng: np.random.Generator) -> ContextWords:
    """A network that has learnt to say Pic2Word's words, whatever the context."""
    network = ContextWords(*seen.patch_shape, 1, seen.word_width, WIDTH, word_length=seen.word_length)
    taught = torch.from_numpy(load_mapping(PIC2WORD).map_features(seen.raw.numpy()))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(WARM_UP):
        chosen = rng.integers(len(seen), size=2 * BATCH)
        context = seen.captions_known[rng.permutation(chosen), 0]
        loss = (network(seen.patches(chosen), seen.unit[chosen], context) - taught[chosen]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def hide_keyword(text: str, rng: np.random.Generator) -> str:
    """ "two dogs on the beach" -> "$ on the beach": one of a caption's keywords; "a photo of $" where it has none."""
    parts = keywords(text)
    places = [i for i, (_, is_keyword) in enumerate(parts) if is_keyword]
    if not places:
        return "a photo of $"
    hidden = places[int(rng.integers(len(places)))]
    return " ".join("$" if i == hidden else part for i, (part, _) in enumerate(parts))


def context_of(text: str) -> str:
    """What stands round the word."""
    return " ".join(word for word in text.split() if word != "$")


def step(network: ContextWords, seen: SeenPictures) -> Step:
    """Pictures against their captions with a word in them."""
    captions = seen.captions

    def one(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = rng.integers(len(seen), size=BATCH)
        texts = [
            "a photo of $"
            if rng.random() < WHOLE_SHARE
            else hide_keyword(captions[i][int(rng.integers(len(captions[i])))], rng)
            for i in chosen
        ]
        contexts = seen.known([context_of(text) for text in texts])
        said = seen.encode(texts, network(seen.patches(chosen), seen.unit[chosen], contexts))
        loss = contrastive(said, torch.from_numpy(chosen), seen.unit, seen.scale)
        own = (said.detach() * seen.unit[chosen]).sum(dim=1).mean()
        return loss, {"cosine": float(own), "gate": float(network.gate.detach().tanh())}

    return one


def says(network: ContextWords, seen: SeenPictures) -> Callable[[np.ndarray, Sequence[str]], Tensor]:
    """Pictures and edits -> their words."""

    def words(rows: np.ndarray, texts: Sequence[str]) -> Tensor:
        contexts = seen.known([" ".join(filter(None, template(text))) for text in texts])
        return network(seen.patches(rows), seen.unit[torch.from_numpy(rows)], contexts)

    return words
