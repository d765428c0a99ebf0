"""The files of such networks, and a network that was read together with the CLIP that it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from cir.errors import BadQuery, CirError, MissingModel, UnsafeFile
from cir.models.clip import ClipModel
from cir.models.fusion.combiner import Blip4CirBi, Clip4Cir, Combiner
from cir.models.fusion.compodiff import CompoDiff
from cir.models.fusion.early import Case, Covr
from cir.models.fusion.facts import RECORD, REMEDY
from cir.models.fusion.network import FusionNetwork, Seen
from cir.models.fusion.sprc import Sprc
from cir.models.fusion.tirg import Tirg
from cir.models.network_files import read_tensors, write_tensors
from cir.models.runtime import fingerprint_of
from cir.picture_memory import REMEMBERED_PATCHES, SeenPictures
from cir.types import Features

NETWORKS: Mapping[str, type[FusionNetwork]] = {
    network.recipe: network for network in (Tirg, Combiner, Clip4Cir, Blip4CirBi, Case, Covr, Sprc, CompoDiff)
}


class FusionModel:
    """A network behind the protocol QueryFusion.

    Args:
        network: put into evaluation mode.
        clip: reads the pictures and the edits.
        metadata: what its maker wrote down.
    """

    def __init__(self, network: FusionNetwork, clip: ClipModel, metadata: Mapping[str, Any]) -> None:
        self.network, self.clip, self.metadata = network.float().eval(), clip, dict(metadata)
        self.references: SeenPictures[Seen] = SeenPictures(REMEMBERED_PATCHES)
        self.fingerprint = fingerprint_of(network.recipe, network.state_dict(), network.shape())

    def fuse(self, image: Image.Image, text: str) -> Features:
        """(R, D) the query: unit rows, one if the method does not weigh several of them.

        Raises:
            CirError: values that are not finite.
        """
        network = self.network.to(self.clip.device)
        seen = self.references.made([image], lambda new: [network.seen(self.clip, new)])[0]
        with torch.inference_mode():
            rows = network.rows(seen, network.edits(self.clip, [text]))
            found = F.normalize(rows, dim=1).cpu().numpy()
        if not np.isfinite(found).all():
            raise CirError(
                f"The network {self.fingerprint} gave values that are not finite.",
                f"Its file is damaged. {REMEDY}",
            )
        return found


def save_fusion(network: FusionNetwork, path: Path, metadata: Mapping[str, object]) -> None:
    """Write a network in half precision as safetensors, whole or not at all.

    Args:
        network: what to write; it is not changed.
        path: where.
        metadata: JSON: "trained_for" is the fingerprint of its CLIP, the rest is kept for people.
    """
    record = {**metadata, "recipe": network.recipe, "shape": network.shape()}
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    write_tensors(path, state, RECORD, record)


def load_fusion(path: Path, clip: ClipModel) -> FusionModel:
    """Read a network, checked to be one for this CLIP.

    Raises:
        MissingModel: there is no such file.
        UnsafeFile: it is no safetensors file, or no network of a known recipe.
        BadQuery: it was trained for another CLIP.
    """
    if not path.is_file():
        raise MissingModel(f"There is no network at {path}.", REMEDY)
    state, record = read_tensors(path, RECORD, REMEDY)
    try:
        network = NETWORKS[record["recipe"]](**record["shape"])
        network.load_state_dict(state, strict=True)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UnsafeFile(f"{path} is no network of a supervised method: {error}", REMEDY) from error
    if record.get("trained_for") != clip.fingerprint:
        raise BadQuery(
            f"The network {path.name} was trained for {record.get('trained_for')}, and the CLIP here is {clip.fingerprint}.",
            "Train one for it: python -m cir train fusion "
            f"--recipe {network.recipe} --from syncir --gallery NAME --triplets FILE --models SET",
        )
    return FusionModel(network, clip, record)
