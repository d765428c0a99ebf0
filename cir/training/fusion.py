"""One training for all supervised methods: triplets of references, edits and targets -> a network that makes queries.

The towers are frozen; a network that tunes a part of the text tower has its own. Checkpoints, seeds and ends are those of
`cir.training.hycir`. Does not know where triplets come from.

Source: batch-based classification, TIRG (CVPR 2019), section 3.3, Eq. 5: the target against the other targets of the
batch. Where a batch holds one target twice, these are not counted as negatives; the temperature is CLIP's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cir.cache_keys import code_digest
from cir.models.clip import ClipModel
from cir.models.fusion.combiner import Blip4CirBi, Clip4Cir, Combiner, both_sides
from cir.models.fusion.network import FusionNetwork
from cir.models.fusion.tirg import Tirg
from cir.training.hycir import HycirSettings, HycirTraining, TripletFeatures, training_inputs
from cir.training.loop import cosine_factor
from cir.training.on_gallery import encoded_pictures
from cir.training.pictures import CachedPictures

RECALLS = (1, 5, 10, 50)
BACK = 0.5  # of the loss on the way back
TEXTS_TOGETHER = 128


@dataclass(frozen=True, slots=True)
class Batch:
    """N triplets in torch.

    Attributes:
        references, targets: (N, D) raw image features.
        edits: of the network's `edits`.
        ids: (N,) of the targets; equal ones are the same image.
        reference_ids: (N,) of the references, likewise.
        scale: CLIP's inverse temperature.
        first_stage: whether the text tower is tuned now.
    """

    references: Tensor
    edits: Tensor
    targets: Tensor
    ids: Tensor
    reference_ids: Tensor
    scale: Tensor
    first_stage: bool


Losses = Callable[[FusionNetwork, Batch], dict[str, Tensor]]


def classified(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The loss of queries against the targets of their batch."""
    queries = _queries(network, batch, batch.references, batch.edits)
    return {"batch": batch_classification(queries, batch.targets, batch.ids, batch.scale)}


def both_ways(network: FusionNetwork, batch: Batch) -> dict[str, Tensor]:
    """The same, and that of targets with the edits meant backwards against the references.

    Source: BLIP4CIR+Bi (WACV 2024), section 3; its weight of the way back is not known to us, ours is a half.
    """
    back = _queries(network, batch, batch.targets, batch.edits.flip(1))
    loss = batch_classification(back, batch.references, batch.reference_ids, batch.scale)
    return {**classified(network, batch), "back": BACK * loss}


def _queries(network: FusionNetwork, batch: Batch, images: Tensor, edits: Tensor) -> Tensor:
    """The network's queries; in the first stage, element-wise sums."""
    return torch.stack(both_sides(images, edits)).sum(dim=0) if batch.first_stage else network(images, edits)


def batch_classification(queries: Tensor, targets: Tensor, ids: Tensor, scale: Tensor | float) -> Tensor:
    """How badly (N, D) queries tell their targets from the others; both are normalised here."""
    logits = scale * F.normalize(queries, dim=1) @ F.normalize(targets, dim=1).T
    same = (ids[:, None] == ids[None, :]) & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    labels = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits.masked_fill(same, -torch.inf), labels)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is made and trained.

    Attributes:
        build: a fresh network for a CLIP.
        losses: of a batch, by name.
        rate: of Adam at its highest; it falls to nothing in each stage.
        first_stage: the share of the training in which the text tower is tuned under the loss of the sum; then its
            edits are fixed, and the network is trained.
    """

    build: Callable[[ClipModel], FusionNetwork]
    losses: Losses = classified
    rate: float = 1e-3
    first_stage: float = 0.0


RECIPES: Mapping[str, Recipe] = {
    "tirg": Recipe(lambda clip: Tirg(clip.dim)),
    "combiner": Recipe(Combiner.of),
    "clip4cir": Recipe(lambda clip: Clip4Cir.of(clip, tuned=True), first_stage=0.25),
    "blip4cir-bi": Recipe(
        lambda clip: Blip4CirBi.of(clip, tuned=True, marks=2), losses=both_ways, first_stage=0.25
    ),
}


def fusion_settings(recipe: str, there: int, **given: Any) -> HycirSettings:
    """Settings of a training: batches of at most 256 triplets, and the recipe's rate where none is given.

    Args:
        recipe: of `RECIPES`.
        there: how many triplets there are.
        given: others of `HycirSettings`; None stands for the usual.
    """
    usual = {"rate": RECIPES[recipe].rate, "triplets": max(1, min(256, there))}
    chosen = {name: value for name, value in given.items() if value is not None}
    return HycirSettings(loss="triplet", **{**usual, **chosen})


def fusion_inputs(
    recipe: str, clip: ClipModel, triplets: TripletFeatures, settings: HycirSettings
) -> dict[str, Any]:
    """Everything that a trained network depends on, for the key of its folder."""
    made_of = training_inputs(clip, settings, *triplets.contents)
    return {**made_of, "recipe": recipe, "networks": code_digest("models/fusion")}


class FusionTraining(HycirTraining):
    """One training of one recipe.

    Raises:
        CirError: too few triplets for a batch, or a checkpoint of other settings or other data.
    """

    triplets: TripletFeatures

    def __init__(
        self,
        recipe: str,
        clip: ClipModel,
        triplets: TripletFeatures,
        settings: HycirSettings,
        folder: Path,
    ) -> None:
        self.recipe = RECIPES[recipe]
        self._edits: Tensor | None = None
        self._reference_ids = np.unique(triplets.references, axis=0, return_inverse=True)[1].reshape(-1)
        super().__init__(clip, np.zeros((0, clip.dim), np.float32), triplets, settings, folder)
        if not self.recipe.first_stage:  # before the clock runs
            self._fixed_edits(np.arange(len(triplets)))

    @property
    def fusion(self) -> FusionNetwork:
        """The network as it stands."""
        return cast(FusionNetwork, self.trained())

    @property
    def progress(self) -> float:
        """How far the training is, from 0 to 1."""
        minutes = self.settings.minutes
        by_time = self.seconds / (60.0 * minutes) if minutes is not None else 0.0
        return min(1.0, max(by_time, self.step / self.settings.steps))

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of one batch, by name; the rate follows the progress."""
        progress, first = self.progress, self.recipe.first_stage
        of_stage = progress / first if progress < first else (progress - first) / (1.0 - first)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * cosine_factor(of_stage)
        rows = rng.choice(len(self.triplets), self.settings.triplets, replace=False)
        return self.recipe.losses(self.network, self._batch(rows, first_stage=progress < first))

    def _batch(self, rows: NDArray[np.int64], *, first_stage: bool) -> Batch:
        chosen, device = self.triplets.chosen(rows), self.clip.device
        return Batch(
            self._tensor(chosen.references),
            self.fusion.edits(self.clip, chosen.texts) if first_stage else self._fixed_edits(rows),
            self._tensor(chosen.targets),
            torch.from_numpy(chosen.target_ids).to(device),
            torch.from_numpy(self._reference_ids[rows]).to(device),
            self.scale,
            first_stage,
        )

    @torch.no_grad()
    def _fixed_edits(self, rows: NDArray[np.int64]) -> Tensor:
        """What is read of these edits, once nothing of that changes any more; of all it is asked once."""
        if self._edits is None:
            self._edits = edits_of(self.fusion, self.clip, self.triplets.texts)
        return self._edits[torch.from_numpy(rows).to(self._edits.device)]

    def _fresh_network(self) -> Any:
        torch.manual_seed(self.settings.seed)
        return self.recipe.build(self.clip).to(self.clip.device)


def edits_of(network: FusionNetwork, clip: ClipModel, texts: Sequence[str]) -> Tensor:
    """What a network reads of many edits: a few at a time, those of like length together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    parts = [
        network.edits(clip, [texts[i] for i in order[start : start + TEXTS_TOGETHER]])
        for start in range(0, len(order), TEXTS_TOGETHER)
    ]
    return torch.cat(parts)[torch.from_numpy(np.argsort(order))]


@torch.inference_mode()
def recalls(
    network: FusionNetwork,
    clip: ClipModel,
    asked: TripletFeatures,
    left_out: NDArray[np.int64],
    gallery: NDArray[np.float32],
) -> dict[str, float]:
    """In percent, how often a target is among the first images of a gallery, the reference left out.

    Args:
        network: put into evaluation mode.
        clip: its CLIP.
        asked: triplets, whose `target_ids` are rows of the gallery.
        left_out: (N,) rows of the references.
        gallery: (K, D) raw image features.
    """
    network.eval()
    images = F.normalize(torch.from_numpy(gallery), dim=1)
    references = torch.from_numpy(asked.references).to(clip.device)
    edits = edits_of(network, clip, asked.texts)
    rows = [network(references[i : i + 128], edits[i : i + 128]).cpu() for i in range(0, len(asked), 128)]
    scores = F.normalize(torch.cat(rows), dim=1) @ images.T
    scores[torch.arange(len(asked)), torch.from_numpy(left_out)] = -torch.inf
    own = scores.gather(1, torch.from_numpy(asked.target_ids)[:, None])
    places = (scores > own).sum(dim=1)
    return {f"R@{k}": round(100.0 * float((places < k).float().mean()), 1) for k in RECALLS}


def held_out_recalls(network: FusionNetwork, clip: ClipModel, source: Path) -> dict[str, float]:
    """`recalls` of the true edits of encoded pictures that training never draws, among all of these pictures.

    Args:
        network: of a set that reads the world.
        clip: its CLIP.
        source: see `encoded_pictures`.

    Raises:
        CirError: there are none.
    """
    pictures = CachedPictures(encoded_pictures(source))
    gallery = pictures.features(clip.model.visual.head, np.arange(2 * len(pictures)))
    edits = [
        (pair, edit) for pair in range(len(pictures)) if (edit := pictures.describe(pair)[2]) is not None
    ]
    references = 2 * np.array([pair for pair, _ in edits])
    targets = references + 1
    asked = TripletFeatures(gallery[references], gallery[targets], [edit.text for _, edit in edits], targets)
    return {"queries": len(asked), **recalls(network, clip, asked, references, gallery)}
