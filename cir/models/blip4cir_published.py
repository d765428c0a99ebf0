"""BLIP4CIR+Bi with the weights that its authors have published: BLIP-B at 384 px, its text encoder tuned, and a Combiner.

The image tower is that of BLIP's pre-training, whose places are spread over the larger image; galleries are encoded by it, so
the method has features of its own. The mark of the direction in which an edit is meant is a word, spelled out.

Source: Liu et al., "Bi-directional Training for Composed Image Retrieval via Text Prompt Learning", WACV 2024; names and shapes
of the tensors, and how texts and images are prepared, by the authors' repository (Cuberick-Orion/Bi-Blip4CIR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cir.errors import MissingModel, UnsafeFile
from cir.models.blip_towers import TOKENIZER, WordPieces
from cir.models.checkpoints import read_checkpoint, state_in
from cir.models.clip4cir_published import filled_up, read_combiner
from cir.models.covr_published import CovrNetwork, blip_of, finite, tokenizer_for
from cir.models.fusion.combiner import Combiner
from cir.models.mapping_files import FETCH
from cir.models.runtime import fingerprint_of, moved, pick_device, run_in_batches
from cir.picture_memory import SeenPictures
from cir.types import Features

BLIP_FILE, TEXT_FILE, COMBINER_FILE = "model_base.pth", "tuned_blip_mean.pt", "combiner_mean.pt"
BLIP4CIR_FILES = (BLIP_FILE, TEXT_FILE, COMBINER_FILE, TOKENIZER)
SIDE, LONGEST, AT_ONCE = 384, 77, 8
PLACES = "visual_encoder.pos_embed"


class PublishedBlip4Cir:
    """Image encoder of its galleries and network of its queries in one.

    Args:
        blip: with its weights.
        combiner: for its features.
        tokenizer: BERT's.
        device: where they are moved.
    """

    def __init__(
        self, blip: CovrNetwork, combiner: Combiner, tokenizer: WordPieces, device: torch.device
    ) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.blip, self.combiner = moved(blip.float(), device).eval(), combiner.float().to(device).eval()
        self.tokenizer, self.device = tokenizer, device
        self.dim = blip.vision_proj.out_features
        self.references: SeenPictures[NDArray[np.float32]] = SeenPictures()
        state = {**blip.state_dict(), **{f"combiner.{k}": v for k, v in combiner.state_dict().items()}}
        self.fingerprint = fingerprint_of("blip4cir-bi", state)
        side: Any = blip.vision.config.image_size
        self.prepare: Any = image_transform_v2(PreprocessCfg(size=side), is_train=False)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) raw features."""

        def run(batch: Sequence[Image.Image]) -> NDArray[np.float32]:
            pixels = torch.stack([self.prepare(filled_up(image)) for image in batch]).to(self.device)
            with torch.inference_mode():
                return self.blip.vision_proj(self.blip.tokens(pixels)[:, 0]).cpu().numpy()

        rows = run_in_batches(run, images, AT_ONCE)
        return finite(np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32))

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(1, D) the query, a unit row.

        Raises:
            CirError: values that are not finite.
        """
        ids = self.tokenizer.encode(forward_text(text))[: LONGEST - 2]
        row = [self.tokenizer.sot_token_id, *ids, self.tokenizer.eot_token_id]
        (seen,) = self.references.made([image], self.encode_images)
        reference = torch.from_numpy(seen[None]).to(self.device)
        with torch.inference_mode():
            said = self.blip(None, torch.tensor([row], device=self.device))
            query = F.normalize(self.combiner.combine(reference, said), dim=1)
        return finite(query.cpu().numpy())


def forward_text(text: str) -> str:
    """An edit as the network has learnt to read it: each of what "and" joins, also inside of words, with the mark before it."""
    return "and".join(f" [FORWARD] {part}" for part in text.split("and"))


def read_published_blip4cir(folder: Path, device: str | torch.device | None = None) -> PublishedBlip4Cir:
    """The published files in a folder, and BERT's tokenizer beside them.

    Raises:
        MissingModel: one of them is not there.
        UnsafeFile: one holds something else, or more than tensors, or they do not fit each other.
    """
    for name in BLIP4CIR_FILES:
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", FETCH)
    whole = state_in(read_checkpoint(folder / BLIP_FILE), "model", folder / BLIP_FILE)
    seeing = {
        name: one for name, one in whole.items() if name.startswith(("visual_encoder.", "vision_proj."))
    }
    reading = state_in(read_checkpoint(folder / TEXT_FILE), "BLIPTextEncoder", folder / TEXT_FILE)
    try:
        patch = seeing["visual_encoder.patch_embed.proj.weight"].shape[-1]
        seeing[PLACES] = spread(seeing[PLACES], SIDE // patch)
        blip = blip_of({**seeing, **reading})
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{folder} does not hold BLIP4CIR+Bi's two encoders: {error}", FETCH) from error
    combiner = read_combiner(folder / COMBINER_FILE)
    if combiner.sizes["dim"] != blip.vision_proj.out_features:
        raise UnsafeFile(f"The Combiner in {folder} does not read the features of its BLIP.", FETCH)
    return PublishedBlip4Cir(blip, combiner, tokenizer_for(blip, folder), pick_device(device))


def spread(places: Tensor, across: int) -> Tensor:
    """(1, 1 + P, V) what places of patches count for, of a smaller image -> (1, 1 + across², V)."""
    first, rest = places[:, :1].float(), places[:, 1:].float()
    old = math.isqrt(rest.shape[1])
    grid = rest.unflatten(1, (old, old)).permute(0, 3, 1, 2)
    larger = F.interpolate(grid, size=(across, across), mode="bicubic", align_corners=False)
    return torch.cat([first, larger.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
