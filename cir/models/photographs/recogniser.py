"""An ImageNet network with its classifier: which of a thousand classes a photograph shows, and whether it is one.

Source: the published weights of EfficientNet-lite2 (Apache-2.0), untouched: training them on drawings destroys what they
know of photographs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cir.errors import MissingModel, UnsafeFile
from cir.models.photographs.ground import alone, plain_ground
from cir.models.photographs.seen import SOFTENED, Seen
from cir.models.runtime import fingerprint_of, pick_device, run_in_batches

ARCHITECTURE = "tf_efficientnet_lite2"
SIDE, GLANCE = 260, 128  # pixels: of the network's training, and enough to tell a photograph from a drawing
CENTRE = 0.88  # of the shorter side: the second look
MARGIN = 0.05  # around a thing before a plain ground
BATCH = 8
Floats = NDArray[np.float32]


class Recogniser:
    """A timm network with its classifier.

    Args:
        model: it.
        gate: (F + 1,) see `Knowledge.gate`.
        device: where it is moved.
    """

    def __init__(self, model: Any, gate: Floats, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        self.gate = gate
        self.fingerprint = fingerprint_of(
            ARCHITECTURE, model.state_dict(), [SIDE, GLANCE, SOFTENED, CENTRE, MARGIN]
        )
        self._lock = threading.Lock()

    def photograph_logits(self, images: Sequence[Image.Image]) -> Floats:
        """(N,) above 0 for what looks like a photograph, below for what looks drawn."""
        return self.glances(images) @ self.gate[:-1] + self.gate[-1]

    def glances(self, images: Sequence[Image.Image]) -> Floats:
        """(N, F) pooled features of the whole pictures, made small."""
        views = [_square(image.convert("RGB"), GLANCE) for image in images]
        found = run_in_batches(lambda batch: self._forward(batch, classify=False), views, BATCH)
        return np.concatenate(found) if found else np.zeros((0, len(self.gate) - 1), np.float32)

    def classes(self, images: Sequence[Image.Image]) -> Floats:
        """(N, 1000) softened probabilities, see `Seen`."""
        return np.stack([seen.classes() for seen in self.look(images)])

    def look(self, images: Sequence[Image.Image]) -> list[Seen]:
        """What the network sees of photographs: of the whole picture and of its centre, or of a thing before a plain ground."""

        def run(batch: Sequence[Image.Image]) -> list[Seen]:
            looks = [_looks(image.convert("RGB")) for image in batch]
            logits = self._forward([view for views, _ in looks for view in views], classify=True)
            ends = np.cumsum([len(views) for views, _ in looks])
            parts = zip(np.split(logits, ends[:-1]), looks, strict=True)
            return [Seen(rows, alone) for rows, (_, alone) in parts]

        return list(chain.from_iterable(run_in_batches(run, images, BATCH)))

    def _forward(self, views: Sequence[Image.Image], *, classify: bool) -> Floats:
        pixels = torch.from_numpy(np.stack([np.asarray(view) for view in views])).to(self.device)
        pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with self._lock, torch.inference_mode():
            pooled = self.model.forward_head(
                self.model.forward_features(pixels.contiguous(memory_format=torch.channels_last)),
                pre_logits=True,
            )
            return (self.model.classifier(pooled) if classify else pooled).float().cpu().numpy()


def load_recogniser(path: Path, gate: Floats, device: str | torch.device | None = None) -> Recogniser:
    """From a safetensors file.

    Raises:
        MissingModel: it is not there.
        UnsafeFile: it holds another network.
    """
    import timm
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingModel("The network that reads photographs is not here.", _REMEDY)
    model = timm.create_model(ARCHITECTURE, pretrained=False)
    try:
        model.load_state_dict(
            {name: tensor.float() for name, tensor in load_file(path).items()}, strict=False
        )
    except (SafetensorError, OSError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise UnsafeFile(f"{path.name} is not {ARCHITECTURE}: {first}", _REMEDY) from error
    return Recogniser(model, gate, pick_device(device))


def _looks(image: Image.Image) -> tuple[list[Image.Image], bool]:
    """What the network is to see of a picture, each as a square, and whether that is a thing alone."""
    ground = plain_ground(image)
    if ground is not None:
        return [_square(alone(image, ground, MARGIN), SIDE)], True
    width, height = image.size
    half = max(1.0, CENTRE * min(width, height)) / 2
    centre = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    return [_square(image, SIDE), _square(image, SIDE, centre)], False


def _square(
    image: Image.Image, side: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


_REMEDY = "Restore assets/models/photographs from the repository, or make it: python -m cir train photographs"
