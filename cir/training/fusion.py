"""One training for all supervised methods: triplets of references, edits and targets -> a network that makes queries.

The towers are frozen; a network that tunes a part of the text tower has its own. Checkpoints, seeds and ends are those of
`cir.training.hycir`, what is learnt by stands in `cir.training.fusion_losses`. Does not know where triplets come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cir.cache_keys import code_digest
from cir.gallery.gallery import Gallery
from cir.models.clip import ClipModel
from cir.models.fusion.combiner import Blip4CirBi, Clip4Cir, Combiner
from cir.models.fusion.compodiff import CompoDiff
from cir.models.fusion.early import Case, Covr
from cir.models.fusion.files import NETWORKS
from cir.models.fusion.network import FusionNetwork, Seen
from cir.models.fusion.sprc import Sprc
from cir.models.fusion.tirg import Tirg
from cir.training.compodiff import denoised
from cir.training.fusion_losses import Batch, Losses, both_ways, classified, hard_negatives, reversed_query
from cir.training.hycir import HycirSettings, HycirTraining, TripletFeatures, training_inputs
from cir.training.loop import cosine_factor
from cir.training.on_gallery import encoded_pictures, features_of, with_captions, with_patches
from cir.training.patches import TripletPatches
from cir.training.pictures import CachedPictures
from cir.training.sprc import prompted
from cir.types import Triplet

RECALLS = (1, 5, 10, 50)
TEXTS_TOGETHER = 128
OTHERS = 2048  # targets of further triplets, for networks of which a batch is dear


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is made and trained.

    Attributes:
        build: a fresh network for a CLIP.
        losses: of a batch, by name.
        rate: of Adam at its highest; it falls to nothing in each stage.
        first_stage: the share of the training in which something else is learnt first, such as the text tower under the loss
            of the sum; after it what is read of edits is fixed.
        triplets: of a batch.
        others: how many targets of further triplets queries are held against, beside those of the batch.
        captions_first: whether captions of the targets stand in the place of edits in the first stage.
    """

    build: Callable[[ClipModel], FusionNetwork]
    losses: Losses = classified
    rate: float = 1e-3
    first_stage: float = 0.0
    triplets: int = 256
    others: int = 0
    captions_first: bool = False


RECIPES: Mapping[str, Recipe] = {
    "tirg": Recipe(lambda clip: Tirg(clip.dim)),
    "combiner": Recipe(Combiner.of),
    "clip4cir": Recipe(lambda clip: Clip4Cir.of(clip, tuned=True), first_stage=0.25),
    "blip4cir-bi": Recipe(
        lambda clip: Blip4CirBi.of(clip, tuned=True, marks=2), losses=both_ways, first_stage=0.25
    ),
    "case": Recipe(Case.of, losses=reversed_query, triplets=96, others=OTHERS),
    "covr": Recipe(Covr.of, losses=hard_negatives, triplets=128, others=OTHERS),
    "sprc": Recipe(Sprc.of, losses=prompted, first_stage=0.1, triplets=64, others=OTHERS),
    "compodiff": Recipe(
        CompoDiff.of, losses=denoised, rate=2e-3, first_stage=0.3, triplets=128, captions_first=True
    ),
}


def fusion_settings(recipe: str, there: int, **given: Any) -> HycirSettings:
    """Settings of a training: the recipe's batches, or all triplets where there are fewer, and its rate where none is given.

    Args:
        recipe: of `RECIPES`.
        there: how many triplets there are.
        given: others of `HycirSettings`; None stands for the usual.
    """
    usual = {"rate": RECIPES[recipe].rate, "triplets": max(1, min(RECIPES[recipe].triplets, there))}
    chosen = {name: value for name, value in given.items() if value is not None}
    return HycirSettings(loss="triplet", **{**usual, **chosen})


def gallery_triplets(
    recipe: str,
    triplets: Sequence[Triplet],
    gallery: Gallery,
    clip: ClipModel,
    read_image: Callable[[Path], Image.Image],
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> TripletFeatures:
    """Triplets of a gallery with all that a recipe learns of them. Arguments as of `with_patches`.

    Raises:
        CirError: targets have no captions, and the recipe learns those first.
    """
    found = features_of(triplets, gallery)
    if NETWORKS[recipe].reads_patches:
        found = with_patches(found, triplets, gallery, clip, read_image, folder, say)
    return with_captions(found, triplets, gallery) if RECIPES[recipe].captions_first else found


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
        others = rng.choice(len(self.triplets), min(self.recipe.others, len(self.triplets)), replace=False)
        return self.recipe.losses(self.network, self._batch(rows, others, first_stage=progress < first))

    def _batch(self, rows: NDArray[np.int64], others: NDArray[np.int64], *, first_stage: bool) -> Batch:
        chosen, device = self.triplets.chosen(rows), self.clip.device
        learnt_first = chosen.captions if self.recipe.captions_first else chosen.texts
        return Batch(
            seen_by(self.fusion, chosen, "references", device),
            self.fusion.edits(self.clip, learnt_first) if first_stage else self._fixed_edits(rows),
            seen_by(self.fusion, chosen, "targets", device),
            torch.from_numpy(chosen.target_ids).to(device),
            torch.from_numpy(self._reference_ids[rows]).to(device),
            self._tensor(self.triplets.targets[others]),
            torch.from_numpy(self.triplets.target_ids[others]).to(device),
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


def seen_by(
    network: FusionNetwork,
    triplets: TripletFeatures,
    side: Literal["references", "targets"],
    device: torch.device,
) -> Seen:
    """What a network is given of all references, or of all targets."""
    features = torch.from_numpy(getattr(triplets, side)).to(device)
    if not network.reads_patches:
        return Seen(features)
    patches = triplets.patches
    assert patches is not None, "triplets for a network that reads patches come with them"
    read = torch.from_numpy(patches.read(getattr(patches, side)))
    return Seen(features, read.to(device, torch.float32))


def edits_of(network: FusionNetwork, clip: ClipModel, texts: Sequence[str]) -> Tensor:
    """What a network reads of many edits: a few at a time, those of like length together.

    Where it reads the tokens of each, shorter ones end in rows of zeros.
    """
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    parts = [
        network.edits(clip, [texts[i] for i in order[start : start + TEXTS_TOGETHER]])
        for start in range(0, len(order), TEXTS_TOGETHER)
    ]
    if parts[0].ndim == 3:
        longest = max(part.shape[1] for part in parts)
        parts = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
    return torch.cat(parts)[torch.from_numpy(np.argsort(order))]


@torch.inference_mode()
def queries_of(network: FusionNetwork, clip: ClipModel, asked: TripletFeatures) -> NDArray[np.float32]:
    """(N, D) unit rows of the queries of triplets, as search makes them; the network is put into evaluation mode."""
    network.eval()
    edits, rows = edits_of(network, clip, asked.texts), []
    for start in range(0, len(asked), TEXTS_TOGETHER):
        some = np.arange(start, min(start + TEXTS_TOGETHER, len(asked)))
        chosen = asked.chosen(some)
        rows.append(network(seen_by(network, chosen, "references", clip.device), edits[some]))
    return F.normalize(torch.cat(rows), dim=1).cpu().numpy()


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
    images = F.normalize(torch.from_numpy(gallery), dim=1)
    scores = torch.from_numpy(queries_of(network, clip, asked)) @ images.T
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
    patches = TripletPatches(references, targets, pictures.patches)
    asked = TripletFeatures(
        gallery[references], gallery[targets], [edit.text for _, edit in edits], targets, patches
    )
    return {"queries": len(asked), **recalls(network, clip, asked, references, gallery)}
