"""CLIP4CIR with the weights that its authors have published: a CLIP of their own, tuned as a whole, and its Combiner.

Both towers were tuned, so a gallery is encoded by this CLIP too: the method has features of its own. The Combiner's widths are
read off its file (the paper's: four and eight times the features').

Source: Baldrati et al., "Conditioned and Composed Image Retrieval Combining and Partially Fine-Tuning CLIP-based Features",
CVPR Workshops 2022; names and shapes of the tensors by the authors' repository (ABaldrati/CLIP4Cir). Features go into the
Combiner as long as the towers make them, and the edit stands before the image in what its layers read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cir.errors import CirError, MissingModel, UnsafeFile
from cir.models.checkpoints import State, read_checkpoint, renamed, state_in
from cir.models.clip import ClipModel
from cir.models.fusion.combiner import Combiner
from cir.models.mapping_files import FETCH
from cir.models.runtime import fingerprint_of, pick_device
from cir.picture_memory import SeenPictures
from cir.types import Features

CLIP_FILE, COMBINER_FILE = "cirr_clip_RN50x4_fullft.pt", "cirr_comb_RN50x4_fullft.pt"
CLIP4CIR_FILES = (CLIP_FILE, COMBINER_FILE)
WIDEST = 1.25  # the ratio of sides to which a longer picture is filled up with black
ARCHITECTURES: Mapping[tuple[int, ...], str] = {
    (640, 640): "RN50x4-quickgelu",
    (512, 1024): "RN50-quickgelu",
}  # by the text projection
KEYS: Mapping[str, str] = {
    "image_projection_layer.": "image.0.",
    "text_projection_layer.": "edit.0.",
    "combiner_layer.": "common.0.0.",
    "output_layer.": "common.1.",
    "dynamic_scalar.0.": "share.0.0.",
    "dynamic_scalar.3.": "share.1.",
}


class PublishedClip4Cir:
    """Image encoder of its galleries and network of its queries in one.

    Args:
        clip: the tuned one.
        combiner: for its features.
    """

    def __init__(self, clip: ClipModel, combiner: Combiner) -> None:
        self.clip, self.combiner = clip, combiner.float().to(clip.device).eval()
        self.dim = clip.dim
        self.references: SeenPictures[NDArray[np.float32]] = SeenPictures()
        self.fingerprint = fingerprint_of("clip4cir", combiner.state_dict(), clip.fingerprint)

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) raw features."""
        return self.clip.encode_images(images)

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(1, D) the query, a unit row.

        Raises:
            CirError: values that are not finite.
        """
        (seen,) = self.references.made([image], self.clip.encode_images)
        rows = (seen[None], self.clip.encode_raw_texts([text]))
        references, edits = (torch.from_numpy(one).to(self.clip.device) for one in rows)
        with torch.inference_mode():
            row = F.normalize(self.combiner.combine(references, edits), dim=1).cpu().numpy()
        if not np.isfinite(row).all():
            raise CirError(
                "CLIP4CIR's network gave values that are not finite.", f"Its file is damaged. {FETCH}"
            )
        return row


def read_published_clip4cir(folder: Path, device: str | torch.device | None = None) -> PublishedClip4Cir:
    """Both published files in a folder.

    Raises:
        MissingModel: one of them is not there.
        UnsafeFile: one holds something else, or more than tensors.
    """
    for name in CLIP4CIR_FILES:
        if not (folder / name).is_file():
            raise MissingModel(f"{folder} holds no {name}.", FETCH)
    clip = _read_clip(folder / CLIP_FILE, device)
    combiner = read_combiner(folder / COMBINER_FILE)
    if combiner.sizes["dim"] != clip.dim:
        raise UnsafeFile(
            f"The Combiner in {folder} reads features of {combiner.sizes['dim']} numbers, and its CLIP makes {clip.dim}.",
            FETCH,
        )
    return PublishedClip4Cir(clip, combiner)


def filled_up(image: Image.Image) -> Image.Image:
    """An image that is longer than `WIDEST` times its other side, in the middle of black that makes it no longer than that."""
    width, height = image.size
    side = max(width, height) / WIDEST
    across, down = (max(int((side - length) / 2), 0) for length in image.size)
    if not across and not down:
        return image
    filled = Image.new("RGB", (width + 2 * across, height + 2 * down))
    filled.paste(image, (across, down))
    return filled


def _read_clip(path: Path, device: str | torch.device | None) -> ClipModel:
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    try:
        state = state_in(read_checkpoint(path), "CLIP", path)
        name = ARCHITECTURES[tuple(state["text_projection"].shape)]
        model: Any = open_clip.create_model(name)
        model.load_state_dict(state, strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is not CLIP4CIR's tuned CLIP: {error}", FETCH) from error
    prepare: Any = image_transform_v2(PreprocessCfg(size=model.visual.image_size), is_train=False)

    def prepared(image: Image.Image) -> Tensor:
        return prepare(filled_up(image))

    key = fingerprint_of(name, model.state_dict(), {"filled up to": WIDEST})
    return ClipModel(
        model, open_clip.get_tokenizer(name), prepared, "CLIP4CIR's CLIP", key, pick_device(device)
    )


def read_combiner(path: Path) -> Combiner:
    """The published Combiner in a file.

    Raises:
        UnsafeFile: it holds something else, or more than tensors.
    """
    try:
        state = renamed(state_in(read_checkpoint(path), "Combiner", path), KEYS)
        projected, dim = state["image.0.weight"].shape
        hidden = len(state["common.0.0.weight"])
        combiner = Combiner(dim, projected, hidden)
        combiner.load_state_dict(_image_first(state, projected), strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is no Combiner of CLIP4CIR's: {error}", FETCH) from error
    return combiner


def _image_first(state: State, projected: int) -> State:
    """The layers over both features, for the image before the edit."""
    both = ("common.0.0.weight", "share.0.0.weight")
    turned = {
        name: torch.cat([state[name][:, projected:], state[name][:, :projected]], dim=1) for name in both
    }
    return {**state, **turned}
