"""ResNet-152 by timm as an image encoder: what HyCIR and CIRR find alike pictures with.

Its features are in no space with texts: pairs are mined with them, nothing is searched with them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cir.errors import MissingModel, UnsafeFile
from cir.models.downloads import HubFile, ModelFile, fetch
from cir.models.runtime import fingerprint_of, pick_device, run_in_batches

ARCHITECTURE = "resnet152"
_WEIGHTS = ModelFile(
    "resnet152/model.safetensors", hub=HubFile("timm/resnet152.a1_in1k", "model.safetensors")
)
BATCH = 16


class ResNetEncoder:
    """A timm network without its classifier behind the protocol ImageEncoder.

    Args:
        model: a built network whose output is (N, D) pooled features.
        device: where it is moved.
    """

    def __init__(self, model: Any, device: str | torch.device = "cpu") -> None:
        from timm.data import create_transform, resolve_data_config

        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.dim = int(model.num_features)
        self._transform: Any = create_transform(**resolve_data_config({}, model=model), is_training=False)
        self.fingerprint = fingerprint_of(ARCHITECTURE, model.state_dict(), str(self._transform))
        self._lock = threading.Lock()

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """(N, D) pooled features, not normalised.

        Raises:
            CirError: a GPU that does not hold one image.
        """
        if not images:
            return np.zeros((0, self.dim), np.float32)
        return np.concatenate(run_in_batches(self._encode, list(images), BATCH))

    def _encode(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        pixels = torch.stack([self._transform(image.convert("RGB")) for image in images]).to(self.device)
        with self._lock, torch.inference_mode():
            return self.model(pixels).float().cpu().numpy()


def load_resnet(
    folder: Path | None = None, *, architecture: str = ARCHITECTURE, device: str | torch.device | None = None
) -> ResNetEncoder:
    """The encoder from `model.safetensors` in a folder; None fetches timm's weights from the hub, once.

    Raises:
        MissingModel: it is not there, or cannot be fetched.
        UnsafeFile: the file is damaged, or of another network.
    """
    import timm
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = fetch(_WEIGHTS, explicit=True) if folder is None else folder / "model.safetensors"
    if not path.is_file():
        raise MissingModel(
            f"There is no model.safetensors in {path.parent.name}.",
            f"Put timm's weights of {architecture} there, or use the gallery's own features.",
        )
    where = pick_device(device)
    model = timm.create_model(architecture, pretrained=False, num_classes=0)
    try:
        state = {key: value for key, value in load_file(path).items() if not key.startswith("fc.")}
        model.load_state_dict(state)
    except (SafetensorError, RuntimeError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UnsafeFile(
            f"{path.parent.name}/{path.name} is not {architecture}: {first}", "Give another file."
        ) from error
    return ResNetEncoder(model, where)
