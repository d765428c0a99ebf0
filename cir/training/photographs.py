"""What the embedded models know of photographs, made of published weights, WordNet, and a folder of photographs.

The network is copied as it is. Each of its classes gets a place among sentences: the sentence encoder's mean of its
names, of what it is a kind of, and of its meaning. Only the gate is trained: photographs against drawings, without a
word about what they show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cir.errors import UnsafeFile
from cir.models.photographs.knowledge import ARRAYS_FILE, TRUNK_FILE, WORDS_FILE
from cir.models.photographs.lexicon import ATTRIBUTES
from cir.models.photographs.recogniser import ARCHITECTURE, Recogniser
from cir.models.photographs.space import unit
from cir.models.protocols import SentenceEncoder
from cir.training.photograph_classes import GROUPS, KINDS
from cir.training.wordnet import Synset, is_below, levels_above

FEATURES = 1280
WIDTH = 128  # of the concepts: with all 384 photographs are found no better (measured)
LEVELS, FADING = (
    4,
    0.5,
)  # of kinds that count for a class, and how much less each counts than the one below it
_TOO_GENERAL = (
    "entity,physical entity,object,whole,artifact,instrumentality,living thing,organism,matter,abstraction,chordate,vertebrate,"
    "unit,substance,thing,part,structure,container,device,implement,equipment,covering,article,commodity,consumer goods,way,"
    "psychological feature,conveyance,placental,eutherian"
)
TOO_GENERAL = frozenset(_TOO_GENERAL.split(","))
PENALTY, STEPS = 1e-2, 300  # of the gate's logistic regression
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sources:
    """What it is made of.

    Attributes:
        weights: the published file of the network.
        nouns: WordNet's.
        sentences: the sentence encoder that texts will be read with.
        photographs, drawings: pictures for the gate, read one by one.
    """

    weights: Path
    nouns: Mapping[str, Synset]
    sentences: SentenceEncoder
    photographs: Iterable[Image.Image]
    drawings: Iterable[Image.Image]


def make_photograph_models(sources: Sources, out: Path, say: Callable[[str], None]) -> None:
    """Write the network and what is known of its classes into a folder.

    Raises:
        UnsafeFile: the weights are of another network.
    """
    from safetensors.numpy import save_file as save_arrays
    from safetensors.torch import save_file as save_tensors

    out.mkdir(parents=True, exist_ok=True)
    ids = class_ids()
    network = build_network(sources.weights)
    half = {
        name: tensor.half() for name, tensor in network.state_dict().items() if tensor.is_floating_point()
    }
    save_tensors(half, out / TRUNK_FILE)
    say("the network is written")
    names = [sources.nouns[one].names[0] for one in ids]
    concepts = class_concepts(sources.nouns, ids, sources.sentences)
    say("the classes have their places among sentences")
    recogniser = Recogniser(network, np.zeros(FEATURES + 1, np.float32))
    gate, right = train_gate(*(_glances(recogniser, p) for p in (sources.photographs, sources.drawings)))
    say(f"the gate is right for {right:.1%} of the pictures that it did not learn from")
    arrays = {
        **principal(concepts),
        "centre": sources.sentences.encode(names).mean(axis=0),
        "groups": class_groups(sources.nouns, ids),
        "gate": gate,
    }
    save_arrays(arrays, out / ARRAYS_FILE)
    words = {"names": names, "kinds": class_kinds(sources.nouns, ids)}
    (out / WORDS_FILE).write_text(json.dumps(words, separators=(",", ":")) + "\n", encoding="utf-8")


def class_ids() -> list[str]:
    """WordNet ids of the thousand classes, in the network's order."""
    from timm.data.imagenet_info import ImageNetInfo

    return list(ImageNetInfo().label_names())


def build_network(weights: Path) -> Any:
    """The network with the published weights, which lists timm's tensors in the same order under other names.

    Raises:
        UnsafeFile: the file's tensors are not those of this network.
    """
    import timm

    network = timm.create_model(ARCHITECTURE, pretrained=False)
    state = network.state_dict()
    tensors = list(torch.load(weights, map_location="cpu", weights_only=True).values())
    if [tuple(t.shape) for t in tensors] != [tuple(t.shape) for t in state.values()]:
        raise UnsafeFile(f"{weights} does not hold the tensors of {ARCHITECTURE}.", "Fetch it again.")
    network.load_state_dict(dict(zip(state, tensors, strict=True)))
    return network.eval()


def class_concepts(nouns: Mapping[str, Synset], ids: Sequence[str], sentences: SentenceEncoder) -> Floats:
    """(N, S) unit rows: of each class its names, "name, meaning", and what it is a kind of, fading with each level."""
    said = [_said_of(nouns, one) for one in ids]
    texts = sorted({text for one in said for text in chain(one[0], [one[1]], *one[2])})
    row_of = dict(zip(texts, sentences.encode(texts), strict=True))

    def mean(names: Sequence[str]) -> Floats:
        return unit(np.mean([row_of[name] for name in names], axis=0, keepdims=True))[0]

    rows = []
    for names, meaning, kinds in said:
        above = sum(
            FADING ** (level + 1) * mean(of_level) for level, of_level in enumerate(kinds) if of_level
        )
        rows.append(mean(names) + row_of[meaning] + above)
    return unit(np.stack(rows))


def principal(concepts: Floats) -> dict[str, Floats]:
    """Concepts as `Knowledge` has them: the directions in which they differ most, and where each lies there."""
    centre = concepts.mean(axis=0)
    basis = np.linalg.svd(concepts - centre, full_matrices=False)[2][:WIDTH].T
    return {"concepts": (concepts - centre) @ basis, "basis": np.ascontiguousarray(basis)}


def _said_of(nouns: Mapping[str, Synset], one: str) -> tuple[list[str], str, list[list[str]]]:
    """A class's names, "name, meaning", and the names of what it is a kind of, level by level."""
    found = nouns[one]
    kinds = [
        [
            name
            for kind in level
            if not TOO_GENERAL.intersection(nouns[kind].names)
            for name in nouns[kind].names
        ]
        for level in levels_above(nouns, one)[:LEVELS]
    ]
    return list(found.names), f"{found.names[0]}, {found.gloss}", kinds


def class_groups(nouns: Mapping[str, Synset], ids: Sequence[str]) -> Floats:
    """(N, A): which attributes of a scene a class tells of."""
    groups = np.zeros((len(ids), len(ATTRIBUTES)), np.float32)
    for attribute, (kinds, listed) in GROUPS.items():
        names = {name.strip() for name in listed.split(",")}
        for row, one in zip(groups, ids, strict=True):
            if names.intersection(nouns[one].names) or is_below(nouns, one, kinds):
                row[ATTRIBUTES.index(attribute)] = 1.0
    return groups


def class_kinds(nouns: Mapping[str, Synset], ids: Sequence[str]) -> dict[str, list[int]]:
    """Name that people use for a kind of thing -> the classes that are one, where there are at least two."""
    kinds: dict[str, list[int]] = {}
    for i, one in enumerate(ids):
        above = {nouns[kind].names[0] for level in levels_above(nouns, one) for kind in level}
        for name in above & KINDS:
            kinds.setdefault(name, []).append(i)
    return {name: rows for name, rows in sorted(kinds.items()) if len(rows) > 1}


def train_gate(photographs: Floats, drawings: Floats) -> tuple[Floats, float]:
    """Logistic regression on (N, F) features of both: (F + 1,) weights, and the share of held-out fifths that is right."""
    features = np.concatenate([photographs, drawings])
    truth = np.concatenate([np.ones(len(photographs)), np.zeros(len(drawings))]).astype(np.float32)
    fold = np.random.default_rng(0).permutation(len(truth)) % 5
    right = 0
    for k in range(5):
        weights = _regression(features[fold != k], truth[fold != k])
        logits = features[fold == k] @ weights[:-1] + weights[-1]
        right += int(((logits > 0) == truth[fold == k]).sum())
    return _regression(features, truth), right / len(truth)


def _regression(features: Floats, truth: Floats) -> Floats:
    """Both classes count alike; features are scaled while it learns, and the scale is folded into the weights."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    rows, wanted = torch.from_numpy((features - mean) / spread), torch.from_numpy(truth)
    share = wanted.mean()
    balance = torch.where(wanted > 0, 0.5 / share, 0.5 / (1 - share))
    weights = torch.zeros(rows.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = rows @ weights[:-1] + weights[-1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, balance)
        loss = loss + PENALTY * (weights[:-1] ** 2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    found = weights.detach().numpy()
    scaled = found[:-1] / spread
    return np.append(scaled, found[-1] - scaled @ mean).astype(np.float32)


def _glances(recogniser: Recogniser, pictures: Iterable[Image.Image]) -> Floats:
    return np.concatenate([recogniser.glances([picture]) for picture in pictures])
