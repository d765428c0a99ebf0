"""Text-anchored tuning: an image tower moves towards the frozen features of its pictures' captions.

A batch of pictures is told from each other by their captions and the captions by their pictures, with the text tower
frozen: its features are the anchors. Only changes of low rank are learnt (LoRA), so what comes out is small, and the
CLIP stays as it is for every other method.

Source: Jang et al., "Spherical Linear Interpolation and Text-Anchoring for Zero-shot Composed Image Retrieval", ECCV
2024, section 3.2 (TAT): LoRA in the image encoder, text encoder frozen, contrastive loss, a short training on pictures
with captions. Their code is not published; rank, rate and temperature are ours. The temperature is warmer than CLIP's
own (0.1, where the embedded CLIP ends at 0.037): a cold one is content once a caption is nearest, a warm one goes on to
bring the picture to it, and to bring them together is what the tuning is for.

Two sources: pictures of the world as the frozen trunk saw them (`CachedPictures`), of which the image head is tuned,
since what lies before it was seen once and for all; and any gallery's pictures and captions with any CLIP of open_clip
or transformers, whose whole image tower is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cir.cache_keys import digest_of
from cir.models.clip import ClipModel, load_clip
from cir.models.low_rank import add_low_rank, changes_of, remove_low_rank
from cir.models.tuned import save_tuned
from cir.training.loop import Run, RunSettings
from cir.training.pictures import CachedPictures
from cir.whole_files import write_array
from cir.world.captions import caption_scene

RECIPE = "tat"
TEMPERATURE, RATE, RANK, PAIRS = 0.1, 1e-3, 32, 256


def anchored_loss(images: Tensor, anchors: Tensor, keys: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Contrastive loss of N pictures against the frozen unit features of their captions, both ways.

    Args:
        images: (N, D) raw.
        anchors: (N, D) unit rows.
        keys: (N,) what each shows: those that show the same are neither targets of each other nor negatives.
        temperature: of the softmax.
    """
    logits = F.normalize(images, dim=1) @ anchors.T / temperature
    same = (keys[:, None] == keys[None, :]) & ~torch.eye(len(keys), dtype=torch.bool, device=keys.device)
    logits = logits.masked_fill(same, -1e4)
    own = torch.arange(len(keys), device=keys.device)
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


class Anchors:
    """Captions of cached pictures and the edits between them, as unit features of the frozen text tower, made once.

    Args:
        clip: whose text tower.
        pictures: of the world.
        folder: where they are kept.
        seed: of the wording.
    """

    def __init__(self, clip: ClipModel, pictures: CachedPictures, folder: Path, seed: int) -> None:
        rng = np.random.default_rng((seed, 5))
        described = [pictures.describe(pair) for pair in range(len(pictures))]
        scenes = [scene for reference, target, _ in described for scene in (reference, target)]
        self.keys = torch.tensor([hash(scene.key) for scene in scenes])
        captions = [caption_scene(scene, rng) for scene in scenes]
        self.edited = [pair for pair, (_, _, edit) in enumerate(described) if edit is not None]
        edits = [edit.text for _, _, edit in described if edit is not None]
        self.captions = self._kept(clip, captions, folder)
        self.edits = self._kept(clip, edits, folder)

    @staticmethod
    def _kept(clip: ClipModel, texts: Sequence[str], folder: Path) -> Tensor:
        path = folder / f"texts-{digest_of(clip.fingerprint, list(texts))}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_array(path, clip.encode_texts(texts))
        return torch.from_numpy(np.load(path))


@torch.no_grad()
def held_out_figures(head: nn.Module, pictures: CachedPictures, anchors: Anchors) -> dict[str, float]:
    """How near pictures are to their captions, and how often the target of an edit comes first half way to it."""
    images = F.normalize(head(pictures.pooled(np.arange(2 * len(pictures)))), dim=1)
    near = float((images * anchors.captions).sum(dim=1).mean())
    rows = 2 * torch.tensor(anchors.edited)
    scores = (images[rows] + anchors.edits) @ images.T  # half way along an arc lies the sum
    scores[torch.arange(len(rows)), rows] = -torch.inf
    first = float((scores.argmax(dim=1) == rows + 1).float().mean())
    return {"cosine with caption": near, "edits R@1": 100.0 * first}


def train_text_anchored(settings: RunSettings, rank: int) -> None:
    """`settings.extra`: clip (a folder), pictures, held_out (folders of cached pictures), out, version; low_rank, rate."""
    extra: dict[str, Any] = settings.extra
    torch.manual_seed(settings.seed)
    clip = load_clip(Path(extra["clip"]), device="cpu")
    pictures, held_out = (CachedPictures(Path(extra[name])) for name in ("pictures", "held_out"))
    anchors = Anchors(clip, pictures, settings.folder, settings.seed)
    asked = Anchors(clip, held_out, settings.folder, settings.seed)
    head = clip.model.visual.head
    before = held_out_figures(head, held_out, asked)
    trained = add_low_rank(head, int(extra.get("low_rank", RANK)))
    optimiser = torch.optim.AdamW(trained, lr=float(extra.get("rate", RATE)), weight_decay=0.01)
    run = Run(settings, head, optimiser, rank)
    if rank == 0 and not run.steps:
        run.log(before)
    rng = np.random.default_rng((settings.seed, rank, run.steps))
    while run.running():
        pairs = rng.integers(len(pictures), size=PAIRS)
        own = np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)
        rows = torch.from_numpy(own)
        loss = anchored_loss(head(pictures.pooled(own)), anchors.captions[rows], anchors.keys[rows])
        run.step(loss, {}, samples=len(own), clip=5.0)
    if rank == 0:
        figures = held_out_figures(head, held_out, asked)
        run.log({"final": True, **figures})
        changes = {f"head.{name}": tensor for name, tensor in changes_of(head).items()}
        facts = {
            "version": extra["version"],
            "seconds": run.elapsed,
            "steps": run.steps,
            "samples": run.samples,
            "pairs": len(pictures),
        }
        save_tuned(changes, Path(extra["out"]), record_of(clip, settings.seed, figures, facts))


def record_of(
    clip: ClipModel, seed: int, figures: dict[str, float], facts: dict[str, Any]
) -> dict[str, object]:
    """What is written down with the changes."""
    return {
        "recipe": RECIPE,
        "trained_for": clip.fingerprint,
        "seed": seed,
        "torch": torch.__version__,
        "figures": figures,
        **facts,
    }


def tune_on_pictures(
    clip: ClipModel,
    picture: Callable[[int], Image.Image],
    captions: Sequence[str],
    *,
    steps: int,
    seed: int = 0,
    batch: int = 64,
    low_rank: int = RANK,
    rate: float = 1e-4,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Tensor], list[float]]:
    """Changes of the whole image tower of any CLIP, learnt from pictures with captions; the CLIP is left as it was.

    Args:
        clip: any of open_clip or transformers.
        picture: number -> picture.
        captions: of the pictures 0 to K - 1.
        steps: how many.
        seed: of the order.
        batch: pictures of a step.
        low_rank: of the changes.
        rate: of AdamW.
        say: told how far it is.

    Returns:
        The changes, by the names of `changes_of` the image tower; and the loss of each step.
    """
    torch.manual_seed(seed)
    anchors = torch.from_numpy(clip.encode_texts(captions)).to(clip.device)
    same: NDArray[np.int64] = np.unique(np.array(captions), return_inverse=True)[1]
    keys = torch.from_numpy(same.reshape(-1)).to(clip.device)
    visual: nn.Module = clip.model.visual
    learnt = {name: one.requires_grad for name, one in visual.named_parameters()}
    optimiser = torch.optim.AdamW(add_low_rank(visual, low_rank), lr=rate, weight_decay=0.01)
    order, losses = np.random.default_rng(seed), []
    try:
        for step in range(1, steps + 1):
            chosen = order.choice(len(captions), size=min(batch, len(captions)), replace=False)
            pixels = torch.stack([clip.preprocess(picture(int(i))) for i in chosen]).to(clip.device)
            rows = torch.from_numpy(chosen).to(clip.device)
            loss = anchored_loss(clip.model.encode_image(pixels), anchors[rows], keys[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
            say(f"step {step} of {steps}, loss {losses[-1]:.3f}")
        changes = {name: tensor.clone() for name, tensor in changes_of(visual).items()}
    finally:
        remove_low_rank(visual)
        for name, one in visual.named_parameters():
            one.requires_grad_(learnt[name])
    return changes, losses
